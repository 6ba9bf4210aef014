//! `run`: plan, submit, wait, collect.

use anyhow::Context;
use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::fail::{Exit, Fail, say};
use super::progress::Bar;
use super::report::Report;
use super::{ConfigArgs, processes};
use crate::claim::Claim;
use crate::collect::collect;
use crate::config::Config;
use crate::drive::{Ending, Event, Planned, check_cluster, job, plan, submit_and_wait};
use crate::launch::start_task;
use crate::roster::{Life, Worker};
use crate::run_dir::{ERRORS, RunDir, ShardState};
use crate::stage::Stage;
use crate::stop::Stop;
use crate::survey::Survey;

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
    #[arg(long)]
    dry_run: bool,
    /// Throw away what the run directory holds, and start anew.
    #[arg(long)]
    restart: bool,
    /// Try the items again that failed before.
    #[arg(long)]
    retry_failed: bool,
    /// Work in this process, for debugging.
    #[arg(long, conflicts_with = "detach")]
    in_process: bool,
    /// Print the outcome as JSON, as `status --json` does.
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(super) fn answer(self, stages: &[Stage]) -> Result<Exit, Fail> {
        let config = self.config.load(stages)?;
        if !self.dry_run {
            check_cluster(&config).map_err(anyhow::Error::from)?;
        }
        if self.restart && !self.dry_run {
            restart(&config)?;
        }
        let planned = plan(&config)?;
        if self.dry_run {
            say(super::check::describe(&config, &planned)?.trim_end())?;
            return Ok(Exit::Done);
        }
        let planned = planned.establish()?;
        Stop::withdraw(&planned.run).context("failed to remove the stop request")?;
        if self.retry_failed {
            retry_failed(&planned)?;
        }
        if self.detach || config.detach {
            return self.detached(&config, &planned);
        }
        let ending = self.wait(stages, &config, &planned)?;
        if ending == Ending::Complete {
            let collected = collect(&planned.run, &planned.spec)?;
            if collected.records > 0 {
                let mut records = crate::collect::records(&planned.run.results())?;
                config
                    .loaded
                    .merge(&mut records, planned.run.root())
                    .with_context(|| format!("failed to merge stage `{}`", config.stage.name))?;
            }
        }
        let report = Report::of(&planned.run)?;
        if self.json {
            say(report.to_json())?;
        } else {
            eprintln!("{}", report.conclusion());
        }
        Ok(if ending == Ending::Interrupted { Exit::Interrupted } else { report.exit() })
    }

    fn detached(&self, config: &Config, planned: &Planned) -> Result<Exit, Fail> {
        let complete = Survey::new(&planned.run, &planned.spec).look()?.complete();
        if !complete {
            let job = job(config, &planned.run)?.register(&planned.run)?;
            start_task(&planned.run, &job, true)?;
        }
        let report = Report::of(&planned.run)?;
        if self.json {
            say(report.to_json())?;
            return Ok(Exit::Done);
        }
        let run = planned.run.root().display();
        if complete {
            say(format!("{run}: already complete"))?;
        } else {
            say(format!("{run}: {} workers started", config.parallel.n_workers))?;
        }
        eprintln!(
            "hint: `espnet3-par status {run}` tells how far it is; `espnet3-par collect {run}` merges the records"
        );
        Ok(Exit::Done)
    }

    fn wait(&self, stages: &[Stage], config: &Config, planned: &Planned) -> Result<Ending, Fail> {
        let Planned { run, spec, .. } = planned;
        let job = job(config, run)?;
        if self.in_process {
            if !Survey::new(run, spec).look()?.complete() {
                processes::work_in_process(stages, run, spec, job.register(run)?)?;
            }
            let complete = Survey::new(run, spec).look()?.complete();
            return Ok(if complete { Ending::Complete } else { Ending::Incomplete });
        }
        let mut bar = Bar::new(config.stage.name, planned, config.parallel.n_workers);
        let signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).context("failed to listen for signals")?;
        let resubmits = config.parallel.max_resubmits;
        let ending = submit_and_wait(planned, &job, resubmits, Some(signals), &mut |event| {
            match event {
                Event::Progress(progress) => bar.show(progress),
                Event::Stopping => bar.say("stopping the workers; once more to kill them"),
            }
            Ok(())
        });
        bar.end();
        Ok(ending?)
    }
}

/// Removes what a run put into its directory, and nothing else that may be there.
fn restart(config: &Config) -> Result<(), Fail> {
    let run = RunDir::new(&config.output_dir);
    if !run.exists() {
        return Ok(());
    }
    let busy =
        Worker::read_all(&run).iter().filter(|worker| worker.life(&run) == Life::Alive).count();
    if busy > 0 {
        let run = run.root().display();
        return Err(Fail::usage(
            anyhow::anyhow!("{busy} workers are at work in {run}"),
            format!("`espnet3-par cancel {run}` stops them"),
        ));
    }
    run.clear().with_context(|| format!("failed to clear {}", run.root().display()))?;
    Ok(())
}

/// Opens the done shards with failed items again, without their errors.
fn retry_failed(planned: &Planned) -> Result<(), Fail> {
    let (name, _log) = crate::roster::reserve_name(&planned.run)?;
    let me = Worker::enter(&planned.run, &name, 0, 0)?;
    for shard in planned.run.list_shards()? {
        let folder = planned.run.shards().join(shard.to_string());
        if shard.state != ShardState::Done || !folder.join(ERRORS).exists() {
            continue;
        }
        if let Some(claim) = Claim::reopen(&planned.run, shard.shard, &name)? {
            std::fs::remove_file(claim.folder().join(ERRORS))?;
            claim.give_back()?;
        }
    }
    me.end(&planned.run, crate::roster::Ended::Finished)?;
    Ok(())
}
