//! A run from code: what `run` does, with the records handed over and nothing printed.

use anyhow::{Result, bail};

use crate::collect::{collect_and_merge, read_shard, records};
use crate::config::Config;
use crate::drive::{Ending, Event, Planned, job, plan, submit_and_wait};
use crate::record::Record;
use crate::run_dir::ShardState;
use crate::status::Status;
use crate::stop::Stop;
use crate::survey::Progress;

/// Runs the config's stage where its `parallel:` section says and returns the records in index
/// order, each with its `idx`. The run directory stays: calling again resumes.
///
/// Workers are processes of the program that calls this; [`work_if_asked`](crate::work_if_asked)
/// must come first in its `main`.
///
/// ```no_run
/// use espnet3_par::{Config, parallel_map, stages::STAGES, work_if_asked};
///
/// fn main() -> espnet3_par::Result<()> {
///     work_if_asked(STAGES);
///     let config = Config::from_files(&["conf/vad.yaml".into()], STAGES)?;
///     for record in parallel_map(&config)? {
///         println!("{}", record.get::<String>("utt_id")?);
///     }
///     Ok(())
/// }
/// ```
///
/// # Errors
/// When items failed, naming the first, or the run did not complete, saying why; what is done stays.
pub fn parallel_map(config: &Config) -> Result<Vec<Record>> {
    let planned = run(config, &mut |_, _| Ok(()))?;
    records(&planned.run.results())?.collect()
}

/// As [`parallel_map`], but calls `each` with the records of a shard as soon as it is done:
/// shards come in the order they end in, records within one in index order. Records that were
/// there from an earlier call come first.
///
/// ```no_run
/// # fn main() -> espnet3_par::Result<()> {
/// # use espnet3_par::{Config, parallel_for, stages::STAGES, work_if_asked};
/// # work_if_asked(STAGES);
/// let config = Config::from_files(&["conf/vad.yaml".into()], STAGES)?;
/// parallel_for(&config, |records| {
///     println!("{} utterances more", records.len());
///     Ok(())
/// })?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`parallel_map`], and when `each` fails.
pub fn parallel_for(
    config: &Config,
    mut each: impl FnMut(Vec<Record>) -> Result<()>,
) -> Result<()> {
    let mut given: Vec<bool> = Vec::new();
    run(config, &mut |planned, progress| {
        given.resize(planned.spec.num_shards(), false);
        let before = given.iter().filter(|given| **given).count() as u64;
        if progress.shards.done == before {
            return Ok(());
        }
        for name in planned.run.list_shards()? {
            if name.state == ShardState::Done
                && let Some(given) = given.get_mut(name.shard)
                && !std::mem::replace(given, true)
            {
                each(read_shard(&planned.run, &planned.spec, name.shard)?)?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

fn run(
    config: &Config,
    watch: &mut dyn FnMut(&Planned, &Progress) -> Result<()>,
) -> Result<Planned> {
    let planned = plan(config, false)?;
    let job = job(config, &planned.run)?;
    let planned = planned.establish()?;
    Stop::withdraw(&planned.run)?;
    let resubmits = config.parallel.max_resubmits;
    let ending = submit_and_wait(&planned, &job, resubmits, None, &mut |event| match event {
        Event::Progress(progress) => watch(&planned, progress),
        _ => Ok(()),
    })?;
    let place = planned.run.root().display();
    if ending != Ending::Complete {
        let troubles = Status::of(&planned.run)?.troubles();
        let troubles: String = troubles.iter().map(|(trouble, _)| format!("; {trouble}")).collect();
        let stop = Stop::read(&planned.run).map(|stop| format!("; {stop}")).unwrap_or_default();
        bail!("the run in {place} is not complete{stop}{troubles}");
    }
    let collected = collect_and_merge(&planned.run, &planned.spec, config.loaded.as_ref())?;
    if let Some(first) = collected.errors.first() {
        let failed = collected.errors.len();
        bail!(
            "{failed} items of the run in {place} failed, the first is item {}: {}",
            first.idx,
            first.error
        );
    }
    Ok(planned)
}
