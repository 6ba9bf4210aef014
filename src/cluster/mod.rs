//! Clusters: what `parallel.env` names.
//!
//! A batch scheduler is a dialect: one file with a unit struct that turns an [`Order`] into text and
//! the scheduler's replies into values, and one line in [`SCHEDULERS`]. Nothing here touches files,
//! processes, the environment or the clock: `submit` and `inquiry` do what a dialect says.
//! Other clusters are lists of [`places`] at which tasks are started one by one.

use serde::{Deserialize, Serialize};

mod digits;
mod finding;
mod htcondor;
mod kaldi;
mod keys;
mod kube;
mod lsf;
mod moab;
mod oar;
mod options;
mod pbs;
mod pbs_lines;
mod places;
mod script;
mod sge;
mod slurm;
#[cfg(test)]
mod tests;
mod torque;
mod units;

pub(crate) use finding::{Finding, Weight};
pub(crate) use kaldi::{Gpus, Kaldi};
pub(crate) use options::Options;
pub(crate) use places::{GPUS, NVIDIA_SMI, Ssh, gpus, share_of, visible_gpus};
pub(crate) use script::THREADS;
#[cfg(test)]
pub(crate) use script::quote;

/// The dialects, by the word after `env:`.
pub(crate) const SCHEDULERS: &[&dyn Scheduler] = &[
    &slurm::Slurm,
    &pbs::Pbs,
    &torque::Torque,
    &sge::Sge,
    &lsf::Lsf,
    &htcondor::HtCondor,
    &oar::Oar,
    &moab::Moab,
    &kube::Kube,
];

/// The dialect that `env` names; `None`: it names no batch scheduler.
pub(crate) fn scheduler(env: &str) -> Option<&'static dyn Scheduler> {
    SCHEDULERS.iter().find(|scheduler| scheduler.name() == env).copied()
}

/// Whether some cluster understands the key, if not the one that is asked for: a section that names
/// it means to be for several.
pub(crate) fn known_elsewhere(key: &str) -> bool {
    keys::is_common(key)
        || places::known_to_ssh(key)
        || SCHEDULERS.iter().any(|scheduler| scheduler.own_options().contains(&key))
}

/// Whether jobs of this cluster run on this machine, in the environment of whoever submits them.
pub(crate) fn is_here(env: &str) -> bool {
    matches!(env, "local" | "local_gpu")
}

/// All words that `env:` may be.
pub(crate) fn clusters() -> impl Iterator<Item = &'static str> {
    let places = ["local", "local_gpu", "ssh"].into_iter();
    places.chain(SCHEDULERS.iter().map(|scheduler| scheduler.name()))
}

/// A batch scheduler's dialect: an order in, text out; replies in, values out.
pub(crate) trait Scheduler: Sync {
    /// The word after `env:`.
    fn name(&self) -> &'static str;

    /// What Kaldi's scripts know of it.
    fn kaldi(&self) -> Kaldi;

    /// The keys of `parallel.options` it understands besides the common ones.
    fn own_options(&self) -> &'static [&'static str];

    /// Which common options it must have, and what it takes a bare `walltime` for.
    fn habits(&self) -> Habits;

    /// What a user's own line begins with that sets the time limit instead of `walltime`; what ends in
    /// `=` may stand anywhere in it.
    fn time_directives(&self) -> &'static [&'static str] {
        &[]
    }

    /// What in the options is wrong for this scheduler, or will do nothing.
    fn review(&self, _options: &Options) -> Vec<Finding> {
        Vec::new()
    }

    /// The files of a job, and the command that submits it.
    fn submission(&self, order: &Order<'_>) -> Submission;

    /// The job's id, from what the command printed on stdout.
    fn job_id(&self, stdout: &str) -> Option<String>;

    /// The command that has the scheduler check a submission without carrying it out.
    fn trial(&self, _submission: &Submission) -> Option<Vec<String>> {
        None
    }

    /// The command that tells how many tasks an array may have, and how to read its stdout.
    fn array_limit(&self) -> Option<LimitQuestion> {
        None
    }

    /// The command that asks after these jobs, all at once.
    fn query(&self, ids: &[String]) -> Vec<String>;

    /// What the reply to [`query`](Self::query) says. A task that it does not mention may have
    /// ended long ago, or never have been.
    ///
    /// # Errors
    /// The scheduler's words, where the reply is no answer.
    fn states(&self, reply: &Reply) -> Result<Vec<TaskState>, String>;

    /// The command that ends these jobs, queued or running.
    fn cancel(&self, ids: &[String]) -> Vec<String>;

    /// What [`cancel`](Self::cancel) says of jobs that have just ended by themselves.
    fn already_gone(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether [`Order::max_running`] has an effect.
    fn throttles(&self) -> bool {
        true
    }

    /// What the names of variables begin with that a job's own environment has and that would
    /// change a submission made from within it.
    fn job_variables(&self) -> &'static [&'static str] {
        &[]
    }

    /// What options add to [`query`](Self::query) and [`cancel`](Self::cancel) of a job that was
    /// submitted with them, to be kept with it: where it is, what the user wants there.
    fn additions(&self, _options: &Options) -> Additions {
        Additions::default()
    }
}

/// A command, and how to read the limit in its stdout.
pub(crate) type LimitQuestion = (Vec<String>, fn(&str) -> Option<u32>);

/// Words that commands end with.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Additions {
    pub query: Vec<String>,
    pub cancel: Vec<String>,
}

/// What differs between schedulers in the meaning of the common options.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    /// Whether `cores` and `memory` must be given, as dask-jobqueue asks for.
    pub needs_cores_and_memory: bool,
    /// What a `walltime` that is not given means, in seconds; `None`: no limit is asked for.
    pub default_walltime: Option<u64>,
    /// What `30:00` means.
    pub two_fields: Fields,
    /// What `30` means: so many seconds each.
    pub bare_number: u64,
}

/// What the two fields of a time `30:00` are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fields {
    MinutesSeconds,
    HoursMinutes,
}

/// One job that is wanted: an array of tasks that all run the same command.
#[derive(Debug, Clone)]
pub(crate) struct Order<'a> {
    /// The job's name: letters, digits, `_`, `-`, `.`; begins with a letter.
    pub name: &'a str,
    /// At least 1.
    pub tasks: u32,
    /// How many of them may run at the same time.
    pub max_running: Option<u32>,
    pub options: &'a Options,
    /// Where workers start: absolute.
    pub recipe_dir: &'a str,
    /// The command of a task, but for the task's index.
    pub command: &'a [String],
    pub threads_per_worker: u32,
    /// The job's folder, as seen from the directory that jobs are submitted from (the run's
    /// `logs`): a plain relative path, whatever the run directory is called.
    pub folder: &'a str,
    /// What names of log files in that directory begin with.
    pub log: &'a str,
    /// That directory: absolute, for tasks that do not start in it.
    pub submit_dir: &'a str,
    /// A few letters and digits, in lower case, that no other submission has.
    pub unique: &'a str,
}

/// The script's name among the files of a job.
const SCRIPT: &str = "job.sh";

impl Order<'_> {
    /// The script, as seen from the directory that jobs are submitted from.
    fn script_path(&self) -> String {
        format!("{}/{SCRIPT}", self.folder)
    }

    /// `%8` behind an array's range, as most schedulers write it.
    fn throttle(&self) -> String {
        self.max_running.map_or_else(String::new, |most| format!("%{most}"))
    }
}

/// A job as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Submission {
    /// Files in the job's folder: name and text.
    pub files: Vec<(&'static str, String)>,
    /// The command that submits it, run in the directory that [`Order::folder`] starts at.
    pub argv: Vec<String>,
    /// What the command reads.
    pub stdin: Option<String>,
}

/// What a scheduler's command answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The exit code; `None`: a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Reply {
    /// Whether its text has one of these phrases.
    pub(crate) fn says(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|words| self.stderr.contains(words) || self.stdout.contains(words))
    }

    /// What to show of a reply that is no answer: the last lines that say something.
    pub(crate) fn complaint(&self) -> String {
        const LINES: usize = 3;
        let said = |text: &str| -> Vec<String> {
            let lines = text.lines().map(|line| line.trim().to_owned());
            lines.filter(|line| !line.is_empty()).collect()
        };
        let errors = said(&self.stderr);
        let lines = if errors.is_empty() { said(&self.stdout) } else { errors };
        match lines.len() {
            0 => "it said nothing".to_owned(),
            n => lines[n.saturating_sub(LINES)..].join("; "),
        }
    }
}

/// What a scheduler says of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskState {
    /// The job's id, as [`Scheduler::job_id`] gave it.
    pub job: String,
    /// From 0; `None`: said of the job as a whole.
    pub task: Option<u32>,
    pub state: State,
}

/// Whether a task may still do something. Each with the scheduler's own words for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "words", rename_all = "snake_case")]
pub(crate) enum State {
    /// It waits: in the queue, for a hold to go, for a dependency.
    Queued(String),
    Running(String),
    /// It is over, however it ended. That the work is done, only the run directory can tell.
    Ended(String),
    /// A word that is not known here.
    Unknown(String),
}
