//! The log of a worker or a task, which is its stderr.

use std::io::Write;

/// Writes one line, with the time. Not with `eprintln!`, which panics where the log's disk is full.
pub(crate) fn log(message: &str) {
    let _ = writeln!(std::io::stderr(), "{} {message}", jiff::Zoned::now().strftime("%F %T"));
}
