//! `queue`: what Kaldi's and ESPnet2's recipes call as `$train_cmd` and `$decode_cmd`.

mod conf;
mod place;
mod words;

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::check::{Next, describe};
use super::fail::{self, Exit, Fail, say, tell};
use super::progress::Bar;
use super::run::{retry_failed, wait};
use super::status::troubles;
use crate::collect::{collect_and_merge, read_lines};
use crate::config::{Config, Diagnostics, Flag, Request, environment};
use crate::drive::{Ending, Planned, job, plan};
use crate::item_error::{ItemError, OnItemError};
use crate::refused::Refused;
use crate::stages::{Jobs, QUEUE};
use crate::status::Status;
use crate::stop::Stop;
use place::Place;
use words::Asked;

/// So many failed jobs are named one by one.
const NAMED: usize = 5;

const LONG: &str = "\
Run a command once or JOB times, in place of Kaldi's run.pl, queue.pl, slurm.pl and ssh.pl.

In a recipe's cmd.sh:
  export train_cmd=\"espnet3-par queue\"                     on this machine
  export train_cmd=\"espnet3-par queue --backend slurm\"     as one array, with conf/slurm.conf if it is there
  export train_cmd=\"espnet3-par queue --parallel conf/slurm.yaml\"

Options come first, as they do there; JOB may be any name, and stands for the number in the log's name \
and in the command. Words without blanks reach bash as they are, so `\\|`, `\\>` and `\\;` work; others \
are quoted. The logs are those of run.pl. What is known of the run is beside them, in q/.";

const OPTIONS: &str = "\
Options, in front of the log:
  --mem 4G              memory of each job
  --num-threads 4       cores of each job
  --gpu 1               GPUs of each job
  --time 4:00:00        how long a job may take
  --max-jobs-run 10     how many jobs at the same time (-tc 10)
  --backend NAME        local (the default), ssh, slurm, sge, pbs, …: `parallel.env`
  --parallel FILE       a config file with a section `parallel:`
  --config FILE         a conf of queue.pl or slurm.pl; says what these and other options mean
  --resume              only the jobs that failed or were not done, of the same command
  --dry-run             print what would be done, and the script for a scheduler
  --quiet               say nothing but what failed
  -q all.q, -l …, -pe … the scheduler's own, handed on as they are; nothing on this machine

Examples:
  espnet3-par queue exp/log/one.log echo hello
  espnet3-par queue JOB=1:4 exp/log/x.JOB.log sort data/split4/JOB/text \\> exp/sorted.JOB
  espnet3-par queue --mem 4G --max-jobs-run 10 JOB=1:32 exp/log/x.JOB.log decode.sh JOB
  espnet3-par status exp/log/q/x.JOB

Exit codes:
  0    all jobs ended with 0
  1    some did not: \"3 / 32 failed, log is in exp/log/x.*.log\"
  2, 3, 4, 5, 130  as of `run`";

/// Run a command once or JOB times, in place of Kaldi's run.pl, queue.pl and slurm.pl.
#[derive(Args)]
#[command(long_about = LONG, after_help = OPTIONS)]
#[command(override_usage = "espnet3-par queue [OPTIONS] [JOB=1:N] LOG COMMAND…")]
pub(super) struct Queue {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    words: Vec<String>,
}

impl Queue {
    pub(super) fn answer(self) -> Result<Exit, Fail> {
        let asked = Asked::read(&self.words)?;
        let (config, devices) = config(&asked)?;
        let planned = plan(&config, !asked.resume).map_err(|error| other_command(error, &asked))?;
        if asked.dry_run {
            let next = Next::of(&config, &planned)?;
            say(describe(&config, &planned, next.as_ref())?.trim_end())?;
            return Ok(Exit::Done);
        }
        let mut job = job(&config, &planned.run)?;
        job.callers_env = true;
        if let [task] = job.tasks.as_mut_slice()
            && !devices.is_empty()
        {
            task.devices = devices;
        }
        let planned = planned.establish()?;
        Stop::withdraw(&planned.run).context("failed to remove the stop request")?;
        if asked.resume {
            retry_failed(&planned.run)?;
        }
        let name = planned.run.root().file_name().unwrap_or_default().to_string_lossy();
        let bar = Bar::new(&name, &planned, config.parallel.n_workers);
        let bar = if asked.quiet { bar.quiet() } else { bar };
        let ending = wait(bar, &config, &planned, &job)?;
        if ending == Ending::Complete {
            collect_and_merge(&planned.run, &planned.spec, config.loaded.as_ref())?;
        }
        conclude(&asked.jobs, &planned, ending)
    }
}

/// The config that the command line amounts to, and the GPUs of each worker here.
fn config(asked: &Asked) -> Result<(Config, Vec<String>), Fail> {
    let output_dir = asked.run_dir();
    let mut request = Request {
        files: asked.parallel.as_slice(),
        set: &[],
        stage: Some(QUEUE.name),
        indices: None,
        parallel: None,
        flags: &[],
        env: environment(),
        now: jiff::Zoned::now(),
    };
    let section = Config::parallel_section(&request)?;
    if let Some(file) = asked.parallel.as_ref().filter(|_| section.is_null()) {
        let message = format!("{} has no section `parallel`", file.display());
        return Err(Refused::new(message, "it says where to run: `parallel: {env: slurm}`").into());
    }
    let mut place = Place::of(asked, &section)?;
    for doubt in &place.doubts {
        tell(format!("warning: {doubt}"));
    }
    let folder = Value::from(output_dir.to_string_lossy());
    place.flags.push(Flag { typed: "queue".into(), key: "output_dir".into(), value: folder });
    request.flags = &place.flags;
    let mut config = Config::load(&request, &[QUEUE])?;
    if !config.warnings.is_empty() {
        tell(format!("{}\n", Diagnostics(config.warnings.clone())));
    }
    config.params = serde_json::to_value(&asked.jobs).map_err(anyhow::Error::from)?;
    config.loaded = Box::new(asked.jobs.clone());
    config.output_dir = output_dir;
    // What the file says of the items of other runs is not for this one.
    (config.indices, config.batch_size, config.item_timeout) = (None, None, None);
    (config.on_item_error, config.max_failed_items) = (OnItemError::Skip, None);
    Ok((config, place.devices))
}

/// `--resume` of a run with another command: what `run` would advise is not for here.
fn other_command(error: anyhow::Error, asked: &Asked) -> anyhow::Error {
    match error.downcast::<Refused>() {
        Ok(refused) if asked.resume => {
            Refused::new(refused.to_string(), "without `--resume` all jobs run anew").into()
        }
        Ok(refused) => refused.into(),
        Err(error) => error,
    }
}

/// Says what failed, as run.pl does, and a little more.
fn conclude(jobs: &Jobs, planned: &Planned, ending: Ending) -> Result<Exit, Fail> {
    let found = read_lines(&planned.run, &planned.spec, true, |_| Ok(()))?;
    let total = jobs.count();
    let log = match total {
        1 => jobs.log_of(jobs.first),
        _ => jobs.log.replace(jobs.variable.as_deref().unwrap_or("JOB"), "*"),
    };
    let failed = found.errors.len();
    if failed > 0 {
        match total {
            1 => tell(format!("espnet3-par queue: job failed, log is in {log}")),
            _ => tell(format!("espnet3-par queue: {failed} / {total} failed, log is in {log}")),
        }
        for ItemError { item, error, .. } in found.errors.iter().take(NAMED) {
            let job = item.as_ref().map_or_else(String::new, |item| format!("{item}: "));
            tell(format!("  {job}{error}"));
        }
        if total == 1 && jobs.variable.is_none() && jobs.log.contains("JOB") {
            tell("hint: is a `JOB=1:4` missing in front of the log?");
        }
    }
    if ending == Ending::Interrupted {
        return Ok(Exit::Interrupted);
    }
    let undone: u64 = found.missing.iter().map(|range| range.end - range.start).sum();
    if undone > 0 {
        let run = fail::quoted(planned.run.root());
        tell(format!("espnet3-par queue: {undone} / {total} not done, log is in {log}"));
        for trouble in troubles(&Status::of(&planned.run)?) {
            tell(format!("  {trouble}"));
        }
        tell(format!(
            "hint: the same with `--resume` does the rest; `espnet3-par logs {run} --failed` shows \
             what workers said"
        ));
        return Ok(Exit::Incomplete);
    }
    Ok(if failed > 0 { Exit::SomeFailed } else { Exit::Done })
}
