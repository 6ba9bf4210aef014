//! What is known of a run, for people and for programs: the run directory, judged.

mod jobs;
mod shards;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::deadline::NO_TIME;
use crate::inquiry::Inquiry;
use crate::job::Job;
use crate::log::last_lines;
use crate::roster::{Ended, Life, Worker};
use crate::run_dir::RunDir;
use crate::spec::Spec;
use crate::stop::Stop;
use crate::survey::{Counts, Survey};

pub(crate) use jobs::JobStatus;
pub(crate) use shards::{ShardStanding, UnfinishedShard};

/// The version of the JSON; it changes when a field goes or changes its meaning.
const VERSION: u32 = 2;

/// A shard that is not seen so many times is gone, not being renamed.
const LOOKS: u32 = 10;

/// Between two such looks.
const PAUSE: Duration = Duration::from_millis(10);

/// What is known of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    pub version: u32,
    pub output_dir: String,
    pub stage: String,
    pub created: String,
    pub state: State,
    pub items: Items,
    pub shards: Counts,
    /// Whether collect wrote its file.
    pub collected: bool,
    pub unfinished: Vec<UnfinishedShard>,
    pub workers: Vec<WorkerStatus>,
    pub jobs: Vec<JobStatus>,
    /// Why the scheduler could not be asked, if it could not.
    pub scheduler_error: Option<String>,
    pub stop: Option<Stop>,
    /// Shards whose folder is gone.
    pub missing_shards: Vec<usize>,
}

/// The run in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Every item has a record.
    Done,
    /// Every item has a record or an error.
    SomeFailed,
    /// Somebody works on it.
    Running,
    /// Nobody works on it, but a scheduler has jobs of it, as far as is known.
    Queued,
    /// It was asked to stop and is not complete.
    Stopped,
    /// Nobody works on it and it is not complete.
    Incomplete,
}

#[derive(Debug, Serialize)]
pub(crate) struct Items {
    pub total: u64,
    pub done: u64,
    pub failed: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct WorkerStatus {
    pub worker: String,
    pub life: Life,
    pub host: String,
    pub pid: u32,
    pub job: u32,
    pub task: u32,
    pub rank: u32,
    pub started: String,
    pub ended: Option<Ended>,
}

impl Status {
    /// Looks at a run.
    pub(crate) fn of(run: &RunDir) -> Result<Self> {
        let spec = Spec::read(run)?;
        let look = || {
            let shards = run.shards();
            let look = Survey::new(run, &spec).look();
            look.with_context(|| format!("failed to read {}", shards.display()))
        };
        let mut progress = look()?;
        for _ in 0..LOOKS {
            if progress.unseen.is_empty() {
                break;
            }
            std::thread::sleep(PAUSE);
            progress = look()?;
        }
        let workers: Vec<_> =
            Worker::read_all(run).into_iter().map(|worker| (worker.life(run), worker)).collect();
        let lives: BTreeMap<&str, Life> =
            workers.iter().map(|(life, worker)| (worker.worker.as_str(), *life)).collect();
        let stop = Stop::read(run);
        let inquiry = Inquiry::read(run);
        let jobs: Vec<_> =
            Job::read_all(run).iter().map(|job| JobStatus::of(run, job, &inquiry)).collect();
        let starting = !Job::living_tasks(run).is_empty();
        let working = starting || lives.values().any(|life| *life == Life::Alive);
        let pending = jobs.iter().any(|job| job.id.is_some() && job.ended < job.tasks);
        let state =
            judge(progress.complete(), progress.failed > 0, working, stop.is_some(), pending);
        let claimed = progress.claims.iter().map(|claim| {
            let worker = workers.iter().find(|(_, worker)| worker.worker == claim.worker);
            (claim.shard, UnfinishedShard::claimed(run, claim, worker))
        });
        let held: BTreeMap<usize, UnfinishedShard> = claimed.collect();
        let waiting = progress
            .waiting
            .iter()
            .map(|shard| (*shard, UnfinishedShard::waiting(*shard, spec.len(*shard))));
        let unfinished: BTreeMap<usize, UnfinishedShard> = waiting.chain(held).collect();
        Ok(Self {
            version: VERSION,
            output_dir: run.root().display().to_string(),
            stage: spec.fingerprint.stage,
            created: spec.created,
            state,
            items: Items { total: progress.total, done: progress.done, failed: progress.failed },
            shards: progress.shards,
            collected: run.results().is_file(),
            unfinished: unfinished.into_values().collect(),
            workers: workers
                .into_iter()
                .map(|(life, worker)| worker_status(life, worker))
                .collect(),
            scheduler_error: inquiry.error.filter(|_| pending),
            jobs,
            stop,
            missing_shards: progress.unseen,
        })
    }

    /// Whether no worker of the last submission could build its env.
    pub(crate) fn no_env(&self) -> bool {
        let last = self.last_taken();
        let mut ended = self.workers.iter().filter(|worker| worker.job == last).peekable();
        ended.peek().is_some()
            && ended.all(|worker| matches!(worker.ended, Some(Ended::EnvFailed { .. })))
    }

    /// The number of the last submission that was not refused, 0 if there is none.
    fn last_taken(&self) -> u32 {
        self.jobs.iter().rfind(|job| job.refused.is_none()).map_or(0, |job| job.number)
    }

    /// The reasons why workers ended before the work did, the same one once, with how many had it.
    pub(crate) fn troubles(&self) -> Vec<(String, usize)> {
        let mut troubles: BTreeMap<String, usize> = BTreeMap::new();
        let last = self.last_taken();
        let started = self.workers.iter().any(|worker| worker.job == last);
        let job = self.jobs.iter().find(|job| job.number == last && !job.cancelled);
        if let Some(job) = job.filter(|_| !started && self.state == State::Incomplete) {
            let run = RunDir::new(&self.output_dir);
            let logs = (0..job.tasks as u32).map(|task| run.task_log(last, task));
            let trouble = match logs.filter_map(|log| last_lines(&log, 1).pop()).next() {
                Some(line) => format!("never started; its task said: {line}"),
                None => "never started; see the log of its task".to_owned(),
            };
            troubles.insert(trouble, job.tasks);
        }
        for worker in self.workers.iter().filter(|worker| worker.job == last) {
            let trouble = match &worker.ended {
                Some(Ended::EnvFailed { error }) => format!("the env could not be built: {error}"),
                Some(Ended::Failed { error }) => error.clone(),
                Some(Ended::Died { status }) => format!("died: {status}"),
                Some(Ended::Lost { why }) => format!("lost: {why}"),
                Some(Ended::Stopped { why }) if why == NO_TIME => {
                    "ended by the `walltime` of its task".to_owned()
                }
                None if worker.life == Life::Dead => "vanished".to_owned(),
                _ => continue,
            };
            *troubles.entry(trouble).or_default() += 1;
        }
        troubles.into_iter().collect()
    }
}

/// The run in a word, from what is known of it.
fn judge(complete: bool, failed: bool, working: bool, stop: bool, pending: bool) -> State {
    match (complete, failed) {
        (true, false) => State::Done,
        (true, true) => State::SomeFailed,
        _ if working => State::Running,
        _ if pending && !stop => State::Queued,
        _ if stop => State::Stopped,
        _ => State::Incomplete,
    }
}

fn worker_status(life: Life, worker: Worker) -> WorkerStatus {
    WorkerStatus {
        worker: worker.worker,
        life,
        host: worker.process.host,
        pid: worker.process.pid,
        job: worker.job,
        task: worker.task,
        rank: worker.rank,
        started: worker.started,
        ended: worker.ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_decides_first_then_who_works_then_what_was_asked() {
        for ((complete, failed, working, stop, pending), state) in [
            ((true, false, false, false, true), State::Done),
            ((true, false, true, true, false), State::Done),
            ((true, true, true, false, false), State::SomeFailed),
            ((false, true, true, true, true), State::Running),
            ((false, true, false, false, true), State::Queued),
            ((false, false, false, true, true), State::Stopped),
            ((false, true, false, false, false), State::Incomplete),
        ] {
            assert_eq!(judge(complete, failed, working, stop, pending), state);
        }
    }
}
