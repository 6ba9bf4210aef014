//! One submission of a run: how it is done this time. Numbered, one folder each, kept for the record.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::atomic_file;
use crate::cluster::{Reply, scheduler};
use crate::identity::Process;
use crate::item_error::OnItemError;
use crate::plain_file;
use crate::run_dir::{RunDir, gone};
use crate::survey::Progress;

/// What workers must know beyond the [`Spec`](crate::spec::Spec): all that may differ between two
/// submissions of the same run without changing a result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub number: u32,
    /// What `parallel.env` names.
    pub cluster: String,
    /// How many workers the run has in all: of this job, and of its sisters where the array was
    /// too large for one.
    pub n_workers: u32,
    /// The rank of its first worker among them.
    pub first_rank: u32,
    pub tasks: Vec<Task>,
    pub threads_per_worker: u32,
    /// A few letters and digits that no other submission has.
    pub unique: String,
    /// `parallel.options`, `parallel.max_running` and `parallel.max_array_size`.
    pub options: Map<String, Value>,
    pub max_running: Option<u32>,
    pub max_array_size: Option<u32>,
    pub batch_size: Option<u32>,
    /// The interpreter of stage `python`, where the config names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// Seconds.
    #[serde(default)]
    pub item_timeout: Option<u64>,
    pub on_item_error: OnItemError,
    pub max_failed_items: Option<u64>,
    /// Workers get the environment of their task as it is, but for its GPUs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub callers_env: bool,
    /// The working directory of workers: relative paths in the config start here.
    pub recipe_dir: PathBuf,
    /// RFC 3339.
    pub submitted: String,
    /// The host it was submitted on.
    pub host: String,
    /// The command that starts a task of this job, but for the task's index.
    pub argv: Vec<String>,
}

/// One element of a job: the workers that are started together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Task {
    pub workers: u32,
    /// Where it is started; `None`: here, or where the scheduler says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The host whose workers it provides for, by a courier that is started here: they share no
    /// directory with this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged_on: Option<String>,
    /// One GPU for each worker, as `CUDA_VISIBLE_DEVICES` names it; none: those of the task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
}

impl Task {
    pub(crate) fn of(workers: u32) -> Self {
        Self { workers, ..Self::default() }
    }
}

/// The process of a task, as its file tells it, and the run directory it works in.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    run: u64,
    process: Process,
    /// Where its messages go, where that is a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<PathBuf>,
}

/// What came of handing a job to a scheduler.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Submitted {
    /// The scheduler's name for the job; `None`: it took none.
    pub id: Option<String>,
    pub argv: Vec<String>,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// It was cancelled since.
    #[serde(default)]
    pub cancelled: bool,
}

impl Submitted {
    /// What the scheduler said.
    pub(crate) fn reply(&self) -> Reply {
        let (stdout, stderr) = (self.stdout.clone(), self.stderr.clone());
        Reply { code: self.code, stdout, stderr }
    }
}

impl Note {
    fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&plain_file::read(path).ok()?).ok()
    }
}

impl Job {
    /// The job with the number that it would get now, and nothing on disk.
    pub(crate) fn numbered_next(mut self, run: &RunDir) -> Self {
        self.number = Self::numbers(run).last().unwrap_or(0) + 1;
        self.argv.extend(["--job".to_owned(), self.number.to_string()]);
        self
    }

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
        self.submitted = jiff::Timestamp::now().to_string();
        write(&run.job_json(self.number), &serde_json::to_vec_pretty(&self)?)?;
        Ok(self)
    }

    /// The same with these hosts last: a job for few shards takes the first ones, and what was lost with
    /// a host must not be sent there again.
    pub(crate) fn rather_not_on(&self, lost: &BTreeSet<String>) -> Self {
        let mut job = self.clone();
        job.tasks.sort_by_key(|task| task.host.as_ref().is_some_and(|host| lost.contains(host)));
        job
    }

    /// The same without tasks and workers for which there is no shard; a scheduler's queue is not for them.
    pub(crate) fn no_larger_than(&self, progress: &Progress) -> Self {
        let shards = progress.shards.todo + progress.shards.claimed;
        let mut n_workers = 0;
        let mut cut = |task: &Task| {
            let left = shards.max(1) - u64::from(n_workers);
            let workers = task.workers.min(u32::try_from(left).unwrap_or(u32::MAX));
            n_workers += workers;
            (workers > 0).then(|| Task { workers, ..task.clone() })
        };
        let tasks = self.tasks.iter().map_while(&mut cut).collect();
        Self { tasks, n_workers, ..self.clone() }
    }

    /// The task that a scheduler calls `index`. From 0 they are the same; where one counts from 1, or
    /// its manual and its code disagree, the last one is task 0.
    pub(crate) fn task_of(&self, index: u32) -> u32 {
        index % (self.tasks.len() as u32).max(1)
    }

    /// The rank of a task's first worker.
    pub(crate) fn rank(&self, task: u32) -> u32 {
        self.first_rank
            + self.tasks.iter().take(task as usize).map(|task| task.workers).sum::<u32>()
    }

    /// Notes the process that is a task of it.
    pub(crate) fn note_task(&self, run: &RunDir, task: u32, process: Process) -> Result<()> {
        self.write_note(run, task, &Note { run: run.id(), process, log: None })
    }

    /// Notes that this process is a task of it.
    pub(crate) fn enter_task(&self, run: &RunDir, task: u32) -> Result<()> {
        let log = std::fs::read_link("/proc/self/fd/2").ok().filter(|path| path.is_file());
        self.write_note(run, task, &Note { run: run.id(), process: Process::current(), log })
    }

    /// Notes that this process, which is a task of it, has no workers any more.
    pub(crate) fn leave_task(&self, run: &RunDir, task: u32) -> Result<()> {
        let (from, to) = (run.task_json(self.number, task), run.ended_task_json(self.number, task));
        // A second copy of the task, started by a scheduler beside this one, may have left first.
        gone(std::fs::rename(&from, &to))
            .with_context(|| format!("failed to rename {}", from.display()))
    }

    fn write_note(&self, run: &RunDir, task: u32, note: &Note) -> Result<()> {
        let path = run.task_json(self.number, task);
        atomic_file::note(&path, &serde_json::to_vec(note)?)
            .with_context(|| format!("failed to write {}", path.display()))
    }

    /// Notes what came of handing it to a scheduler.
    pub(crate) fn note_submission(&self, run: &RunDir, submitted: &Submitted) -> Result<()> {
        write(&run.submission_json(self.number), &serde_json::to_vec_pretty(submitted)?)
    }

    /// What came of handing it to a scheduler, where that was done: as it was noted, else as the
    /// command's own output tells, should its driver not have lived to note it.
    pub(crate) fn submission(&self, run: &RunDir) -> Option<Submitted> {
        if let Ok(noted) = plain_file::read(&run.submission_json(self.number)) {
            return serde_json::from_slice(&noted).ok();
        }
        let stdout = plain_file::read(&run.reply_out(self.number)).ok()?;
        let stdout = String::from_utf8(stdout).ok()?;
        let id = Some(scheduler(&self.cluster)?.job_id(&stdout)?);
        let (argv, stderr) = (Vec::new(), String::new());
        Some(Submitted { id, argv, code: None, stdout, stderr, cancelled: false })
    }

    /// The tasks of which it is known, from the disk and the processes of this host, that they have
    /// ended.
    pub(crate) fn ended_tasks(&self, run: &RunDir) -> BTreeSet<u32> {
        let gone = |task: &u32| {
            let note = Note::read(&run.task_json(self.number, *task));
            note.is_some_and(|note| note.process.lives() == Some(false))
        };
        let noted = run.noted_tasks(self.number).into_iter();
        noted.filter(|(task, ended)| *ended || gone(task)).map(|(task, _)| task).collect()
    }

    /// The processes of this host that are tasks of the run's jobs and live.
    pub(crate) fn living_tasks(run: &RunDir) -> Vec<Process> {
        let living = |note: &Note| note.run == run.id() && note.process.lives() == Some(true);
        Self::notes(run).filter(living).map(|note| note.process).collect()
    }

    /// Where tasks of the run's jobs write to.
    pub(crate) fn task_logs(run: &RunDir) -> Vec<PathBuf> {
        Self::notes(run).filter_map(|note| note.log).collect()
    }

    fn notes(run: &RunDir) -> impl Iterator<Item = Note> {
        let tasks = Self::numbers(run)
            .flat_map(|job| run.noted_tasks(job).into_iter().map(move |task| (job, task)));
        tasks.filter_map(|(job, (task, ended))| match ended {
            true => Note::read(&run.ended_task_json(job, task)),
            false => Note::read(&run.task_json(job, task)),
        })
    }

    /// Whether there were jobs, and all tasks of each are known to have ended: none is about to
    /// start.
    pub(crate) fn all_ended(run: &RunDir) -> bool {
        let mut jobs = Self::numbers(run).peekable();
        jobs.peek().is_some()
            && jobs.all(|job| Self::read(run, job).is_ok_and(|job| job.is_over(run)))
    }

    /// Whether nothing of it is to come: all tasks have ended, or no scheduler has it.
    pub(crate) fn is_over(&self, run: &RunDir) -> bool {
        let gone = |submitted: Submitted| submitted.id.is_none() || submitted.cancelled;
        self.submission(run).is_some_and(gone) || self.ended_tasks(run).len() == self.tasks.len()
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
        let bytes = plain_file::read(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("failed to read {}", path.display()))
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    atomic_file::write(path, bytes).with_context(|| format!("failed to write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lost_host_comes_last() {
        let job = json!({
            "number": 0, "cluster": "ssh", "n_workers": 4, "first_rank": 0, "threads_per_worker": 1,
            "tasks": [{"workers": 1, "host": "h1"}, {"workers": 2, "host": "h2"}, {"workers": 1}],
            "unique": "u", "options": {}, "max_running": null, "max_array_size": null,
            "batch_size": 1, "on_item_error": "skip", "max_failed_items": null,
            "recipe_dir": "/r", "submitted": "", "host": "h", "argv": [],
        });
        let job: Job = serde_json::from_value(job).expect("a job");
        let order = |lost: &[&str]| {
            let lost = lost.iter().map(|host| (*host).to_owned()).collect();
            let tasks = job.rather_not_on(&lost).tasks.into_iter();
            tasks.map(|task| task.host.unwrap_or_default()).collect::<Vec<_>>()
        };
        assert_eq!(order(&[]), ["h1", "h2", ""]);
        assert_eq!(order(&["h1"]), ["h2", "", "h1"]);
        assert_eq!(order(&["h1", "h2"]), ["", "h1", "h2"]);
    }
}
