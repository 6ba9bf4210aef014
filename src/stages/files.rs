//! Files that belong to a whole run, written so that nobody ever reads half of one.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// Writes a file under another name in the same directory, then renames it.
///
/// # Errors
/// When `write` fails, or the file system does.
pub(super) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<()>,
) -> Result<()> {
    let mut name = path.file_name().context("a path without a file name")?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = || -> Result<()> {
        let mut file = BufWriter::new(File::create(&temporary)?);
        write(&mut file)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        Ok(fs::rename(&temporary, path)?)
    };
    written().with_context(|| format!("failed to write `{}`", path.display())).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}
