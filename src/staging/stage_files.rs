//! Files of a recipe that its hosts get a copy of, unless they have one that is still like the
//! original.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::remote::{Remote, quote};
use crate::checksum::sha256_bytes;
use crate::log::log;

/// In the recipe's directory there: what was copied, each with its stamp.
pub(crate) const STAMPS: &str = ".staged";

/// Copies those of the recipe's files that are not there, by the stamps that the host has `said`, or
/// were something else when they came.
pub(crate) fn send_files(
    remote: &Remote<'_>,
    host: &str,
    from: &Path,
    files: &[String],
    to: &str,
    said: &str,
) -> Result<()> {
    let there: BTreeSet<&str> = said.lines().collect();
    let mut stamps = String::new();
    for file in files {
        let stamp = stamp(from, file)
            .with_context(|| format!("failed to read `{file}` of `stage_files`"))?;
        let line = format!("{stamp} {file:?}");
        if !there.contains(line.as_str()) {
            log(&format!("copying {file} to {host}"));
            remote.run(&format!("cd {} && rm -rf {STAMPS} {}", quote(to), quote(file)))?;
            remote.send(from, std::slice::from_ref(file), to, "true")?;
        }
        stamps += &format!(" {}", quote(&line));
    }
    if files.is_empty() {
        return Ok(());
    }
    remote.run(&format!("cd {} && printf '%s\\n'{stamps} > {STAMPS}", quote(to))).map(|_| ())
}

/// Changes when a file in `entry`, a file or folder below `recipe`, does: names, sizes and times of
/// change of all that is in it, wherever links lead.
fn stamp(recipe: &Path, entry: &str) -> io::Result<String> {
    let mut all = String::new();
    list(&recipe.join(entry), entry, &mut all)?;
    Ok(sha256_bytes(all.as_bytes()))
}

fn list(path: &Path, name: &str, all: &mut String) -> io::Result<()> {
    let about = fs::metadata(path)?;
    if !about.is_dir() {
        let (size, time, nanos) = (about.len(), about.mtime(), about.mtime_nsec());
        all.push_str(&format!("{name:?} {size} {time}.{nanos}\n"));
        return Ok(());
    }
    all.push_str(&format!("{name:?}\n"));
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name());
    }
    names.sort();
    for inner in names {
        list(&path.join(&inner), &format!("{name}/{}", inner.to_string_lossy()), all)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_changes_with_what_it_is_of() {
        let recipe = tempfile::tempdir().expect("a temporary folder");
        let data = recipe.path().join("data");
        fs::create_dir_all(data.join("inner")).expect("makes folders");
        fs::write(data.join("inner/a"), "a").expect("writes");
        let stamp = || stamp(recipe.path(), "data").expect("reads");
        let first = stamp();
        assert_eq!(stamp(), first);
        fs::write(data.join("inner/a"), "ab").expect("writes");
        let second = stamp();
        fs::rename(data.join("inner/a"), data.join("inner/b")).expect("renames");
        assert!(first != second && second != stamp());
        assert!(super::stamp(recipe.path(), "nothing").is_err());
    }
}
