//! The env at work: one item, or one batch, on one thread or many; a panic is an item's error.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rayon::ThreadPool;

use crate::deadline::Deadline;
use crate::item_error::ErrorKind;
use crate::job::Job;
use crate::log::log;
use crate::record::Record;
use crate::stage::{LoadedEnv, LoadedStage};

/// One item's fate.
pub(crate) type Outcome = (u64, std::result::Result<Record, (ErrorKind, String)>);

/// The env, and how many threads and items at a time use it.
pub(crate) struct Computer {
    env: Box<dyn LoadedEnv>,
    pub pool: Option<ThreadPool>,
    pub batch_size: usize,
    deadline: Arc<Deadline>,
}

impl Computer {
    pub(crate) fn build(
        stage: &dyn LoadedStage,
        job: &Job,
        deadline: &Arc<Deadline>,
    ) -> Result<Self> {
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
        let (batch_size, deadline) = (job.batch_size as usize, deadline.clone());
        Ok(Self { env, pool, batch_size, deadline })
    }

    /// Computes an item, or a batch, if it can be done in time.
    pub(crate) fn in_time<T>(&self, compute: impl FnOnce(&Self) -> T) -> Option<T> {
        if self.deadline.end().is_none() {
            return Some(compute(self));
        }
        if !self.deadline.fits_one_more() {
            return None;
        }
        let start = Instant::now();
        let computed = compute(self);
        self.deadline.took(start.elapsed());
        Some(computed)
    }

    pub(crate) fn forward(&self, idx: u64) -> Outcome {
        let result = catch_unwind(AssertUnwindSafe(|| self.env.forward(idx)));
        (idx, fate(result))
    }

    /// What a person calls the item, where the stage says so.
    pub(crate) fn item_name(&self, idx: u64) -> Option<String> {
        catch_unwind(AssertUnwindSafe(|| self.env.item_name(idx))).unwrap_or(None)
    }

    /// A batch that fails is tried item by item, so that only the bad one is lost.
    pub(crate) fn batch(&self, batch: &[u64]) -> Vec<Outcome> {
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
