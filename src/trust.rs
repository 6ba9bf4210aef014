//! Whether a run directory may be worked in: what is in it tells which processes to signal, which
//! jobs to cancel, what to import and what to start. Nobody does that at another user's word.

use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::Result;

use crate::atomic_file::scratch;
use crate::refused::Refused;
use crate::run_dir::RunDir;

/// Refuses a run directory that another user made, in part or whole, or that leads out of itself
/// by links. Only reading it is harmless.
///
/// # Errors
/// [`Refused`] with the path at fault.
pub(crate) fn check(run: &RunDir) -> Result<()> {
    check_owners(run)?;
    for path in run.own_paths() {
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            let message = format!("{} is a link, and a run directory has none", path.display());
            let hint = "move what it leads to into its place, and link the whole directory";
            return Err(Refused::new(message, hint).into());
        }
    }
    Ok(())
}

/// The same without a word on links: what is to be removed may be one.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_owners(run: &RunDir) -> Result<()> {
    let me = nix::unistd::geteuid().as_raw();
    // Root in a container works in users' folders. What it finds in them must be its own.
    let root = (me != 0).then(|| run.root().to_owned());
    for path in root.iter().chain(&run.own_paths()) {
        // The directory itself may be a link.
        let found = match Some(path) == root.as_ref() {
            true => fs::metadata(path),
            false => fs::symlink_metadata(path),
        };
        // What is not there, or cannot be reached, tells nobody anything.
        let Ok(owner) = found.map(|found| found.uid()) else { continue };
        if owner != me && owner != 0 && Some(owner) != known_as(run) {
            let (run, path) = (run.root().display(), path.display());
            let message = format!("{path} belongs to another user (uid {owner}, you are {me})");
            let hint = format!(
                "`status`, `logs` and `collect --stdout` only read; to work on it, copy it \
                 (`cp -r {run} MINE`), look what it holds, and set `output_dir=MINE`"
            );
            return Err(Refused::new(message, hint).into());
        }
    }
    Ok(())
}

/// Who this user is to the file server, which may know another number.
fn known_as(run: &RunDir) -> Option<u32> {
    let scratch = scratch(&run.spec());
    let uid =
        fs::File::create_new(&scratch).and_then(|file| file.metadata()).map(|file| file.uid());
    let _ = fs::remove_file(&scratch);
    uid.ok()
}
