//! Running a command to its end: how long it took, and how much memory it and all its descendants had.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// No command here takes so long.
const TOO_LONG: Duration = Duration::from_secs(900);

/// Seconds to the command's end.
///
/// # Errors
/// What it said last, if it failed or took too long.
pub(crate) fn time(command: Command, log: &Path) -> Result<f64, String> {
    let start = Instant::now();
    let mut child = begin(command, log);
    let (ended, wait) = mpsc::channel::<()>();
    let pid = child.id();
    let watch = thread::spawn(move || {
        if wait.recv_timeout(TOO_LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
            signal(pid, Signal::SIGKILL);
        }
    });
    let status = child.wait().expect("waits");
    let took = start.elapsed().as_secs_f64();
    drop(ended);
    watch.join().expect("no panic");
    end_all();
    match status.success() {
        true => Ok(took),
        false => {
            let said = fs::read_to_string(log).unwrap_or_default();
            let last = said.trim_end().lines().last().unwrap_or("nothing").to_owned();
            Err(format!("{status}: {last}"))
        }
    }
}

/// The most memory, in bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Peak {
    /// Of the command itself.
    pub command: u64,
    /// Resident in all its processes together.
    pub all: u64,
}

/// Runs a command and looks at its memory again and again. It is not timed: looking takes time.
pub(crate) fn peak(command: Command, log: &Path) -> Peak {
    let mut child = begin(command, log);
    let (mut peak, since) = (Peak::default(), Instant::now());
    while child.try_wait().expect("waits").is_none() && since.elapsed() < TOO_LONG {
        peak.command = peak.command.max(high_water(child.id()));
        peak.all = peak.all.max(descendants().into_iter().map(resident).sum());
        thread::sleep(Duration::from_millis(20));
    }
    end_all();
    peak
}

fn begin(mut command: Command, log: &Path) -> Child {
    // What its processes leave behind is ours, to be seen and ended.
    set_child_subreaper(true).expect("Linux");
    let log = fs::File::create(log).expect("creates");
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Ends what a command has left behind.
fn end_all() {
    let since = Instant::now();
    loop {
        while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|one| one.pid().is_some()) {}
        let left = descendants();
        if left.is_empty() || since.elapsed() > Duration::from_secs(10) {
            return;
        }
        left.into_iter().for_each(|pid| signal(pid, Signal::SIGKILL));
        thread::sleep(Duration::from_millis(2));
    }
}

fn signal(pid: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
}

/// All processes that descend from this one.
fn descendants() -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").expect("lists").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name, in parentheses, may have any characters.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        if let Some(parent) = fields.split_whitespace().nth(1).and_then(|ppid| ppid.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![std::process::id()];
    while let Some(parent) = next.pop() {
        let born = children.remove(&parent).unwrap_or_default();
        found.extend(&born);
        next.extend(born);
    }
    found
}

fn resident(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

fn high_water(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

fn status(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}
