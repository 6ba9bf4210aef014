//! The stage behind the command `queue`: an item is one JOB, a command line for bash with a log file
//! like those of Kaldi's run.pl and queue.pl.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cluster::is_here;
use crate::computer::{Computer, Failure, InProcess, LoadedEnv, Workplace};
use crate::identity::host;
use crate::indices::Indices;
use crate::item_error::ErrorKind;
use crate::items::Items;
use crate::job::Job;
use crate::launch::run_script;
use crate::record::Record;
use crate::stage::{LoadedStage, ParamError, Stage};

/// Not in [`STAGES`](super::STAGES): no config names it.
pub(crate) const QUEUE: Stage =
    Stage::outside("espnet3-par-queue", "the jobs of `espnet3-par queue`", load);

/// What is to be run, as many times as there are numbers from `first` to `last`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Jobs {
    /// For bash; `variable` stands for the number.
    pub command: String,
    pub log: String,
    pub variable: Option<String>,
    pub first: u64,
    pub last: u64,
}

impl Jobs {
    /// `text` for one number: wherever the variable's name stands, in other words too, as in Kaldi.
    fn with_number(&self, text: &str, number: u64) -> String {
        match &self.variable {
            Some(variable) => text.replace(variable, &number.to_string()),
            None => text.to_owned(),
        }
    }

    pub(crate) fn log_of(&self, number: u64) -> String {
        self.with_number(&self.log, number)
    }

    pub(crate) fn count(&self) -> u64 {
        self.last + 1 - self.first
    }

    /// `JOB=3`; nothing where there is one job without a number.
    fn name(&self, idx: u64) -> Option<String> {
        self.variable.as_ref().map(|variable| format!("{variable}={}", self.first + idx))
    }
}

/// The jobs at work: the env of this stage.
struct AtWork {
    jobs: Jobs,
    /// On other machines the environment is the scheduler's; recipes bring theirs in `path.sh`.
    elsewhere: bool,
    threads: u32,
}

fn load(params: &Value) -> std::result::Result<Box<dyn LoadedStage>, ParamError> {
    let jobs = Jobs::deserialize(params);
    jobs.map(|jobs| Box::new(jobs) as Box<dyn LoadedStage>)
        .map_err(|error| ParamError { path: String::new(), message: error.to_string() })
}

impl LoadedStage for Jobs {
    fn items(&self, _asked: Option<&Indices>) -> Result<Items> {
        Ok(Items::new(self.count()))
    }

    fn computer(&self, place: &Workplace<'_>) -> Result<Box<dyn Computer>> {
        let at_work = AtWork {
            jobs: self.clone(),
            elsewhere: !is_here(&place.job.cluster),
            threads: place.job.threads_per_worker,
        };
        let env = || Ok(Box::new(at_work) as Box<dyn LoadedEnv>);
        // The threads are the commands' own.
        let job = Job { threads_per_worker: 1, ..place.job.clone() };
        let place = Workplace { job: &job, ..*place };
        Ok(Box::new(InProcess::build(env, &place)?.of_programs()))
    }
}

impl LoadedEnv for AtWork {
    fn forward(&self, idx: u64) -> Result<Record> {
        let number = self.jobs.first + idx;
        let command = self.jobs.with_number(&self.jobs.command, number);
        let log = self.jobs.log_of(number);
        let (code, seconds) = self.run(&command, Path::new(&log))?;
        if code != 0 {
            return Err(Failure::new(ErrorKind::Error, tell(code)).into());
        }
        Record::new(json!({"job": number, "log": log, "seconds": seconds, "host": host()}))
    }

    fn batch_forward(&self, indices: &[u64]) -> Result<Vec<Record>> {
        indices.iter().map(|idx| self.forward(*idx)).collect()
    }

    fn item_name(&self, idx: u64) -> Option<String> {
        self.jobs.name(idx)
    }
}

impl AtWork {
    /// The exit code and how long it took, both also in the log.
    fn run(&self, command: &str, path: &Path) -> Result<(i32, f64)> {
        let cannot_write = || format!("cannot write the log {}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(cannot_write)?;
        }
        File::create(path).with_context(cannot_write)?;
        let mut log = OpenOptions::new().append(true).open(path).with_context(cannot_write)?;
        let head = format!("# {command}\n# Running on {}\n# Started at {}\n#\n", host(), date());
        log.write_all(head.as_bytes()).with_context(cannot_write)?;
        let start = Instant::now();
        let status = run_script(&self.script(command), &log)?;
        let took = start.elapsed();
        let (seconds, threads) = (took.as_secs(), self.threads);
        let tail = format!(
            "# Accounting: time={seconds} threads={threads}\n# Ended ({}) at {}, elapsed time {seconds} seconds\n",
            as_run_pl_has_it(status),
            date()
        );
        log.write_all(tail.as_bytes()).with_context(cannot_write)?;
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Ok((code, took.as_secs_f64()))
    }

    fn script(&self, command: &str) -> String {
        let environment =
            if self.elsewhere { "[ ! -f ./path.sh ] || . ./path.sh </dev/null\n" } else { "" };
        format!("{environment}( {command}\n)\n")
    }
}

/// `code 1`, and `code 0; signal 9` where bash itself was killed.
fn as_run_pl_has_it(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("code {code}"),
        (None, signal) => format!("code 0; signal {}", signal.unwrap_or(0)),
    }
}

/// A shell's exit code, in words: above 128 a signal ended the command.
fn tell(code: i32) -> String {
    match signal_hook::low_level::signal_name(code - 128).filter(|_| code > 128) {
        Some("SIGKILL") => format!("exit code {code}: SIGKILL; was there too little memory?"),
        Some(signal) => format!("exit code {code}: {signal}"),
        None => format!("exit code {code}"),
    }
}

/// The time as date(1) has it in the C locale.
fn date() -> String {
    jiff::Zoned::now().strftime("%a %b %e %H:%M:%S %Z %Y").to_string()
}
