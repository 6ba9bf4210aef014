//! Files of a run directory, opened as what they should be: plain files.
//!
//! A directory may be damaged, or planted by somebody else. A link would lead out of it, a pipe
//! would be waited for without end, and two gigabytes would fill the memory.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};

/// No file that is read as a whole is larger: a spec of 10⁷ shards has this size.
const LARGEST: u64 = 256 << 20;

/// Opens a file for reading.
///
/// # Errors
/// Says what it is, where it is no file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_as(path, OpenOptions::new().read(true))
}

/// Opens a file to write at its end; makes it if it is not there.
///
/// # Errors
/// As [`open`].
pub(crate) fn append(path: &Path) -> io::Result<File> {
    open_as(path, OpenOptions::new().create(true).append(true))
}

/// Opens a file to write it anew.
///
/// # Errors
/// As [`open`].
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let file = open_as(path, OpenOptions::new().create(true).write(true))?;
    file.set_len(0)?;
    Ok(file)
}

fn open_as(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    match options.custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        other => match fs::symlink_metadata(path).ok().and_then(|at| what_else(at.file_type())) {
            Some(what) => Err(io::Error::other(format!("{} is {what}", path.display()))),
            None => other,
        },
    }
}

/// What stands in the place of a file, if it is none.
pub(crate) fn what_else(kind: FileType) -> Option<&'static str> {
    Some(match () {
        () if kind.is_file() => return None,
        () if kind.is_symlink() => "a link, and no file",
        () if kind.is_dir() => "a folder, and no file",
        () if kind.is_fifo() => "a pipe, and no file",
        () => "no file",
    })
}

/// All of a file.
///
/// # Errors
/// As [`open`], and for a file that is far too large for what it should be.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata()?.len();
    if length > LARGEST {
        let message = format!("{} has {length} bytes, and should have few", path.display());
        return Err(io::Error::other(message));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // It may grow meanwhile.
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_opened() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("folder")).expect("makes it");
        std::os::unix::fs::symlink("nothing", at("link")).expect("makes it");
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("makes it");
        for name in ["folder", "link", "pipe"] {
            for opened in [open(&at(name)), append(&at(name)), create(&at(name))] {
                let error = opened.expect_err("is no file").to_string();
                let wanted =
                    format!("{} is a {name}, and no file", folder.path().join(name).display());
                assert_eq!(error, wanted);
            }
        }
        let missing = open(&at("missing")).expect_err("is not there");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert!(!at("nothing").exists());
    }

    #[test]
    fn what_is_far_too_large_is_not_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("spec.json");
        File::create(&path).and_then(|file| file.set_len(LARGEST + 1)).expect("makes it");
        let error = read(&path).expect_err("too large").to_string();
        assert!(error.ends_with("has 268435457 bytes, and should have few"), "{error}");
    }
}
