//! Who a process is, in a way that another process, on another host, can check.

use std::fs;

use serde::{Deserialize, Serialize};

/// A process, told apart from every other one: the same pid after a reboot, or reused by a later
/// process, is another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub host: String,
    /// The kernel's id of this boot, `/proc/sys/kernel/random/boot_id`, proc(5), and the namespace
    /// of its pids.
    pub boot: String,
    pub pid: u32,
    /// Ticks from boot to the process's start: field 22 of `/proc/PID/stat`, proc_pid_stat(5).
    pub start: u64,
}

impl Process {
    /// This process.
    pub(crate) fn current() -> Self {
        Self::of(std::process::id())
    }

    /// The process of this host that has `pid` now.
    pub(crate) fn of(pid: u32) -> Self {
        Self { host: host(), boot: boot(), pid, start: stat(pid).map_or(0, |(_, start)| start) }
    }

    /// Whether the process lives, where this can be seen from here: on the same boot of the same
    /// host. `None`: it cannot.
    pub(crate) fn lives(&self) -> Option<bool> {
        if self.host != host() || self.boot != boot() {
            return None;
        }
        Some(matches!(stat(self.pid), Some((state, start))
            if start == self.start && !matches!(state, 'Z' | 'X')))
    }
}

/// This host's name.
pub(crate) fn host() -> String {
    nix::unistd::gethostname()
        .map_or_else(|_| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// This boot and, since a container can have its own pids, their namespace: pid_namespaces(7).
fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let pids = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), pids.display())
}

/// State letter and start time of a process.
fn stat(pid: u32) -> Option<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name, in parentheses, may hold anything, blanks and parentheses too.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Eight hexadecimal digits, other ones at each call. Where they must be nobody else's, the file
/// they name is made with `create_new`.
pub(crate) fn random_name() -> String {
    use std::hash::{BuildHasher, Hasher};
    // RandomState is seeded by the operating system; each state differs from the last.
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{:08x}", hasher.finish() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_a_later_one_of_its_pid_is_another() {
        let me = Process::current();
        assert_eq!(me.lives(), Some(true));
        assert_eq!(Process { start: me.start + 1, ..me.clone() }.lives(), Some(false));
        assert_eq!(Process { boot: "another boot".into(), ..me.clone() }.lives(), None);
        assert_eq!(Process { host: "another host".into(), ..me }.lives(), None);
    }

    #[test]
    fn a_process_that_ended_is_dead_before_its_parent_notices() {
        let mut child = std::process::Command::new("true").spawn().expect("true starts");
        let pid = child.id();
        let start = stat(pid).expect("just started").1;
        let process = Process { pid, start, ..Process::current() };
        for _ in 0..500 {
            if process.lives() == Some(false) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(process.lives(), Some(false), "`true` seems to live for 5 s");
        child.wait().expect("its status is still there");
    }
}
