//! A command of the user's that must not outlive this process.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

use super::NotStarted;

/// Leads the group that the command is in, and reads from a pipe that nobody writes to. When the pipe
/// ends, this process is gone, whatever it died of, and the whole group is killed.
const KEEPER: &str = "trap '' HUP INT QUIT TERM USR1 USR2; read -r _; kill -KILL 0";

/// Runs a script by bash to its end, with its output in `log`. If this process dies first, all that
/// the script has started dies at once, but for what has left its process group.
///
/// # Errors
/// When there is no bash or no process to be had.
pub(crate) fn run_script(script: &str, log: &File) -> Result<ExitStatus> {
    let bash = ["bash".to_owned()];
    let what = || NotStarted::start(&bash);
    let (reader, lifeline) = std::io::pipe().with_context(what)?;
    let mut keeper = Command::new("sh")
        .args(["-c", KEEPER])
        .stdin(reader)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .with_context(what)?;
    let ended = (|| {
        let mut bash = Command::new("bash")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().with_context(what)?)
            .stderr(log.try_clone().with_context(what)?)
            .process_group(keeper.id().cast_signed())
            .spawn()
            .with_context(what)?;
        // Not as an argument: Linux takes no longer ones than 128 KiB. A bash that dies of a broken
        // script before it has read all of it says so by its exit status.
        if let Some(mut stdin) = bash.stdin.take() {
            let _ = stdin.write_all(script.as_bytes());
        }
        bash.wait().with_context(what)
    })();
    // The keeper alone: what a script leaves behind on purpose, `>(gzip >x.gz)` say, may go on.
    let _ = keeper.kill();
    let _ = keeper.wait();
    drop(lifeline);
    ended
}
