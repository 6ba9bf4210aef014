//! The two kinds of process a run is made of besides its driver: tasks, and workers.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use crate::job::Job;
use crate::launch::{TASK, WORKER, end_with_parent};
use crate::roster::{Ended, Worker};
use crate::run_dir::RunDir;
use crate::spec::Spec;
use crate::stage::{LoadedStage, Stage};
use crate::task::keep_workers;
use crate::worker::{Assignment, log, work};

/// The arguments of a task or a worker; nobody types them.
#[derive(Parser)]
struct Process {
    run: PathBuf,
    #[arg(long)]
    job: u32,
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
        // A session of its own: it outlives the terminal, and Ctrl-C there reaches the driver alone.
        nix::unistd::setsid().context("failed to start a session")?;
        return keep_workers(&run, &job, job.n_workers);
    }
    let worker = Worker::enter(&run, &process.name, job.number, process.rank)
        .context("failed to enter the run")?;
    let spec = Spec::read(&run)?;
    let stage = load_stage(stages, &spec)?;
    let after = process.after;
    work(&Assignment { run, spec, job, stage, worker, after, signal_status: 0 });
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
    let worker = Worker::enter(run, &name, job.number, 0).context("failed to enter the run")?;
    let stage = load_stage(stages, spec)?;
    let (run, spec) = (run.clone(), spec.clone());
    Ok(work(&Assignment { run, spec, job, stage, worker, after: None, signal_status: 130 }))
}

/// The stage of a run that is on disk.
pub(super) fn load_stage(stages: &[Stage], spec: &Spec) -> Result<Box<dyn LoadedStage>> {
    let name = &spec.fingerprint.stage;
    let stage = stages
        .iter()
        .find(|stage| stage.name == name)
        .with_context(|| format!("this program has no stage `{name}`"))?;
    stage.load(&spec.fingerprint.params).map_err(|error| {
        anyhow::anyhow!(
            "stage `{name}` does not take its parameters: {}: {}",
            error.path,
            error.message
        )
    })
}
