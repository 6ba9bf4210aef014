//! Which signals a process listens to.

use std::io;

use signal_hook::iterator::Signals;

/// Listens to those of `wanted` that this process was not told to ignore: `nohup` and a shell's
/// `&` do that, and whoever used them meant it.
///
/// # Errors
/// When a signal cannot be listened to.
pub(crate) fn listen(wanted: &[i32]) -> io::Result<Signals> {
    let ignored = ignored();
    Signals::new(wanted.iter().filter(|signal| ignored >> (*signal - 1) & 1 == 0))
}

/// One bit per signal, from the lowest for signal 1: `SigIgn` in `/proc/self/status`,
/// proc_pid_status(5).
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
