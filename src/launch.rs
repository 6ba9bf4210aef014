//! The only module that starts other programs, and the one that signals them.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getsid};

use crate::job::Job;
use crate::roster::reserve_name;
use crate::run_dir::RunDir;

/// The first argument that makes a program with stages a task of a job.
pub(crate) const TASK: &str = "espnet3-par-task";
/// The first argument that makes a program with stages a worker of a task.
pub(crate) const WORKER: &str = "espnet3-par-worker";

/// How many threads a library may start. Each would take all cores, in every worker.
const THREADS: [&str; 4] =
    ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];

/// A program that has not begun after so long will not.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program could not be started.
#[derive(Debug)]
pub(crate) struct NotStarted(String);

impl std::fmt::Display for NotStarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "failed to start `{}`", self.0)
    }
}

/// A program that was started.
pub(crate) struct Started {
    handle: duct::Handle,
    pub pid: u32,
}

impl Started {
    fn start(argv: &[String], dir: &Path, log: &File, env: &[(&str, String)]) -> Result<Self> {
        let what = || NotStarted(shell_words::join(argv));
        let mut command = duct::cmd(&argv[0], &argv[1..]);
        for (name, value) in env {
            command = command.env(name, value);
        }
        let handle = command
            .dir(dir)
            .stdin_null()
            .stdout_file(log.try_clone().with_context(what)?)
            .stderr_file(log.try_clone().with_context(what)?)
            .unchecked()
            .start()
            .with_context(what)?;
        let pid = handle.pids()[0];
        Ok(Self { handle, pid })
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

    /// Waits until it has a session of its own, or has ended: before that it hears what the
    /// terminal's processes hear.
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

/// Starts task 0 of a job on this machine. A task ends with its parent unless it is `detached`.
pub(crate) fn start_task(run: &RunDir, job: &Job, detached: bool) -> Result<Started> {
    let path = run.task_log(job.number, 0);
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("failed to open {}", path.display()))?;
    let mut argv = job.argv.clone();
    if !detached {
        argv.extend(parent_arguments());
    }
    let started = Started::start(&argv, &job.recipe_dir, &log, &[])?;
    job.note_task(run, started.pid)?;
    Ok(started)
}

/// Starts worker `rank` of a task and gives it a name and a log.
pub(crate) fn start_worker(
    run: &RunDir,
    job: &Job,
    rank: u32,
    after: Option<&str>,
) -> Result<(String, Started)> {
    let (name, log) = reserve_name(run).context("failed to open a log")?;
    let mut argv = job.argv.clone();
    argv[1] = WORKER.to_owned();
    argv.extend(["--name".to_owned(), name.clone(), "--rank".to_owned(), rank.to_string()]);
    if let Some(dead) = after {
        argv.extend(["--after".to_owned(), dead.to_owned()]);
    }
    argv.extend(parent_arguments());
    let threads = job.threads_per_worker.to_string();
    let unset = THREADS.into_iter().filter(|name| std::env::var_os(name).is_none());
    let env: Vec<_> = unset.map(|name| (name, threads.clone())).collect();
    Ok((name, Started::start(&argv, &job.recipe_dir, &log, &env)?))
}

/// The command that starts a task of a run; the job's number is added when there is one.
pub(crate) fn task_argv(run: &RunDir) -> Result<Vec<String>> {
    let exe = std::env::current_exe().context("failed to find this program")?;
    let root = std::path::absolute(run.root())?;
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
    };
    Ok(vec![text(&exe)?, TASK.to_owned(), text(&root)?])
}

fn parent_arguments() -> [String; 2] {
    ["--parent".to_owned(), std::process::id().to_string()]
}

/// Makes this process hear SIGTERM when its parent is gone, at once if it is gone already.
pub(crate) fn end_with_parent(parent: u32) -> Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).context("failed to watch the parent")?;
    if std::os::unix::process::parent_id() != parent {
        anyhow::bail!("the parent process {parent} is gone");
    }
    Ok(())
}

/// Asks a process to end. One that is gone already is no error.
pub(crate) fn terminate(pid: u32) {
    signal(pid, Signal::SIGTERM);
}

/// Ends a session's leader and all in its process group, without asking.
pub(crate) fn kill_session(leader: u32) {
    if let Ok(pid) = i32::try_from(leader) {
        let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
    }
    signal(leader, Signal::SIGKILL);
}

fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}
