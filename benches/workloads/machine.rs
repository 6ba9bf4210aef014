//! Where and when this was measured, and whether anything else was at work.

use std::fmt;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use crate::Bench;

pub(crate) struct Machine(Vec<(&'static str, String)>);

impl Machine {
    pub(crate) fn look(bench: &Bench) -> Self {
        let python = bench.peers.python();
        let mut facts = vec![
            ("date", jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()),
            ("commit", said("git", &["describe", "--always", "--dirty"])),
            ("processor", field("/proc/cpuinfo", "model name")),
            ("cores", thread::available_parallelism().map_or(0, usize::from).to_string()),
            ("memory", field("/proc/meminfo", "MemTotal")),
            ("kernel", said("uname", &["-sr"])),
            ("file system", said("stat", &["-f", "-c", "%T", &bench.work.to_string_lossy()])),
            ("load before", field_at("/proc/loadavg", 0)),
            ("Rust", said("rustc", &["--version"])),
            ("C", said("cc", &["--version"]).lines().next().unwrap_or_default().to_owned()),
            ("Python", said(&python.to_string_lossy(), &["--version"])),
            ("xargs", said("xargs", &["--version"]).lines().next().unwrap_or_default().to_owned()),
        ];
        facts.push(("peers", bench.peers.versions()));
        Self(facts)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | |\n| --- | --- |")?;
        self.0.iter().try_for_each(|(name, value)| writeln!(f, "| {name} | {value} |"))
    }
}

/// How much of two cores two busy threads get: less than 2 where others are at work.
pub(crate) fn free_cores() -> f64 {
    const LONG: Duration = Duration::from_millis(400);
    let spin = || {
        let (start, cpu) = (Instant::now(), ThreadTime::now());
        while start.elapsed() < LONG {}
        cpu.elapsed().as_secs_f64() / start.elapsed().as_secs_f64()
    };
    let other = thread::spawn(spin);
    spin() + other.join().expect("no panic")
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map_or_else(
        |error| error.to_string(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim()).to_owned()
}

fn field_at(path: &str, nth: usize) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().nth(nth).unwrap_or_default().to_owned()
}
