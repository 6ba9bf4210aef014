//! Files that appear whole or not at all: written beside, synced, renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::identity::random_name;

/// A name beside `path` for writing before the rename; no two processes share it.
pub(crate) fn scratch(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{}", random_name()))
}

/// Whether a file's name is one that [`scratch`] gives.
pub(crate) fn is_scratch(name: &str) -> bool {
    name.strip_prefix('.').and_then(|rest| rest.rsplit_once('.')).is_some_and(|(_, random)| {
        random.len() == 8 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Gives a file its name; nobody else knows `scratch`. An NFS server that answers a repeated request
/// says "no such file" of a rename that it did: the file has its name then.
pub(crate) fn put(scratch: &Path, path: &Path) -> io::Result<()> {
    match fs::rename(scratch, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => Ok(()),
        renamed => renamed,
    }
}

/// Writes a whole file so that readers, also after a power cut, see the old one or the new one.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, |out| out.write_all(bytes))
}

/// As [`write`](fn@write), for what means nothing after a power cut, such as who is at work: it is not
/// synced, which takes a disk milliseconds.
pub(crate) fn note(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let scratch = scratch(path);
    let written = File::create_new(&scratch)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| put(&scratch, path));
    if written.is_err() {
        let _ = fs::remove_file(&scratch);
    }
    written
}

/// As [`write`](fn@write), with what `content` writes.
///
/// # Errors
/// What `content` fails with, or the file system; the old file stays then.
pub(crate) fn write_with<T, E: From<io::Error>>(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> Result<T, E>,
) -> Result<T, E> {
    let scratch = scratch(path);
    let written = (|| {
        let mut out = BufWriter::with_capacity(1 << 18, File::create_new(&scratch)?);
        let value = content(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
        put(&scratch, path)?;
        Ok(value)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&scratch);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("results.jsonl");
        write(&path, b"old").expect("writes");
        let failed: io::Result<()> = write_with(&path, |out| {
            out.write_all(b"new")?;
            Err(io::Error::other("no more"))
        });
        assert!(failed.is_err());
        assert!(note(&folder.path().join("none/there"), b"new").is_err());
        assert_eq!(fs::read(&path).expect("reads"), b"old");
        assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 1);
        note(&path, b"new").expect("writes");
        assert_eq!(fs::read(&path).expect("reads"), b"new");
        assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 1);
    }

    #[test]
    fn scratch_names_are_known() {
        let name = scratch(Path::new("a/results.jsonl"));
        assert!(is_scratch(name.file_name().and_then(|name| name.to_str()).expect("a name")));
        for other in
            [".snapshot", ".nfs0000000012345678", "results.jsonl", ".a.b", ".results.jsonl"]
        {
            assert!(!is_scratch(other), "{other}");
        }
    }
}
