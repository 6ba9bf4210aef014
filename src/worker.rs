//! The worker: builds the env once, then claims, computes and commits shards until none is left.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rayon::ThreadPool;

use crate::config::OnItemError;
use crate::job::Job;
use crate::ordered::compute_in_order;
use crate::poison::Careful;
use crate::queue::Queue;
use crate::record::Record;
use crate::roster::{Ended, Worker};
use crate::run_dir::RunDir;
use crate::shard_writer::{ErrorKind, ItemError, ShardWriter};
use crate::spec::Spec;
use crate::stage::{LoadedEnv, LoadedStage};
use crate::stop::Stop;
use crate::vigil;

/// What a worker works on.
pub(crate) struct Assignment {
    pub run: RunDir,
    pub spec: Spec,
    pub job: Job,
    pub stage: Box<dyn LoadedStage>,
    pub worker: Worker,
    /// The exit status after a signal: 0 for a worker process, whose parent need not care.
    pub signal_status: i32,
}

/// The shard in hand. Whoever holds the lock may write to it or give it away: the computing
/// thread, or the one that hears signals.
pub(crate) type InHand = Arc<Mutex<Option<ShardWriter>>>;

/// One item's fate.
type Outcome = (u64, std::result::Result<Record, (ErrorKind, String)>);

/// Why a shard was left before its end.
enum Left {
    /// It is somebody else's now.
    Lost,
    /// The worker was asked to end, and gave it back.
    Stopped(Stop),
}

/// Works until no shard is left, and says how it ended.
pub(crate) fn work(assignment: &Assignment) -> Ended {
    let worker = assignment.worker.clone();
    let in_hand = InHand::default();
    let vigil = vigil::keep(&assignment.run, &worker, &in_hand, assignment.signal_status);
    let ended = work_through(assignment, &in_hand)
        .unwrap_or_else(|error| Ended::Failed { error: format!("{error:#}") });
    drop(vigil);
    match &ended {
        Ended::Finished => log("nothing left to do"),
        Ended::Stopped { why } => log(&format!("stopped: {why}")),
        Ended::EnvFailed { error } => log(&format!("the env could not be built: {error}")),
        Ended::Failed { error } => log(&format!("failed: {error}")),
        Ended::Died { .. } => {}
    }
    if let Err(error) = worker.end(&assignment.run, ended.clone()) {
        log(&format!("failed to note the end: {error}"));
    }
    ended
}

fn work_through(assignment: &Assignment, in_hand: &InHand) -> Result<Ended> {
    let Assignment { run, spec, job, stage, worker, .. } = assignment;
    let mut queue = Queue::new(run, &worker.worker, spec.num_shards());
    let mut computer: Option<Computer> = None;
    loop {
        if let Some(stop) = Stop::read(run) {
            return Ok(Ended::Stopped { why: stop.to_string() });
        }
        // The lock is held from claim to writer: a signal must not fall between.
        let mut hand = lock(in_hand);
        let claim = queue.next().context("failed to claim a shard")?;
        let Some(claim) = claim else { return Ok(Ended::Finished) };
        let shard = claim.shard;
        let writer = ShardWriter::open(claim, spec.items(shard))
            .with_context(|| format!("failed to open shard {shard}"))?;
        log(&format!(
            "shard {shard}: attempt {}, {} of {} items are there{}",
            writer.claim.attempt,
            writer.found(),
            spec.len(shard),
            writer
                .claim
                .taken_from
                .as_deref()
                .map(|dead| format!(" from {dead}"))
                .unwrap_or_default(),
        ));
        *hand = Some(writer);
        drop(hand);
        let computer = match &computer {
            Some(computer) => computer,
            None => match Computer::build(stage.as_ref(), job) {
                Ok(built) => computer.insert(built),
                Err(error) => {
                    give_back(in_hand)?;
                    return Ok(Ended::EnvFailed { error: format!("{error:#}") });
                }
            },
        };
        let left = work_shard(assignment, computer, in_hand)?;
        match left {
            None => commit(in_hand)?,
            Some(Left::Lost) => log(&format!("shard {shard}: taken over by another worker")),
            Some(Left::Stopped(stop)) => return Ok(Ended::Stopped { why: stop.to_string() }),
        }
    }
}

/// Computes what is pending of the shard in hand. `None`: all of it.
fn work_shard(
    assignment: &Assignment,
    computer: &Computer,
    in_hand: &InHand,
) -> Result<Option<Left>> {
    let (pending, mut careful) = match &*lock(in_hand) {
        Some(writer) => (writer.pending(), Careful::new(writer, &assignment.run)),
        None => return Ok(Some(Left::Lost)),
    };
    if careful.is_on() {
        // One at a time, each on disk before the next: should this attempt die too, it is known where.
        for idx in pending {
            let poison = {
                let hand = lock(in_hand);
                let Some(writer) = &*hand else { return Ok(Some(Left::Lost)) };
                careful.before(writer, idx)
            };
            let outcome = match poison {
                Some(deaths) => (idx, Err((ErrorKind::Died, deaths))),
                None => computer.forward(idx),
            };
            if let Some(left) = record(assignment, computer, in_hand, outcome, true)? {
                return Ok(Some(left));
            }
        }
        return Ok(None);
    }
    let mut left = Ok(None);
    let size = computer.batch_size;
    let take = |outcomes: Vec<Outcome>| {
        for outcome in outcomes {
            left = record(assignment, computer, in_hand, outcome, false);
            if !matches!(left, Ok(None)) {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    };
    if size == 1 {
        let compute = |idx| vec![computer.forward(idx)];
        compute_in_order(computer.pool.as_ref(), pending, compute, take);
    } else {
        let batches = batches(pending, size);
        compute_in_order(computer.pool.as_ref(), batches, |batch| computer.batch(&batch), take);
    }
    left
}

/// Writes one item's fate down. `Some`: the shard is left.
fn record(
    assignment: &Assignment,
    computer: &Computer,
    in_hand: &InHand,
    (idx, result): Outcome,
    flush: bool,
) -> Result<Option<Left>> {
    let mut hand = lock(in_hand);
    // Given back by the thread that hears signals: this process is about to end.
    let Some(writer) = &mut *hand else { return Ok(Some(Left::Lost)) };
    let written = (|| {
        let (kind, error) = match result {
            Ok(record) => match writer.write(idx, record)? {
                Ok(()) => return Ok(None),
                Err(error) => (ErrorKind::Error, error),
            },
            Err(failed) => failed,
        };
        let item = computer.env.item_name(idx);
        log(&format!(
            "item {idx} failed: {}{error}",
            item.as_deref().map(|i| format!("{i}: ")).unwrap_or_default()
        ));
        if assignment.job.on_item_error == OnItemError::Stop {
            return Ok(Some(Stop::ItemFailed { idx, item, error }));
        }
        writer.write_error(&ItemError { idx, item, kind, error })?;
        too_many_failed(assignment)
    })();
    let flushed = written.and_then(|stop| {
        if flush {
            writer.flush()?;
        }
        Ok::<_, anyhow::Error>(stop)
    });
    match flushed {
        Ok(None) => Ok(None),
        Ok(Some(stop)) => {
            stop.request(&assignment.run)?;
            if let Some(writer) = hand.take() {
                writer.give_back()?;
            }
            Ok(Some(Left::Stopped(stop)))
        }
        Err(_) if !writer.claim.held() => {
            *hand = None;
            Ok(Some(Left::Lost))
        }
        Err(error) => Err(error.context(format!("failed to write item {idx}"))),
    }
}

/// Whether the failures of the whole run, as far as they are on disk, pass `max_failed_items`.
fn too_many_failed(assignment: &Assignment) -> Result<Option<Stop>> {
    let Some(allowed) = assignment.job.max_failed_items else { return Ok(None) };
    let failed = crate::survey::count_failed(&assignment.run)?;
    Ok((failed > allowed).then_some(Stop::TooManyFailed { failed, allowed }))
}

fn commit(in_hand: &InHand) -> Result<()> {
    let mut hand = lock(in_hand);
    let Some(writer) = hand.take() else { return Ok(()) };
    let shard = writer.claim.shard;
    let committed = writer.commit().with_context(|| format!("failed to commit shard {shard}"));
    match committed {
        Ok(true) => log(&format!("shard {shard}: done")),
        Ok(false) => log(&format!("shard {shard}: taken over by another worker")),
        Err(error) => return Err(error),
    }
    Ok(())
}

fn give_back(in_hand: &InHand) -> Result<()> {
    match lock(in_hand).take() {
        Some(writer) => writer.give_back().map(|_| ()),
        None => Ok(()),
    }
}

/// A panic elsewhere must not keep the shard from being given back.
pub(crate) fn lock(in_hand: &InHand) -> MutexGuard<'_, Option<ShardWriter>> {
    in_hand.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The env, and how many threads and items at a time use it.
struct Computer {
    env: Box<dyn LoadedEnv>,
    pool: Option<ThreadPool>,
    batch_size: usize,
}

impl Computer {
    fn build(stage: &dyn LoadedStage, job: &Job) -> Result<Self> {
        let start = Instant::now();
        let env = catch_unwind(AssertUnwindSafe(|| stage.build_env()))
            .unwrap_or_else(|panic| Err(anyhow!("panicked: {}", panic_message(panic.as_ref()))))?;
        let took = start.elapsed();
        if took > Duration::from_millis(1) {
            log(&format!("env built in {:.3} s", took.as_secs_f64()));
        }
        let threads = job.threads_per_worker as usize;
        let pool = (threads > 1)
            .then(|| rayon::ThreadPoolBuilder::new().num_threads(threads).build())
            .transpose()
            .context("failed to start threads")?;
        Ok(Self { env, pool, batch_size: job.batch_size as usize })
    }

    fn forward(&self, idx: u64) -> Outcome {
        let result = catch_unwind(AssertUnwindSafe(|| self.env.forward(idx)));
        (idx, fate(result))
    }

    /// A batch that fails is tried item by item, so that only the bad one is lost.
    fn batch(&self, batch: &[u64]) -> Vec<Outcome> {
        match catch_unwind(AssertUnwindSafe(|| self.env.batch_forward(batch))) {
            Ok(Ok(records)) if records.len() == batch.len() => {
                batch.iter().copied().zip(records.into_iter().map(Ok)).collect()
            }
            Ok(Ok(records)) => {
                log(&format!(
                    "batch_forward gave {} records for {} items; trying them one by one",
                    records.len(),
                    batch.len()
                ));
                batch.iter().map(|&idx| self.forward(idx)).collect()
            }
            _ => batch.iter().map(|&idx| self.forward(idx)).collect(),
        }
    }
}

fn fate(
    result: std::thread::Result<Result<Record>>,
) -> std::result::Result<Record, (ErrorKind, String)> {
    match result {
        Ok(Ok(record)) => Ok(record),
        Ok(Err(error)) => Err((ErrorKind::Error, format!("{error:#}"))),
        Err(panic) => Err((ErrorKind::Panic, panic_message(panic.as_ref()))),
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

fn batches(mut items: impl Iterator<Item = u64>, size: usize) -> impl Iterator<Item = Vec<u64>> {
    std::iter::from_fn(move || {
        let batch: Vec<u64> = items.by_ref().take(size).collect();
        (!batch.is_empty()).then_some(batch)
    })
}

/// One line of the worker's log, which is its stderr.
pub(crate) fn log(message: &str) {
    eprintln!("{} {message}", jiff::Zoned::now().strftime("%F %T"));
}
