//! A script of the user's, run to its end.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

use super::group::by_itself;
use super::{Group, NotStarted};

/// Runs a script by bash, with its output in `log`. If this process dies first, all that the script has
/// started dies at once, but for what has left its process group.
///
/// # Errors
/// When there is no bash or no process to be had.
pub(crate) fn run_script(script: &str, log: &File) -> Result<ExitStatus> {
    let what = || NotStarted::start(&["bash".to_owned()]);
    let group = Group::start(None)?;
    let mut bash = Command::new("bash")
        .stdin(Stdio::piped())
        .stdout(log.try_clone().with_context(what)?)
        .stderr(log.try_clone().with_context(what)?)
        .process_group(group.id())
        .spawn()
        .with_context(what)?;
    // Not as an argument: Linux takes no longer ones than 128 KiB. A bash that dies of a broken
    // script before it has read all of it says so by its exit status.
    if let Some(mut stdin) = bash.stdin.take() {
        let _ = stdin.write_all(script.as_bytes());
    }
    let ended = bash.wait().map(by_itself).with_context(what);
    // What a script leaves behind on purpose, `>(gzip >x.gz)` say, may go on.
    group.let_go();
    ended
}
