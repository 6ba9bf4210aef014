//! Programs whose answer is waited for: a scheduler's commands, and what copies files.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result};

use super::NotStarted;
use crate::cluster::Reply;
use crate::plain_file;

/// A scheduler's command that has not answered after so long hangs; Slurm's own patience is 10 s.
const ANSWER: Duration = Duration::from_secs(60);

/// Between two looks whether a program that runs is still wanted.
const GLANCE: Duration = Duration::from_millis(50);

/// As [`ask`], for a command that hands a job over: without the variables of this process that begin
/// with one of `unset`, and with what it prints in the file `out`, should this process not live to
/// read it.
///
/// # Errors
/// As [`ask`].
pub(crate) fn ask_for_a_job(
    argv: &[String],
    dir: &Path,
    stdin: Option<&str>,
    unset: &[&str],
    out: &Path,
) -> Result<Reply> {
    let file =
        plain_file::create(out).with_context(|| format!("failed to make {}", out.display()))?;
    let reply = run_to_its_end(argv, dir, stdin, unset, Some(&file))?;
    Ok(Reply { stdout: std::fs::read_to_string(out)?, ..reply })
}

/// Runs another program to its end, in `dir`.
///
/// # Errors
/// [`NotStarted`] when it is not there; when it does not end in time.
pub(crate) fn ask(argv: &[String], dir: &Path) -> Result<Reply> {
    run_to_its_end(argv, dir, None, &[], None)
}

fn run_to_its_end(
    argv: &[String],
    dir: &Path,
    stdin: Option<&str>,
    unset: &[&str],
    out: Option<&File>,
) -> Result<Reply> {
    let what = shell_words::join(argv);
    let mut command = duct::cmd(&argv[0], &argv[1..]).dir(dir).unchecked();
    command = match stdin {
        Some(text) => command.stdin_bytes(text),
        None => command.stdin_null(),
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| unset.iter().any(|start| name.starts_with(start))) {
            command = command.env_remove(name);
        }
    }
    command = match out {
        Some(file) => command.stdout_file(file.try_clone()?),
        None => command.stdout_capture(),
    };
    let handle = command
        .stderr_capture()
        // Ctrl-C at the terminal is for this process alone: a submission that it ended halfway would
        // leave a job that nobody knows.
        .before_spawn(|command| {
            command.process_group(0);
            Ok(())
        })
        .start()
        .with_context(|| NotStarted::start(argv))?;
    let Some(output) = handle.wait_timeout(ANSWER)? else {
        handle.kill()?;
        anyhow::bail!("`{what}` did not answer within {} s", ANSWER.as_secs());
    };
    Ok(reply(output))
}

fn reply(output: &Output) -> Reply {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    Reply { code: output.status.code(), stdout, stderr }
}

/// Runs one or more programs to their end, in `dir`, each one's output the next one's input, unless
/// it is `enough` before. The exit code is 0 only if all succeed.
///
/// # Errors
/// When one cannot be started, and when it is enough.
pub(crate) fn ask_in_a_row(
    argvs: &[Vec<String>],
    dir: &Path,
    enough: &dyn Fn() -> bool,
) -> Result<Reply> {
    let mut commands = argvs.iter().map(|argv| duct::cmd(&argv[0], &argv[1..]));
    let first = commands.next().context("no command")?;
    let all = commands.fold(first, |all, next| all.pipe(next));
    let what = || argvs.iter().map(shell_words::join).collect::<Vec<_>>().join(" | ");
    let handle = all
        .dir(dir)
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .start()
        .with_context(|| format!("failed to start `{}`", what()))?;
    loop {
        if let Some(output) = handle.wait_timeout(GLANCE)? {
            return Ok(reply(output));
        }
        if enough() {
            handle.kill()?;
            anyhow::bail!("interrupted");
        }
    }
}
