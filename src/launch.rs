//! The only module that starts other programs, and the one that signals them.

use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cluster::{GPUS, Ssh, THREADS, scheduler, share_of, visible_gpus};
use crate::identity::Process;
use crate::job::Job;
use crate::plain_file;
use crate::roster::reserve_name;
use crate::run_dir::RunDir;

mod ask;
mod fed;
mod group;
mod not_started;
mod program;
mod script;
mod started;

pub(crate) use ask::{ask, ask_for_a_job, ask_in_a_row};
pub(crate) use fed::{Fed, Said};
pub(crate) use group::{Group, kill_all_groups};
pub(crate) use not_started::NotStarted;
pub(crate) use program::{Program, is_there, told};
pub(crate) use script::run_script;
pub(crate) use started::Started;

/// The first argument that makes a program with stages a task of a job.
pub(crate) const TASK: &str = "espnet3-par-task";
/// The first argument that makes a program with stages a worker of a task.
pub(crate) const WORKER: &str = "espnet3-par-worker";

/// Starts a task of a job, here or on its host. It ends with its parent unless it is `detached`.
pub(crate) fn start_task(run: &RunDir, job: &Job, task: u32, detached: bool) -> Result<Started> {
    let path = run.task_log(job.number, task);
    let log =
        plain_file::append(&path).with_context(|| format!("failed to open {}", path.display()))?;
    let mut argv = job.argv.clone();
    argv.extend(["--task".to_owned(), task.to_string()]);
    if let Some(host) = job.tasks.get(task as usize).and_then(|task| task.host.as_deref()) {
        let (ssh, _) = Ssh::read(&job.options);
        if detached {
            argv.push("--session".to_owned());
            let command =
                remote_command(&job.recipe_dir, &argv, Some(&std::path::absolute(&path)?))?;
            return Started::start(&ssh.argv(host, &command), &job.recipe_dir, &log, &[]);
        }
        argv.push("--lifeline".to_owned());
        let argv = ssh.argv(host, &remote_command(&job.recipe_dir, &argv, None)?);
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
pub(crate) fn remote_command(folder: &Path, argv: &[String], log: Option<&Path>) -> Result<String> {
    let word = |path: &Path| {
        let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
        anyhow::Ok(shell_words::quote(text).into_owned())
    };
    let command = format!("cd {} && exec {}", word(folder)?, shell_words::join(argv));
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
    env.extend(devices(job, task, slot).map(|devices| (GPUS, devices)));
    Ok((name, Started::start(&argv, &job.recipe_dir, &log, &env)?))
}

/// The GPUs of a worker, where they are not simply those of this task.
fn devices(job: &Job, task: u32, slot: u32) -> Option<String> {
    let task = job.tasks.get(task as usize)?;
    if !task.devices.is_empty() {
        return task.devices.get(slot as usize).cloned();
    }
    // A scheduler has given them to the task. Of a caller's own each worker has all.
    let given = scheduler(&job.cluster).and_then(|_| std::env::var(GPUS).ok());
    share_of(&visible_gpus(given.as_deref())?, task.workers, slot)
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
