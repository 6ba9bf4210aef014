//! The two kinds of process a run is made of besides its driver: tasks, and workers.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;

use super::fail::Exit;
use crate::deadline::Deadline;
use crate::job::Job;
use crate::launch::{TASK, WORKER, end_with_parent, terminate};
use crate::log::log;
use crate::roster::{Ended, Place, Worker, bury};
use crate::run_dir::RunDir;
use crate::spec::Spec;
use crate::stage::{LoadedStage, Stage};
use crate::stages::QUEUE;
use crate::staging::{Errand, carry};
use crate::task::{Task, keep_workers};
use crate::vigil::Exits;
use crate::worker::{Assignment, work};

/// Its parent knows what a worker's end means from the run directory.
/// The last one is that of timeout(1).
const WORKER_EXITS: Exits = Exits { signal: 0, stop: 0, overdue: 124 };

const IN_PROCESS_EXITS: Exits = Exits {
    signal: Exit::Interrupted as i32,
    stop: Exit::Incomplete as i32,
    overdue: Exit::Incomplete as i32,
};

/// The arguments of a task or a worker; nobody types them.
#[derive(Parser)]
struct Process {
    run: PathBuf,
    #[arg(long)]
    job: u32,
    /// Which element of the job; schedulers name it.
    #[arg(long, default_value_t = 0)]
    task: u32,
    /// Seconds from now on to the end of the task.
    #[arg(long, allow_negative_numbers = true)]
    time_limit: Option<i64>,
    /// The second since 1970 at which it ends; empty where a scheduler does not say.
    #[arg(long, default_value = "")]
    ends_at: String,
    /// A task with a session of its own: it outlives the terminal, and Ctrl-C there reaches the
    /// driver alone. A scheduler ends its tasks by their session and needs them in its own.
    #[arg(long)]
    session: bool,
    /// A task that ends when its input does: the driver, on another host, is gone.
    #[arg(long)]
    lifeline: bool,
    #[arg(long, default_value = "")]
    name: String,
    #[arg(long, default_value_t = 0)]
    rank: u32,
    /// The worker that died in this one's place.
    #[arg(long)]
    after: Option<String>,
    #[arg(long)]
    parent: Option<u32>,
}

/// Does the work of a task or a worker if that is what this process was started for; the exit
/// code then.
pub(super) fn worker_entry(stages: &[Stage]) -> Option<u8> {
    let kind = std::env::args_os().nth(1)?;
    if kind != TASK && kind != WORKER {
        return None;
    }
    let ended = be(stages, &kind);
    if let Err(error) = &ended {
        log(&format!("error: {error:#}"));
    }
    Some(ended.is_err().into())
}

fn be(stages: &[Stage], kind: &OsString) -> Result<()> {
    let process = Process::try_parse_from(std::env::args_os().skip(1))?;
    if let Some(parent) = process.parent {
        end_with_parent(parent)?;
    }
    let run = RunDir::new(&process.run);
    let job = Job::read(&run, process.job)?;
    if kind == TASK {
        if process.session {
            nix::unistd::setsid().context("failed to start a session")?;
        }
        if process.lifeline {
            std::thread::spawn(|| {
                let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
                log("the driver is gone");
                terminate(std::process::id());
            });
        }
        let number = job.task_of(process.task);
        let limit = process.time_limit.map(|limit| limit.max(0).unsigned_abs());
        let deadline = Deadline::new(limit, process.ends_at.parse().ok());
        if run.noted_tasks(job.number).contains_key(&number) {
            // A scheduler starts a task anew when it has lost the first copy.
            bury(&run, job.number, number, "its task was started again");
        }
        job.enter_task(&run, number)?;
        let kept = keep_workers(&Task { run: &run, job: &job, number, deadline });
        return job.leave_task(&run, number).and(kept);
    }
    let place = Place { job: job.number, task: process.task, rank: process.rank };
    let worker = Worker::enter(&run, &process.name, place).context("failed to enter the run")?;
    let spec = Spec::read(&run)?;
    let after = process.after;
    if let Some(host) = job.tasks.get(place.task as usize).and_then(|task| task.staged_on.clone()) {
        return carry(&Errand { run, spec, job, worker, host, after });
    }
    let stage = load_stage(stages, &spec)?;
    let deadline = Arc::new(Deadline::at(process.ends_at.parse().ok()));
    work(&Assignment { run, spec, job, stage, worker, after, deadline, exits: WORKER_EXITS });
    Ok(())
}

/// Works in this process, for debugging: a stage that kills its process takes the driver along.
pub(super) fn work_in_process(
    stages: &[Stage],
    run: &RunDir,
    spec: &Spec,
    job: Job,
) -> Result<Ended> {
    let (name, _log) = crate::roster::reserve_name(run).context("failed to open a log")?;
    let place = Place { job: job.number, ..Place::default() };
    let worker = Worker::enter(run, &name, place).context("failed to enter the run")?;
    let stage = load_stage(stages, spec)?;
    let (run, spec, exits) = (run.clone(), spec.clone(), IN_PROCESS_EXITS);
    let deadline = Arc::new(Deadline::at(None));
    Ok(work(&Assignment { run, spec, job, stage, worker, after: None, deadline, exits }))
}

/// The stage of a run that is on disk, ready to work.
fn load_stage(stages: &[Stage], spec: &Spec) -> Result<Box<dyn LoadedStage>> {
    let name = &spec.fingerprint.stage;
    let stage = find_stage(stages, spec);
    load_params(stage.with_context(|| format!("this program has no stage `{name}`"))?, spec)
}

/// The stage of a run that is on disk, if this program has it.
pub(super) fn find_stage(stages: &[Stage], spec: &Spec) -> Option<Stage> {
    stages.iter().chain(&[QUEUE]).find(|stage| stage.name == spec.fingerprint.stage).copied()
}

/// The stage with the run's parameters.
pub(super) fn load_params(stage: Stage, spec: &Spec) -> Result<Box<dyn LoadedStage>> {
    stage.load(&spec.fingerprint.params).map_err(|error| {
        let (name, path, message) = (stage.name, error.path, error.message);
        anyhow::anyhow!("stage `{name}` does not take its parameters: {path}: {message}")
    })
}
