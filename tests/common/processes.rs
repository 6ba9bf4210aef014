//! The task and worker processes of one run directory, found in /proc, and signals to them.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::until::wait_until;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Task,
    Worker,
}

#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub pid: u32,
    pub kind: Kind,
    /// The worker's name; empty for a task.
    pub name: String,
}

/// The tasks and workers of the run at `root` that live now.
pub(crate) fn of_run(root: &Path) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| of_run_with(pid, root)).collect()
}

fn of_run_with(pid: u32, root: &Path) -> Option<Process> {
    // A process that has ended, but was not waited for, has an empty command line.
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let args: Vec<&str> =
        line.split(|byte| *byte == 0).map(|arg| std::str::from_utf8(arg).unwrap_or("")).collect();
    let kind = match *args.get(1)? {
        "espnet3-par-task" => Kind::Task,
        "espnet3-par-worker" => Kind::Worker,
        _ => return None,
    };
    if root != *args.get(2)? {
        return None;
    }
    let place = args.iter().position(|arg| *arg == "--name");
    let name = place.map_or("", |place| args[place + 1]).to_owned();
    Some(Process { pid, kind, name })
}

pub(crate) fn workers(root: &Path) -> Vec<Process> {
    of_run(root).into_iter().filter(|process| process.kind == Kind::Worker).collect()
}

pub(crate) fn tasks(root: &Path) -> Vec<Process> {
    of_run(root).into_iter().filter(|process| process.kind == Kind::Task).collect()
}

pub(crate) fn send(pid: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(i32::try_from(pid).expect("a pid is small")), signal);
}

/// The state letter of a process, proc_pid_stat(5).
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 1..].trim_start().chars().next()
}

/// kill -9 of everything at one moment: all are stopped first, so that none hears of another's end.
pub(crate) fn kill_all(root: &Path, driver: Option<u32>) {
    let mut stopped: Vec<u32> = Vec::new();
    loop {
        let all = of_run(root).into_iter().map(|process| process.pid).chain(driver);
        let new: Vec<u32> = all.filter(|pid| !stopped.contains(pid)).collect();
        for pid in &new {
            send(*pid, Signal::SIGSTOP);
        }
        if new.is_empty() {
            break;
        }
        stopped.extend(new);
    }
    for pid in stopped {
        send(pid, Signal::SIGKILL);
    }
    wait_until("all to be dead", || of_run(root).is_empty());
}
