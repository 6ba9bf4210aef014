//! The log of a worker or a task, which is its stderr.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::plain_file;

/// Writes one line, with the time: in one piece, for stderr has no buffer and a log may have several
/// writers. Not with `eprintln!`, which panics where the log's disk is full.
pub(crate) fn log(message: &str) {
    let line = format!("{} {message}\n", jiff::Zoned::now().strftime("%F %T"));
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// The last lines of a log, so many at most; none of one that cannot be read.
pub(crate) fn last_lines(path: &Path, most: usize) -> Vec<String> {
    const ENOUGH: u64 = 4096;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = plain_file::open(path)?;
        let start = file.metadata()?.len().saturating_sub(ENOUGH);
        file.seek(SeekFrom::Start(start))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        Ok(end)
    };
    let end = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let lines: Vec<&str> = end.lines().collect();
    let first = lines.len().saturating_sub(most);
    lines[first..].iter().map(|line| (*line).to_owned()).collect()
}
