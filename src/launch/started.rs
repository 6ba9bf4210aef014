//! A task, a worker or a login that this process has started.

use std::fs::File;
use std::io::{PipeWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::unistd::{Pid, getsid};

use super::{NotStarted, terminate};

/// A program that has not begun after so long will not.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program that was started.
pub(crate) struct Started {
    handle: duct::Handle,
    pub pid: u32,
    /// What it reads; it ends when this is closed.
    lifeline: Option<PipeWriter>,
}

impl Started {
    pub(super) fn start(
        argv: &[String],
        dir: &Path,
        log: &File,
        env: &[(&str, String)],
    ) -> Result<Self> {
        let command = env.iter().fold(duct::cmd(&argv[0], &argv[1..]), |command, (name, value)| {
            command.env(name, value)
        });
        Self::start_command(argv, &command.stdin_null(), dir, log)
    }

    /// Starts a program that ends when this process does, whatever this process dies of: it reads
    /// from a pipe that is closed then.
    pub(crate) fn start_on_a_lifeline(argv: &[String], dir: &Path, log: &File) -> Result<Self> {
        let (reader, writer) = std::io::pipe().with_context(|| NotStarted::start(argv))?;
        let command = duct::cmd(&argv[0], &argv[1..]).stdin_file(reader);
        let started = Self::start_command(argv, &command, dir, log)?;
        Ok(Self { lifeline: Some(writer), ..started })
    }

    fn start_command(
        argv: &[String],
        command: &duct::Expression,
        dir: &Path,
        log: &File,
    ) -> Result<Self> {
        let what = || NotStarted::start(argv);
        let handle = command
            .dir(dir)
            .stdout_file(log.try_clone().with_context(what)?)
            .stderr_file(log.try_clone().with_context(what)?)
            .unchecked()
            .start()
            .with_context(what)?;
        let pid = handle.pids()[0];
        Ok(Self { handle, pid, lifeline: None })
    }

    /// Writes to it, if it is on a lifeline.
    pub(crate) fn tell(&self, text: &str) -> std::io::Result<()> {
        self.lifeline.as_ref().map_or(Ok(()), |mut lifeline| lifeline.write_all(text.as_bytes()))
    }

    /// Asks it to end.
    pub(crate) fn stop(&mut self) {
        if self.lifeline.take().is_none() {
            terminate(self.pid);
        }
    }

    /// Whether it still runs; the exit status once it does not.
    pub(crate) fn try_wait(&self) -> Result<Option<std::process::ExitStatus>> {
        Ok(self.handle.try_wait()?.map(|output| output.status))
    }

    /// Waits for its end, but no longer than `most`.
    pub(crate) fn rest(&self, most: Duration) -> Result<()> {
        self.handle.wait_timeout(most)?;
        Ok(())
    }

    /// Waits until it can do without this process: has a session of its own, or has ended.
    pub(crate) fn wait_for_session(&self) -> Result<()> {
        let pid = Pid::from_raw(self.pid.cast_signed());
        let since = Instant::now();
        while getsid(Some(pid)) != Ok(pid)
            && self.try_wait()?.is_none()
            && since.elapsed() < PATIENCE
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Waits for its end.
    pub(crate) fn wait(&self) -> Result<std::process::ExitStatus> {
        Ok(self.handle.wait()?.status)
    }
}
