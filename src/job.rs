//! One submission of a run: how it is done this time. Numbered, one folder each, kept for the record.

use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::config::OnItemError;
use crate::identity::Process;
use crate::run_dir::RunDir;

/// What workers must know beyond the [`Spec`](crate::spec::Spec): all that may differ between two
/// submissions of the same run without changing a result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub number: u32,
    /// What `parallel.env` names.
    pub cluster: String,
    pub n_workers: u32,
    pub threads_per_worker: u32,
    pub batch_size: u32,
    pub on_item_error: OnItemError,
    pub max_failed_items: Option<u64>,
    /// The working directory of workers: relative paths in the config start here.
    pub recipe_dir: PathBuf,
    /// RFC 3339.
    pub submitted: String,
    /// The host it was submitted on.
    pub host: String,
    /// The command that starts a task of this job.
    pub argv: Vec<String>,
}

/// The process that is a job's task, and the run directory it works in.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    run: u64,
    process: Process,
}

impl Job {
    /// Puts the job on disk under the next free number.
    pub(crate) fn register(mut self, run: &RunDir) -> Result<Self> {
        for number in 1..=u32::MAX {
            match std::fs::create_dir(run.job(number)) {
                Ok(()) => {
                    self.number = number;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("failed to make {}", run.job(number).display()));
                }
            }
        }
        self.argv.extend(["--job".to_owned(), self.number.to_string()]);
        atomic_file::write(&run.job_json(self.number), &serde_json::to_vec_pretty(&self)?)
            .with_context(|| format!("failed to write {}", run.job_json(self.number).display()))?;
        Ok(self)
    }

    /// Notes the process that is its task.
    pub(crate) fn note_task(&self, run: &RunDir, pid: u32) -> Result<()> {
        let path = run.task_json(self.number);
        atomic_file::write(
            &path,
            &serde_json::to_vec(&Task { run: run.id(), process: Process::of(pid) })?,
        )
        .with_context(|| format!("failed to write {}", path.display()))
    }

    /// The processes of this host that are tasks of the run's jobs and live.
    pub(crate) fn living_tasks(run: &RunDir) -> Vec<Process> {
        Self::numbers(run)
            .filter_map(|job| serde_json::from_slice(&std::fs::read(run.task_json(job)).ok()?).ok())
            .filter(|task: &Task| task.run == run.id() && task.process.lives() == Some(true))
            .map(|task| task.process)
            .collect()
    }

    /// Whether there were jobs, and each has started its task: none is about to, and of those that
    /// did, [`living_tasks`](Self::living_tasks) knows.
    pub(crate) fn all_ended(run: &RunDir) -> bool {
        let mut jobs = Self::numbers(run).peekable();
        jobs.peek().is_some()
            && jobs.all(|job| run.task_json(job).is_file())
            && Self::living_tasks(run).is_empty()
    }

    fn numbers(run: &RunDir) -> impl Iterator<Item = u32> {
        (1..).take_while(|number| run.job(*number).is_dir())
    }

    /// All of them, by number. A driver can be killed between the folder and its job.json.
    pub(crate) fn read_all(run: &RunDir) -> Vec<Self> {
        Self::numbers(run).filter_map(|number| Self::read(run, number).ok()).collect()
    }

    pub(crate) fn read(run: &RunDir, number: u32) -> Result<Self> {
        let path = run.job_json(number);
        let bytes =
            std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("failed to read {}", path.display()))
    }
}
