//! Lines of files that may hold anything: none is kept that is longer than it can be, however large
//! the file.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// No record is longer. What is larger belongs into a file of the record's.
pub(crate) const LONGEST_LINE: usize = 64 << 20;

/// The lines of a file, one at a time.
pub(crate) struct Lines<R> {
    from: R,
    kept: Vec<u8>,
    longest: usize,
}

/// A line, with its end.
pub(crate) struct Line<'a> {
    /// Nothing of one that is too long.
    pub bytes: &'a [u8],
    /// How long it is in the file.
    pub length: u64,
    /// Whether it has an end.
    pub whole: bool,
}

impl Line<'_> {
    /// Whether it is longer than any of ours.
    pub(crate) fn too_long(&self) -> bool {
        self.length > self.bytes.len() as u64
    }
}

impl Lines<BufReader<File>> {
    pub(crate) fn of(file: File) -> Self {
        Self::new(BufReader::with_capacity(1 << 18, file))
    }
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, kept: Vec::new(), longest: LONGEST_LINE }
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.kept.clear();
        let (mut length, mut whole) = (0, false);
        while !whole {
            let chunk = match self.from.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                chunk => chunk?,
            };
            if chunk.is_empty() {
                break;
            }
            let end = memchr::memchr(b'\n', chunk);
            whole = end.is_some();
            let part = end.map_or(chunk.len(), |end| end + 1);
            length += part as u64;
            if length <= self.longest as u64 {
                self.kept.extend_from_slice(&chunk[..part]);
            } else {
                self.kept = Vec::new();
            }
            self.from.consume(part);
        }
        let bytes = self.kept.as_slice();
        Ok((length > 0).then_some(Line { bytes, length, whole }))
    }
}

/// The text of a manifest or the like, which the user names.
///
/// # Errors
/// Names the file, and the line that is none.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let read = || format!("failed to read `{}`", path.display());
    let mut lines = Lines::of(File::open(path).with_context(read)?);
    let mut text = String::new();
    for number in 1.. {
        let Some(line) = lines.next().with_context(read)? else { break };
        let place = || format!("{}:{number}", path.display());
        if line.too_long() {
            bail!("{}: the line has {} bytes, which is no line of a text", place(), line.length);
        }
        let line = str::from_utf8(line.bytes).map_err(|_| ()).and_then(|line| match line {
            line if line.contains('\0') => Err(()),
            line => Ok(line),
        });
        match line {
            Ok(line) => text.push_str(line),
            Err(()) => bail!("{}: this is not UTF-8 text", place()),
        }
    }
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_line_that_is_too_long_nothing_is_kept() {
        let text = b"a\n123456789\n12345678\n123456789\nb";
        let mut lines =
            Lines { from: BufReader::with_capacity(3, &text[..]), kept: Vec::new(), longest: 9 };
        let mut seen = Vec::new();
        while let Some(line) = lines.next().expect("reads") {
            seen.push((line.bytes.len(), line.length, line.whole, line.too_long()));
        }
        let too_long = (0, 10, true, true);
        let wanted =
            [(2, 2, true, false), too_long, (9, 9, true, false), too_long, (1, 1, false, false)];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn what_is_no_text_is_named_by_its_line() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("wav.scp");
        for (bytes, wrong) in [
            (&b"a b\nc \xff\n"[..], ":2: this is not UTF-8 text"),
            (b"a b\nc \0\n", ":2: this is not UTF-8 text"),
        ] {
            std::fs::write(&path, bytes).expect("writes");
            let error = read_text(&path).expect_err("is no text").to_string();
            assert_eq!(error, format!("{}{wrong}", path.display()));
        }
        std::fs::write(&path, "\u{feff}a b").expect("writes");
        assert_eq!(read_text(&path).expect("is text"), "a b");
    }
}
