//! The only module that starts other programs, and the one that signals them.

use std::fs::{File, OpenOptions};
use std::io::{PipeWriter, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getsid};

use crate::cluster::{Reply, Ssh, THREADS};
use crate::identity::Process;
use crate::job::Job;
use crate::roster::reserve_name;
use crate::run_dir::RunDir;

mod fed;
mod group;
mod program;
mod script;

pub(crate) use fed::{Fed, Said};
pub(crate) use group::{Group, kill_all_groups};
pub(crate) use program::{Program, is_there, told};
pub(crate) use script::run_script;

/// The first argument that makes a program with stages a task of a job.
pub(crate) const TASK: &str = "espnet3-par-task";
/// The first argument that makes a program with stages a worker of a task.
pub(crate) const WORKER: &str = "espnet3-par-worker";

/// A program that has not begun after so long will not.
const PATIENCE: Duration = Duration::from_secs(10);

/// A scheduler's command that has not answered after so long hangs; Slurm's own patience is 10 s.
const ANSWER: Duration = Duration::from_secs(60);

/// Between two looks whether a program that runs is still wanted.
const GLANCE: Duration = Duration::from_millis(50);

/// A program could not be started, or a scheduler did not do as it was told.
#[derive(Debug)]
pub(crate) struct NotStarted {
    message: String,
    /// What to do next.
    pub hint: &'static str,
}

impl NotStarted {
    fn start(argv: &[String]) -> Self {
        let message = format!("failed to start `{}`", shell_words::join(argv));
        Self { message, hint: "is it installed here, and on PATH?" }
    }

    /// No host could be reached.
    pub(crate) fn unreachable(hosts: &[String]) -> Self {
        let message = format!("failed to start workers on any host\n  {}", hosts.join("\n  "));
        Self { message, hint: "`ssh HOST true` must work by itself, without a password" }
    }

    /// A job was not taken.
    pub(crate) fn not_taken(argv: &[String], reply: &Reply) -> Self {
        let hint = "`espnet3-par check` shows what is submitted; set that right and run again";
        Self { message: Self::refused("submit", argv, reply), hint }
    }

    /// Jobs were not ended.
    pub(crate) fn not_cancelled(argv: &[String], reply: &Reply) -> Self {
        let hint = "try again, or end the jobs with the scheduler's own command";
        Self { message: Self::refused("cancel", argv, reply), hint }
    }

    /// A command that was started and failed, in its own words.
    fn refused(verb: &str, argv: &[String], reply: &Reply) -> String {
        let command = shell_words::join(argv);
        let code = match reply.code {
            Some(0) => "no job id in its reply".to_owned(),
            Some(code) => format!("exit code {code}"),
            None => "ended by a signal".to_owned(),
        };
        format!("failed to {verb} with `{command}`: {code}: {}", reply.complaint())
    }
}

impl std::fmt::Display for NotStarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for NotStarted {}

/// A program that was started.
pub(crate) struct Started {
    handle: duct::Handle,
    pub pid: u32,
    /// What it reads; it ends when this is closed.
    lifeline: Option<PipeWriter>,
}

impl Started {
    fn start(argv: &[String], dir: &Path, log: &File, env: &[(&str, String)]) -> Result<Self> {
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

/// Starts a task of a job, here or on its host. It ends with its parent unless it is `detached`.
pub(crate) fn start_task(run: &RunDir, job: &Job, task: u32, detached: bool) -> Result<Started> {
    let path = run.task_log(job.number, task);
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("failed to open {}", path.display()))?;
    let mut argv = job.argv.clone();
    argv.extend(["--task".to_owned(), task.to_string()]);
    if let Some(host) = job.tasks.get(task as usize).and_then(|task| task.host.as_deref()) {
        let (ssh, _) = Ssh::read(&job.options);
        if detached {
            argv.push("--session".to_owned());
            let command = remote(job, &argv, Some(&std::path::absolute(&path)?))?;
            return Started::start(&ssh.argv(host, &command), &job.recipe_dir, &log, &[]);
        }
        argv.push("--lifeline".to_owned());
        let argv = ssh.argv(host, &remote(job, &argv, None)?);
        return Started::start_on_a_lifeline(&argv, &job.recipe_dir, &log);
    }
    argv.push("--session".to_owned());
    if !detached {
        argv.extend(parent_arguments());
    }
    let started = Started::start(&argv, &job.recipe_dir, &log, &[])?;
    job.note_task(run, task, Process::of(started.pid))?;
    Ok(started)
}

/// A command for the shell of another host, to be run in the recipe's directory; with a log, in the
/// background.
fn remote(job: &Job, argv: &[String], log: Option<&Path>) -> Result<String> {
    let word = |path: &Path| {
        let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
        anyhow::Ok(shell_words::quote(text).into_owned())
    };
    let command = format!("cd {} && exec {}", word(&job.recipe_dir)?, shell_words::join(argv));
    // Whatever shell the user has there, this one is like ours.
    let command = format!("exec sh -c {}", shell_words::quote(&command));
    Ok(match log {
        None => command,
        Some(log) => {
            let log = word(log)?;
            let background = format!("{command} </dev/null >>{log} 2>&1 &");
            format!("exec sh -c {}", shell_words::quote(&background))
        }
    })
}

/// Starts a worker of a task, in one of its `slot`s, and gives it a name and a log.
pub(crate) fn start_worker(
    run: &RunDir,
    job: &Job,
    task: u32,
    slot: u32,
    after: Option<&str>,
    ends_at: Option<u64>,
) -> Result<(String, Started)> {
    let (name, log) = reserve_name(run).context("failed to open a log")?;
    let rank = (job.rank(task) + slot).to_string();
    let mut argv = job.argv.clone();
    argv[1] = WORKER.to_owned();
    argv.extend(["--name", &name, "--task", &task.to_string(), "--rank", &rank].map(String::from));
    if let Some(dead) = after {
        argv.extend(["--after".to_owned(), dead.to_owned()]);
    }
    if let Some(second) = ends_at {
        argv.extend(["--ends-at".to_owned(), second.to_string()]);
    }
    argv.extend(parent_arguments());
    let threads = job.threads_per_worker.to_string();
    let mut env = Vec::new();
    if !job.callers_env {
        let unset = THREADS.into_iter().filter(|name| std::env::var_os(name).is_none());
        env.extend(unset.map(|name| (name, threads.clone())));
        // As in ESPnet3's jobs.
        env.extend([("WORLD_SIZE", job.n_workers.to_string()), ("WORLD_RANK", rank)]);
    }
    let devices = job.tasks.get(task as usize).map(|task| task.devices.as_slice());
    let device = devices.and_then(|devices| devices.get(slot as usize));
    env.extend(device.map(|device| ("CUDA_VISIBLE_DEVICES", device.clone())));
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
    let file = File::create(out).with_context(|| format!("failed to make {}", out.display()))?;
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
