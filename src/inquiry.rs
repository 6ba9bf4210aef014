//! Asking a scheduler how a run's jobs are: rarely, all in one question, and never as the truth.
//!
//! The answer is kept in the run directory, so that however many drivers and `status` commands look
//! at a run, its scheduler is asked once in [`PAUSE`] at most. The disk decides what is done; this
//! only explains what is missing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::cluster::{Scheduler, State, TaskState, scheduler};
use crate::job::Job;
use crate::launch::ask;
use crate::plain_file;
use crate::roster::{age, bury};
use crate::run_dir::RunDir;
use crate::submit::by_place;

/// From one question to the next. squeue(1) asks not to be called in loops.
pub(crate) const PAUSE: Duration = Duration::from_secs(30);

/// A scheduler that could not answer is asked after twice as long each time, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(480);

/// A task that so many answers in a row do not mention is not there any more.
const MISSES: u32 = 2;

/// What is known from the scheduler.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Inquiry {
    /// By [`Job::unique`], since numbers are given again after `--restart`, and the task.
    jobs: BTreeMap<String, BTreeMap<u32, Known>>,
    /// So many questions in a row got no answer.
    failures: u32,
    /// What it said instead of the last one.
    pub error: Option<String>,
}

/// What is known of one task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Known {
    #[serde(flatten)]
    pub state: Option<State>,
    /// So many answers in a row did not mention it.
    misses: u32,
}

impl Known {
    /// Whether nothing is to come of the task, by the scheduler's word or its silence.
    pub(crate) fn over(&self) -> bool {
        matches!(self.state, Some(State::Ended(_))) || self.misses >= MISSES
    }

    /// The scheduler's words.
    pub(crate) fn words(&self) -> &str {
        match &self.state {
            _ if self.misses >= MISSES => "the scheduler does not know it any more",
            None => "not asked yet",
            Some(State::Queued(w) | State::Running(w) | State::Ended(w) | State::Unknown(w)) => w,
        }
    }
}

impl Inquiry {
    /// What was known when the scheduler was last asked.
    pub(crate) fn read(run: &RunDir) -> Self {
        let bytes = plain_file::read(&run.inquiry_json()).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// What is known of a task; nothing if nobody asked yet.
    pub(crate) fn of(&self, job: &Job, task: u32) -> Known {
        let known = self.jobs.get(&job.unique).and_then(|tasks| tasks.get(&task));
        known.cloned().unwrap_or_default()
    }

    /// Whether all tasks of a job are over: each by the disk or by the scheduler.
    pub(crate) fn over(&self, run: &RunDir, job: &Job) -> bool {
        let ended = job.ended_tasks(run);
        let mut tasks = 0..job.tasks.len() as u32;
        tasks.all(|task| ended.contains(&task) || self.of(job, task).over())
    }

    /// Asks after all jobs that may not be over, unless they were asked after a moment ago, and
    /// notes which workers the scheduler's answer leaves no hope for.
    ///
    /// # Errors
    /// When the run directory cannot be written. A scheduler that cannot be asked is no error.
    pub(crate) fn refresh(run: &RunDir) -> Result<Self> {
        let mut inquiry = Self::read(run);
        let jobs = Job::read_all(run);
        let open = jobs.iter().filter(|job| !job.is_over(run) && !inquiry.over(run, job));
        let questions = by_place(run, open);
        if questions.is_empty() || !inquiry.due(run) {
            return Ok(inquiry);
        }
        // First the file, then the question: whoever looks now need not ask too.
        inquiry.write(run)?;
        let mut errors = Vec::new();
        for ((cluster, additions), jobs) in questions {
            let Some(scheduler) = scheduler(cluster) else { continue };
            match question(scheduler, run.root(), &jobs, additions.query) {
                Ok(states) => inquiry.learn(&states, &jobs),
                Err(error) => errors.push(error),
            }
        }
        inquiry.failures = if errors.is_empty() { 0 } else { inquiry.failures + 1 };
        inquiry.error = (!errors.is_empty()).then(|| errors.join("; "));
        inquiry.write(run)?;
        // What the directory holds now: it may be another run's than when the question was put.
        for job in Job::read_all(run) {
            let Some(tasks) = inquiry.jobs.get(&job.unique) else { continue };
            // Not of silence: a scheduler may tell others' jobs to their owners alone.
            let ended =
                tasks.iter().filter(|(_, known)| matches!(known.state, Some(State::Ended(_))));
            ended.for_each(|(task, known)| bury(run, job.number, *task, known.words()));
        }
        Ok(inquiry)
    }

    fn due(&self, run: &RunDir) -> bool {
        let pause = PAUSE.saturating_mul(1 << self.failures.min(8)).min(LONGEST_PAUSE);
        age(run, &run.inquiry_json()).map_or(true, |age| age >= pause)
    }

    fn learn(&mut self, states: &[TaskState], jobs: &[(String, &Job)]) {
        for (id, job) in jobs {
            let of_job: Vec<_> = states.iter().filter(|state| state.job == *id).collect();
            let whole = of_job.iter().find(|state| state.task.is_none());
            let known = self.jobs.entry(job.unique.clone()).or_default();
            for task in 0..job.tasks.len() as u32 {
                let index = |state: &TaskState| state.task.map(|index| job.task_of(index));
                let own = of_job.iter().find(|state| index(state) == Some(task));
                let known = known.entry(task).or_default();
                // That a whole array has ended is no news of this task.
                let whole = whole.filter(|whole| {
                    job.tasks.len() == 1 || !matches!(whole.state, State::Ended(_))
                });
                match own.or(whole) {
                    Some(told) => *known = Known { state: Some(told.state.clone()), misses: 0 },
                    None => known.misses += 1,
                }
            }
        }
    }

    fn write(&self, run: &RunDir) -> Result<()> {
        Ok(atomic_file::write(&run.inquiry_json(), &serde_json::to_vec(self)?)?)
    }
}

fn question(
    scheduler: &dyn Scheduler,
    dir: &Path,
    jobs: &[(String, &Job)],
    additions: Vec<String>,
) -> Result<Vec<TaskState>, String> {
    let ids: Vec<String> = jobs.iter().map(|(id, _)| id.clone()).collect();
    let mut argv = scheduler.query(&ids);
    argv.extend(additions);
    let reply = ask(&argv, dir).map_err(|error| format!("{error:#}"))?;
    scheduler.states(&reply).map_err(|words| format!("`{}`: {words}", argv[0]))
}
