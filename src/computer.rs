//! What computes items in a worker: the env at work in this process, on one thread or many, or
//! another program that is fed with items.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rayon::ThreadPool;

use crate::at_hand::AtHand;
use crate::deadline::Deadline;
use crate::item_error::ErrorKind;
use crate::items::Inputs;
use crate::job::Job;
use crate::log::log;
use crate::ordered::compute_in_order;
use crate::record::Record;
use crate::run_dir::RunDir;

/// How the panic of `println!` begins: no fault of the item, the log's disk is full.
const PRINT_FAILED: &str = "failed printing to std";

/// Why an item has no record. A stage that knows more than its words can fail with this.
#[derive(Debug)]
pub(crate) struct Failure {
    pub kind: ErrorKind,
    pub error: String,
    /// What a person calls the item, where that is known.
    pub item: Option<String>,
    /// No item can be computed here any more, and this one is not to blame: the worker ends.
    pub fatal: bool,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, error: impl Into<String>) -> Self {
        Self { kind, error: error.into(), item: None, fatal: false }
    }

    /// Ends the worker.
    pub(crate) fn fatal(error: impl Into<String>) -> Self {
        Self { fatal: true, ..Self::new(ErrorKind::Error, error) }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.error)
    }
}

impl std::error::Error for Failure {}

/// The env cannot be built, and this is why: no item can be computed.
#[derive(Debug)]
pub(crate) struct NoEnv(pub String);

impl std::fmt::Display for NoEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoEnv {}

/// One item's fate.
pub(crate) type Outcome = (u64, std::result::Result<Record, Failure>);

/// Where a worker works.
pub(crate) struct Workplace<'a> {
    pub run: &'a RunDir,
    pub job: &'a Job,
    /// The worker's name.
    pub worker: &'a str,
    pub deadline: &'a Arc<Deadline>,
    /// What is being computed in this process.
    pub at_hand: &'a Arc<AtHand>,
    /// What the stage's `inputs` said when the run was planned.
    pub inputs: &'a serde_json::Value,
}

/// Takes an outcome, in the order of the items; `None`: the next item would not be done before the
/// time limit.
pub(crate) type Take<'a> = dyn FnMut(Option<Outcome>) -> ControlFlow<()> + 'a;

/// Computes items.
pub(crate) trait Computer {
    /// Computes `items` in order, until `take` breaks or there is no time for more.
    ///
    /// # Errors
    /// [`NoEnv`], where the env is built for the first item; when nothing can be computed, whatever the
    /// item.
    fn compute(&self, items: &mut dyn Iterator<Item = u64>, take: &mut Take<'_>) -> Result<()>;

    /// What a person calls the item, where the stage says so.
    fn item_name(&self, idx: u64) -> Option<String>;

    /// How to compute one item alone, if an item can take this process along when it dies.
    fn alone(&self) -> Option<&dyn Alone>;
}

/// Computes one item in this process.
pub(crate) trait Alone {
    /// `None`: it would not be done before the time limit.
    fn forward_in_time(&self, idx: u64) -> Option<Outcome>;
}

/// An env and the runner that works with it, behind one type for all stages.
pub(crate) trait LoadedEnv: Send + Sync {
    fn forward(&self, idx: u64) -> Result<Record>;
    fn batch_forward(&self, indices: &[u64]) -> Result<Vec<Record>>;
    fn item_name(&self, idx: u64) -> Option<String>;
    /// Those of the stage's inputs that the env was built from, as far as it knows.
    fn inputs(&self) -> Inputs {
        Inputs::default()
    }
}

/// The env in this process. A panic is an item's error.
pub(crate) struct InProcess {
    env: Box<dyn LoadedEnv>,
    pool: Option<ThreadPool>,
    batch_size: usize,
    deadline: Arc<Deadline>,
    at_hand: Arc<AtHand>,
    only_programs: bool,
}

impl InProcess {
    /// Builds the env and starts the threads.
    pub(crate) fn build(
        build: impl FnOnce() -> Result<Box<dyn LoadedEnv>>,
        place: &Workplace<'_>,
    ) -> Result<Self> {
        let start = Instant::now();
        let checked = || -> Result<Box<dyn LoadedEnv>> {
            let env = build()?;
            env.inputs().check(place.inputs)?;
            Ok(env)
        };
        let env = catch_unwind(AssertUnwindSafe(checked))
            .unwrap_or_else(|panic| Err(anyhow!("panicked: {}", panic_message(panic.as_ref()))))?;
        let took = start.elapsed();
        if took > Duration::from_millis(1) {
            log(&format!("env built in {:.3} s", took.as_secs_f64()));
        }
        let threads = place.job.threads_per_worker as usize;
        let pool = (threads > 1)
            .then(|| rayon::ThreadPoolBuilder::new().num_threads(threads).build())
            .transpose()
            .context("failed to start threads")?;
        let batch_size = place.job.batch_size.unwrap_or(1) as usize;
        let (deadline, at_hand) = (place.deadline.clone(), place.at_hand.clone());
        Ok(Self { env, pool, batch_size, deadline, at_hand, only_programs: false })
    }

    /// The same, where the env only starts programs, and sees to their time itself. It gets no
    /// batches: one that fails would run its other items' programs twice.
    pub(crate) fn of_programs(self) -> Self {
        Self { only_programs: true, batch_size: 1, at_hand: Arc::default(), ..self }
    }

    /// Computes an item, or a batch, if it can be done in time.
    fn in_time<T>(&self, items: &[u64], compute: impl FnOnce(&Self) -> T) -> Option<T> {
        if self.deadline.end().is_none() {
            return Some(self.at_hand.while_computing(items, || compute(self)));
        }
        if !self.deadline.fits_one_more() {
            return None;
        }
        let start = Instant::now();
        let computed = self.at_hand.while_computing(items, || compute(self));
        self.deadline.took(start.elapsed());
        Some(computed)
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
            failed => {
                let why = match failed {
                    Ok(Err(error)) => format!("{error:#}"),
                    Err(panic) => panic_message(panic.as_ref()),
                    Ok(Ok(_)) => String::new(),
                };
                let items = batch.len();
                log(&format!("a batch of {items} failed: {why}; trying its items one by one"));
                batch.iter().map(|&idx| self.forward(idx)).collect()
            }
        }
    }
}

impl Computer for InProcess {
    fn compute(&self, items: &mut dyn Iterator<Item = u64>, take: &mut Take<'_>) -> Result<()> {
        let pool = self.pool.as_ref();
        if self.batch_size == 1 {
            compute_in_order(pool, items, |idx| self.forward_in_time(idx), take);
        } else {
            let batches = batches(items, self.batch_size);
            let batch = |batch: Vec<u64>| self.in_time(&batch, |it| it.batch(&batch));
            compute_in_order(pool, batches, batch, |outcomes| match outcomes {
                Some(outcomes) => outcomes.into_iter().try_for_each(|outcome| take(Some(outcome))),
                None => take(None),
            });
        }
        Ok(())
    }

    fn item_name(&self, idx: u64) -> Option<String> {
        catch_unwind(AssertUnwindSafe(|| self.env.item_name(idx))).unwrap_or(None)
    }

    fn alone(&self) -> Option<&dyn Alone> {
        (!self.only_programs).then_some(self)
    }
}

impl Alone for InProcess {
    fn forward_in_time(&self, idx: u64) -> Option<Outcome> {
        self.in_time(&[idx], |it| it.forward(idx))
    }
}

/// Cuts items into batches.
pub(crate) fn batches(
    mut items: impl Iterator<Item = u64>,
    size: usize,
) -> impl Iterator<Item = Vec<u64>> {
    std::iter::from_fn(move || {
        let batch: Vec<u64> = items.by_ref().take(size).collect();
        (!batch.is_empty()).then_some(batch)
    })
}

fn fate(result: std::thread::Result<Result<Record>>) -> std::result::Result<Record, Failure> {
    match result {
        Ok(Ok(record)) => Ok(record),
        Ok(Err(error)) => match error.downcast() {
            Ok(failure) => Err(failure),
            Err(error) => Err(Failure::new(ErrorKind::Error, format!("{error:#}"))),
        },
        Err(panic) => match panic_message(panic.as_ref()) {
            message if message.starts_with(PRINT_FAILED) => {
                Err(Failure::fatal(format!("the worker's log cannot be written: {message}")))
            }
            message => Err(Failure::new(ErrorKind::Panic, message)),
        },
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
