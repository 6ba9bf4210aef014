//! The driver: plans a run, submits it, waits for it. Everything it knows it reads from the disk.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::SIGHUP;
use signal_hook::iterator::Signals;

use crate::config::Config;
use crate::identity::{host, random_name};
use crate::indices::Indices;
use crate::items::Items;
use crate::job::Job;
use crate::launch::task_argv;
use crate::plan;
use crate::refused::Refused;
use crate::roster::{Life, at_work, life};
use crate::run_dir::RunDir;
use crate::spec::{Difference, Fingerprint, Spec};
use crate::stop::Stop;
use crate::survey::{Mark, Progress, Survey, mark};
use crate::tasks::tasks;
use crate::trust;
use crate::under_way::{UnderWay, cancel_all};

/// A run that is ready to be submitted; nothing is on disk yet.
pub(crate) struct Planned {
    pub run: RunDir,
    /// The one that is on disk, where there is one.
    pub spec: Spec,
    pub resumes: bool,
    /// What the run directory holds goes first.
    pub replaces: bool,
}

impl Planned {
    /// Puts the plan on disk, or joins the one that is there.
    pub(crate) fn establish(self) -> Result<Self> {
        trust::check_owners(&self.run)?;
        if self.replaces && self.run.exists() {
            if !at_work(&self.run).is_empty() {
                let run = self.run.root().display();
                let place = self.run.root().to_string_lossy();
                let hint =
                    format!("`espnet3-par cancel {}` stops them", shell_words::quote(&place));
                return Err(Refused::new(format!("workers are at work in {run}"), hint).into());
            }
            cancel_all(&self.run).context("failed to cancel what is queued of the old run")?;
            self.run
                .clear()
                .with_context(|| format!("failed to clear {}", self.run.root().display()))?;
        }
        trust::check(&self.run)?;
        let wanted = self.spec.fingerprint.clone();
        let spec = self.spec.establish(&self.run)?;
        same_run(&wanted, &spec.fingerprint, &self.run)?;
        Ok(Self { spec, ..self })
    }
}

/// # Errors
/// [`Refused`] where the run directory holds a run with another fingerprint.
fn same_run(ours: &Fingerprint, theirs: &Fingerprint, run: &RunDir) -> Result<(), Refused> {
    let differences = ours.differences(theirs);
    if differences.is_empty() {
        return Ok(());
    }
    let (of_inputs, others): (Vec<_>, Vec<_>) =
        differences.iter().partition(|difference| difference.of_inputs);
    // Where there are more items, there are more indices.
    let other = match !of_inputs.is_empty() && others.iter().all(|it| it.key == "indices") {
        true => "over other inputs",
        false => "with another config",
    };
    let mut message = format!("{} holds a run {other}", run.root().display());
    let show = |value: &Option<serde_json::Value>| {
        value.as_ref().map_or_else(|| "not set".to_owned(), ToString::to_string)
    };
    for Difference { key, ours, theirs, of_inputs } in &differences {
        message += &match (of_inputs, theirs, ours) {
            // Checksums say no more.
            (true, Some(serde_json::Value::String(_)), Some(serde_json::Value::String(_))) => {
                format!("\n  {key}: it is not what it was before")
            }
            _ => format!("\n  {key}: {} before, {} now", show(theirs), show(ours)),
        };
    }
    let ways = "`--restart` throws the old records away; \
                `--set output_dir=ANOTHER` keeps them and starts a new run";
    Err(Refused::new(message, ways))
}

/// Longer than an NFS client keeps a listing.
const OLD_LISTING: Duration = Duration::from_secs(90);

/// How waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Complete,
    /// Nobody works on it any more, and it is not complete.
    Incomplete,
    Interrupted,
}

/// Decides what is to be done, from the config and what the run directory already holds; with
/// `anew`, from the config alone.
///
/// # Errors
/// [`Refused`] where the run directory holds a run with another fingerprint, for indices beyond
/// the last item, and for clusters that this version does not drive; items that cannot be counted.
pub(crate) fn plan(config: &Config, anew: bool) -> Result<Planned> {
    let run = RunDir::new(&config.output_dir);
    let there = (run.exists() && !anew).then(|| Spec::read(&run)).transpose()?;
    let (fingerprint, costs) = look(config)?;
    let mut replaces = anew;
    if let Some(spec) = there {
        match same_run(&fingerprint, &spec.fingerprint, &run) {
            Ok(()) => return Ok(Planned { run, spec, resumes: true, replaces: false }),
            // Nothing was computed with the other config: there is nothing to choose.
            Err(_) if barren(&run) => replaces = true,
            Err(refused) => return Err(refused.into()),
        }
    }
    let spec = cut(config, fingerprint, costs)?;
    Ok(Planned { run, spec, resumes: false, replaces })
}

/// Whether a run was tried, has neither a record nor a failed item, and nobody works on it.
fn barren(run: &RunDir) -> bool {
    Job::all_ended(run)
        && at_work(run).is_empty()
        && mark(run).is_ok_and(|mark| mark == Mark::default())
}

/// What is to be done, and what each item costs, if that is known.
fn look(config: &Config) -> Result<(Fingerprint, Option<Vec<f64>>)> {
    let stage = config.stage.name;
    config.loaded.validate().map_err(|error| no_input(config, &error))?;
    let items = config.loaded.items(config.indices.as_ref());
    let Items { len: num_items, costs, inputs } =
        items.map_err(|error| no_input(config, &error))?;
    let indices = config.indices.clone().unwrap_or_else(|| Indices::all(num_items));
    if let Some(last) = indices.last().filter(|last| *last >= num_items) {
        let hint = match num_items {
            0 => format!("stage `{stage}` has no items"),
            n => format!("stage `{stage}` has the items 0 to {}", n - 1),
        };
        return Err(Refused::new(format!("`indices` asks for item {last}"), hint).into());
    }
    let (stage, params, inputs) = (stage.to_owned(), config.params.clone(), inputs.value());
    Ok((Fingerprint { stage, params, inputs, num_items, indices }, costs))
}

/// The provider cannot work with what the config says or names.
fn no_input(config: &Config, error: &anyhow::Error) -> Refused {
    let (here, name) = (std::env::current_dir().unwrap_or_default(), config.stage.name);
    let error = format!("{error:#}");
    let see = match (said_of(config, &error), config.stage.takes_all) {
        (Some((key, origin)), _) => format!("`{key}` comes from {origin}"),
        (None, true) => "see `provider` and `runner` in the config".to_owned(),
        (None, false) => format!("see the section `{name}` of the config"),
    };
    let hint = format!("{see}; relative paths start at {}", here.display());
    Refused::new(format!("stage `{name}` cannot start: {error}"), hint)
}

/// The key whose value an error names, and where it is set.
fn said_of(config: &Config, error: &str) -> Option<(String, String)> {
    let section = format!("{}.", config.stage.name);
    let of_stage = |key: &str| config.stage.takes_all || key.starts_with(&section);
    // A path: any other value may stand in the sentence by chance.
    let named = config.origins().into_iter().filter(|(key, value, origin)| {
        of_stage(key)
            && value.contains(['/', '.'])
            && !origin.is_empty()
            && error.contains(value.as_str())
    });
    let longest = named.max_by_key(|(_, value, _)| value.len())?;
    Some((longest.0, longest.2))
}

/// How the items are cut into shards, and which of these come first.
fn cut(config: &Config, fingerprint: Fingerprint, costs: Option<Vec<f64>>) -> Result<Spec> {
    let total = fingerprint.indices.len();
    let parallel = &config.parallel;
    let costs = costs.map(|costs| chosen(&fingerprint, &costs)).transpose()?;
    let batch_size = config.batch_size.unwrap_or(1).into();
    let bounds = match plan::asked(total, parallel.shards, parallel.shard_size) {
        // Whoever says how to cut gets equal counts.
        Some(shards) => plan::bounds(total, shards, None)?,
        None => {
            let workers = plan::Workers {
                workers: parallel.n_workers,
                threads_per_worker: parallel.threads_per_worker,
                batch_size,
            };
            let shards = workers.num_shards(total);
            match &costs {
                Some(costs) => plan::bounds(total, shards, Some(costs))?,
                None => plan::bounds_of_batches(total, shards, batch_size)?,
            }
        }
    };
    let heavy = costs.map(|costs| plan::heavy(&bounds, &costs)).unwrap_or_default();
    Ok(Spec { heavy, ..Spec::new(fingerprint, bounds) })
}

/// The costs of the items asked for.
fn chosen(fingerprint: &Fingerprint, costs: &[f64]) -> Result<Vec<f64>> {
    if costs.len() as u64 != fingerprint.num_items {
        bail!("the provider has {} costs for {} items", costs.len(), fingerprint.num_items);
    }
    Ok(fingerprint.indices.clone().into_iter().map(|idx| costs[idx as usize]).collect())
}

/// The next submission of a run, as the config wants it.
pub(crate) fn job(config: &Config, run: &RunDir) -> Result<Job> {
    let parallel = &config.parallel;
    Ok(Job {
        // This and `submitted` are known when it is registered.
        number: 0,
        cluster: parallel.env.clone(),
        n_workers: parallel.n_workers,
        first_rank: 0,
        tasks: tasks(parallel)?,
        threads_per_worker: parallel.threads_per_worker,
        unique: random_name(),
        options: parallel.options.clone(),
        max_running: parallel.max_running,
        max_array_size: parallel.max_array_size,
        batch_size: config.batch_size,
        python: config.resolved["python"].as_str().map(str::to_owned),
        item_timeout: config.item_timeout,
        on_item_error: config.on_item_error,
        max_failed_items: config.max_failed_items,
        callers_env: false,
        recipe_dir: std::env::current_dir().context("failed to find the working directory")?,
        submitted: String::new(),
        host: host(),
        argv: task_argv(run)?,
    })
}

/// What a driver tells while it waits.
pub(crate) enum Event<'a> {
    /// How far the run is.
    Progress(&'a Progress),
    /// A scheduler has taken these jobs.
    Submitted(&'a [String]),
    /// These jobs, of an earlier submission, are still in a scheduler's hands; nothing is submitted.
    Joining(&'a [String]),
    /// A host is lost or could not be reached, a scheduler lets all tasks wait.
    News(&'a str),
    /// Nothing is left to start workers for; workers of another driver hold the rest.
    Waiting,
    /// The first signal: the workers are asked to stop. A second one kills them.
    Stopping,
}

/// Submits and waits, and submits what is left again where workers were lost, at most
/// `max_resubmits` times and only as long as each submission gets the run on. With `signals`, the
/// first one stops the workers cleanly and the second one at once; without, this process dies of
/// them, and workers that it started stop by themselves.
///
/// # Errors
/// When the run directory or a program fails, or `watch` does, which is called at every look.
pub(crate) fn submit_and_wait(
    planned: &Planned,
    job: &Job,
    max_resubmits: u32,
    mut signals: Option<Signals>,
    watch: &mut dyn FnMut(Event<'_>) -> Result<()>,
) -> Result<Ending> {
    let Planned { run, spec, .. } = planned;
    let mut survey = Survey::new(run, spec);
    let mut under_way = UnderWay::join(run, &job.cluster)?;
    if let Some(under_way) = &under_way {
        watch(Event::Joining(&under_way.ids(run)))?;
    }
    let mut submissions = 0;
    let mut interrupted = false;
    let mut last_mark = None;
    let mut waiting = false;
    let mut old_since = None;
    let mut lost = BTreeSet::new();
    let mut looked_anew = false;
    let mut rest = Rest::new();
    loop {
        for signal in signals.iter_mut().flat_map(Signals::pending) {
            let Some(under_way) = &mut under_way else { return Ok(Ending::Interrupted) };
            // Whoever closes the laptop finds the jobs going on.
            if signal == SIGHUP && under_way.outlives_us() {
                return Ok(Ending::Interrupted);
            }
            if interrupted {
                under_way.kill();
                return Ok(Ending::Interrupted);
            }
            interrupted = true;
            watch(Event::Stopping)?;
            under_way.stop(run)?;
        }
        let started = Instant::now();
        if let Some(submitted) = &mut under_way {
            let ended = submitted.ended(run)?;
            submitted.news().iter().try_for_each(|news| watch(Event::News(news)))?;
            if ended {
                lost.extend(submitted.lost_hosts().map(str::to_owned));
                under_way = None;
            }
        }
        let progress = survey.look().context("failed to read the run directory")?;
        watch(Event::Progress(&progress))?;
        rest.looked(started.elapsed());
        // Whoever asked the run to stop, workers too: tasks that still queue would only look and end.
        if (progress.complete() || Stop::read(run).is_some())
            && let Some(submitted) = &mut under_way
            && submitted.dismiss(run)?
        {
            under_way = None;
        }
        if under_way.is_none() {
            if progress.complete() {
                // Another driver may have restarted it with another config meanwhile.
                same_run(&spec.fingerprint, &Spec::read(run)?.fingerprint, run)?;
                return Ok(Ending::Complete);
            }
            if interrupted {
                return Ok(Ending::Interrupted);
            }
            // Nothing is to be submitted or given up for what an old listing shows.
            if submissions > 0 && progress.is_old(run) {
                let since = *old_since.get_or_insert_with(Instant::now);
                if since.elapsed() < OLD_LISTING {
                    std::thread::sleep(rest.0);
                    continue;
                }
            }
            old_since = None;
            let held = progress.claims.iter().any(|claim| life(run, &claim.worker) == Life::Alive);
            // Others at work are joined; the last shards in their hands are waited for.
            if held && !(submissions == 0 && progress.shards.todo > 0) {
                if !std::mem::replace(&mut waiting, true) {
                    watch(Event::Waiting)?;
                }
            } else {
                let mark = Some(mark(run)?);
                let hopeless = Stop::read(run).is_some() || last_mark == mark;
                if submissions > max_resubmits || hopeless {
                    // A full disk leaves no word of itself.
                    run.try_writing()
                        .with_context(|| format!("failed to write in {}", run.root().display()))?;
                    // What was seen may be old: on another host the run may be complete.
                    if !std::mem::replace(&mut looked_anew, true) && run.refresh_listing().is_ok() {
                        continue;
                    }
                    return Ok(Ending::Incomplete);
                }
                looked_anew = false;
                last_mark = mark;
                let next = job.rather_not_on(&lost).no_larger_than(&progress);
                submissions += 1;
                let submitted = UnderWay::submit(run, &next, false)?;
                let ids = submitted.ids(run);
                if !ids.is_empty() {
                    watch(Event::Submitted(&ids))?;
                }
                under_way = Some(submitted);
                rest = Rest::new();
            }
        }
        match &under_way {
            Some(submitted) => submitted.rest(rest.0)?,
            None => std::thread::sleep(rest.0),
        }
    }
}

/// How long to rest between two looks: short at first, so that small runs end at once, longer
/// later, and always long against the look itself.
struct Rest(Duration);

impl Rest {
    fn new() -> Self {
        Self(Duration::from_millis(2))
    }

    fn looked(&mut self, took: Duration) {
        // A scheduler that does not answer makes a look long, and must not make the next one late.
        let long = (took * 20).min(Duration::from_secs(2));
        self.0 = (self.0.mul_f64(1.2)).min(Duration::from_millis(100)).max(long);
    }
}
