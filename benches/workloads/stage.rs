//! The workloads as one stage, and the functions that the bare loops share with it.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail, ensure};
use cpu_time::ThreadTime;
use espnet3_par::{EnvironmentProvider, Items, Record, Runner};
use serde::{Deserialize, Serialize};

/// What an item costs. `benches/peers/work.py` has the same in Python.
#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Workload {
    Noop,
    /// When it was.
    Clock,
    /// A millisecond of this thread's own time.
    Busy,
    /// The first 20 items take 200 ms, the others 5.
    Uneven,
    /// 5 ms, with an env of 2 s and 200 MB.
    LargeEnv,
    /// 1,000 floats a record.
    Floats,
    /// No env can be built: a run ends after its plan.
    NoEnv,
}

const LARGE: usize = 200_000_000;

/// When an item was at work, in seconds since 1970.
#[derive(Serialize)]
pub(crate) struct Span {
    start: f64,
    end: f64,
}

impl Workload {
    pub(crate) fn env(self) -> Result<Vec<u8>> {
        match self {
            Self::LargeEnv => {
                let start = Instant::now();
                let model = vec![1; LARGE];
                sleep(Duration::from_secs(2).saturating_sub(start.elapsed()));
                Ok(model)
            }
            Self::NoEnv => bail!("only the plan is wanted"),
            _ => Ok(Vec::new()),
        }
    }

    /// Works for an item whose record is when that was.
    pub(crate) fn span(self, idx: u64, env: &[u8]) -> Span {
        let start = now();
        match self {
            Self::Busy => {
                let since = ThreadTime::now();
                while since.elapsed() < Duration::from_millis(1) {}
            }
            Self::Uneven => sleep(Duration::from_millis(if idx < 20 { 200 } else { 5 })),
            Self::LargeEnv => {
                assert!(env.len() == LARGE);
                sleep(Duration::from_millis(5));
            }
            _ => {}
        }
        Span { start, end: now() }
    }
}

pub(crate) fn floats(idx: u64) -> Vec<f64> {
    (0..1000).map(|i| idx as f64 * 0.001 + f64::from(i) / 7.0).collect()
}

pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkProvider {
    workload: Workload,
    n: u64,
    /// Whether the costs are known, where they differ.
    #[serde(default)]
    costs: bool,
}

pub(crate) struct Env {
    workload: Workload,
    model: Vec<u8>,
}

impl EnvironmentProvider for WorkProvider {
    type Env = Env;

    fn items(&self) -> Result<Items> {
        ensure!(!self.costs || self.workload == Workload::Uneven, "all items cost the same");
        let cost = |idx| if idx < 20 { 0.2 } else { 0.005 };
        let costs = self.costs.then(|| (0..self.n).map(cost).collect());
        Ok(Items { costs, ..Items::new(self.n) })
    }

    fn build_env_local(&self) -> Result<Env> {
        Ok(Env { workload: self.workload, model: self.workload.env()? })
    }
}

pub(crate) struct Work;

impl Runner for Work {
    type Provider = WorkProvider;

    fn forward(idx: u64, env: &Env) -> Result<Record> {
        match env.workload {
            Workload::Noop => Record::new(idx),
            Workload::Floats => Record::new(floats(idx)),
            workload => Record::new(workload.span(idx, &env.model)),
        }
    }
}
