//! `run`: plan, submit, wait, collect.

use anyhow::Context;
use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::check::{Next, describe};
use super::fail::{Exit, Fail, quoted, say, tell};
use super::progress::Bar;
use super::report::Report;
use super::status::count;
use super::{ConfigArgs, processes};
use crate::claim::Claim;
use crate::collect::collect_and_merge;
use crate::config::Config;
use crate::drive::{Ending, Event, Planned, job, plan, submit_and_wait};
use crate::job::Job;
use crate::roster::{Ended, Life, Place, Worker, at_work, life, reserve_name, touch};
use crate::run_dir::{ERRORS, RunDir, ShardState, gone};
use crate::signals::listen;
use crate::stage::Stage;
use crate::stop::Stop;
use crate::survey::Survey;
use crate::under_way::{UnderWay, cancel_all};

/// Run a stage, wait, and collect its records.
///
/// Running the same config again resumes with whatever is missing. Ctrl-C stops cleanly: what was
/// computed stays, to the record.
#[derive(Args)]
pub(super) struct Run {
    #[command(flatten)]
    config: ConfigArgs,
    /// Start the workers and return at once; `status` and `collect` do the rest.
    #[arg(long)]
    detach: bool,
    /// Print what would be done.
    #[arg(long, conflicts_with = "json")]
    dry_run: bool,
    /// Throw away what the run directory holds, and start anew.
    #[arg(long)]
    restart: bool,
    /// Try the items again that failed before.
    #[arg(long)]
    retry_failed: bool,
    /// Work in this process, for debugging.
    #[arg(long, conflicts_with_all = ["detach", "json"])]
    in_process: bool,
    /// Print the outcome as JSON, as `status --json` does.
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(super) fn answer(self, stages: &[Stage]) -> Result<Exit, Fail> {
        let config = self.config.load(stages)?;
        let planned = plan(&config, self.restart)?;
        if self.dry_run {
            // Nobody is asked: a scheduler may not be here.
            let next = Next::of(&config, &planned)?;
            say(describe(&config, &planned, next.as_ref())?.trim_end())?;
            return Ok(Exit::Done);
        }
        // What cannot be started is refused before anything is on disk, or goes from it. A run that is
        // on disk may be complete.
        let job = match next_job(&config, &planned.run) {
            Err(fail) if !planned.resumes => return Err(fail),
            job => job,
        };
        let planned = planned.establish()?;
        if !at_work(&planned.run).is_empty() {
            let run = planned.run.root().display();
            tell(format!("note: workers are at work in {run} already; these come in addition"));
        }
        Stop::withdraw(&planned.run).context("failed to remove the stop request")?;
        if self.retry_failed {
            retry_failed(&planned.run)?;
        }
        if self.detach || config.detach {
            return self.detached(&config, &planned, job);
        }
        let ending = self.wait(stages, &config, &planned, job?)?;
        if ending == Ending::Complete {
            collect_and_merge(&planned.run, &planned.spec, config.loaded.as_ref())?;
            // Another cluster's queue may still have an earlier submission; it finds nothing to do.
            let _ = cancel_all(&planned.run);
        }
        let report = Report::of(&planned.run)?;
        if self.json {
            say(report.to_json())?;
        } else {
            tell(report.conclusion());
        }
        Ok(if ending == Ending::Interrupted { Exit::Interrupted } else { report.exit() })
    }

    fn detached(
        &self,
        config: &Config,
        planned: &Planned,
        job: Result<Job, Fail>,
    ) -> Result<Exit, Fail> {
        let run = &planned.run;
        let progress = Survey::new(run, &planned.spec).look()?;
        let cluster = &config.parallel.env;
        let told = if progress.complete() {
            "already complete".to_owned()
        } else if let Some(earlier) = UnderWay::join(run, cluster)? {
            let jobs = jobs(&earlier.ids(run));
            format!("{jobs} of {cluster} has it already; nothing was submitted")
        } else {
            let job = job?.no_larger_than(&progress);
            let mut submitted = UnderWay::submit(run, &job, true)?;
            submitted.settle(run)?;
            for news in submitted.news() {
                tell(format!("warning: {news}"));
            }
            let tasks = submitted.tasks();
            let workers = count(tasks.iter().map(|task| task.workers as usize).sum(), "worker");
            match submitted.ids(run).as_slice() {
                [] => format!("{workers} started"),
                ids => {
                    let tasks = count(tasks.len(), "task");
                    format!("{} submitted to {cluster}: {workers} in {tasks}", jobs(ids))
                }
            }
        };
        if self.json {
            say(Report::of(run)?.to_json())?;
            return Ok(Exit::Done);
        }
        let place = run.root().display();
        say(format!("{place}: {told}"))?;
        let here = quoted(run.root());
        tell(format!(
            "hint: `espnet3-par status {here}` tells how far it is; `espnet3-par collect {here}` merges the records"
        ));
        Ok(Exit::Done)
    }

    fn wait(
        &self,
        stages: &[Stage],
        config: &Config,
        planned: &Planned,
        job: Job,
    ) -> Result<Ending, Fail> {
        let Planned { run, spec, .. } = planned;
        if self.in_process {
            if !Survey::new(run, spec).look()?.complete() {
                let ended = processes::work_in_process(stages, run, spec, job.register(run)?)?;
                if let Ended::Failed { error } = ended {
                    return Err(anyhow::anyhow!(error).into());
                }
            }
            let complete = Survey::new(run, spec).look()?.complete();
            return Ok(if complete { Ending::Complete } else { Ending::Incomplete });
        }
        let bar = Bar::new(config.stage.name, planned, config.parallel.n_workers);
        wait(bar, config, planned, &job)
    }
}

/// Submits and waits, telling it by `bar`.
pub(super) fn wait(
    mut bar: Bar,
    config: &Config,
    planned: &Planned,
    job: &Job,
) -> Result<Ending, Fail> {
    let signals = listen(&[SIGINT, SIGTERM, SIGHUP]).context("failed to listen for signals")?;
    let (resubmits, cluster) = (config.parallel.max_resubmits, &config.parallel.env);
    let ending = submit_and_wait(planned, job, resubmits, Some(signals), &mut |event| {
        match event {
            Event::Progress(progress) => bar.show(progress),
            Event::Submitted(ids) => {
                bar.say(&format!("{} submitted to {cluster}", jobs(ids)));
            }
            Event::Joining(ids) => {
                bar.say(&format!("{} of {cluster} has it already; waiting for it", jobs(ids)));
            }
            Event::News(news) => bar.warn(&format!("warning: {news}")),
            Event::Waiting => bar.say("waiting for workers of another `run`"),
            Event::Stopping => bar.say("stopping the workers; once more to kill them"),
        }
        Ok(())
    });
    bar.end();
    Ok(ending?)
}

/// The next submission; says where GPUs stay idle.
fn next_job(config: &Config, run: &RunDir) -> Result<Job, Fail> {
    let job = job(config, run)?;
    for task in job.tasks.iter().filter(|task| task.devices.len() > task.workers as usize) {
        let (workers, gpus) = (task.workers, task.devices.len());
        tell(format!("warning: n_workers={workers} < num_gpus={gpus}: the other GPUs stay idle"));
    }
    Ok(job)
}

/// `job 12`, `jobs 12, 13`.
fn jobs(ids: &[String]) -> String {
    format!("{} {}", if ids.len() == 1 { "job" } else { "jobs" }, ids.join(", "))
}

/// Opens the shards with failed items again, without their errors. Those in living hands stay.
pub(super) fn retry_failed(run: &RunDir) -> Result<(), Fail> {
    let (name, _log) = reserve_name(run).context("failed to open a log")?;
    let me = Worker::enter(run, &name, Place::default()).context("failed to enter the run")?;
    let mine = run.worker(&name);
    for shard in run.list_shards()? {
        let held = match &shard.state {
            ShardState::Claimed { worker, .. } => life(run, worker) != Life::Dead,
            ShardState::Todo | ShardState::Done => false,
        };
        if held || !run.shards().join(shard.to_string()).join(ERRORS).exists() {
            continue;
        }
        touch(&mine).context("failed to renew the lease")?;
        let number = shard.shard;
        if let Some(claim) = Claim::take(run, shard, &name)? {
            // Another driver with the same wish may have been here first.
            gone(std::fs::remove_file(claim.folder().join(ERRORS)))
                .and_then(|()| claim.give_back())
                .with_context(|| format!("failed to open shard {number} again"))?;
        }
    }
    me.end(run, Ended::Finished)?;
    Ok(())
}
