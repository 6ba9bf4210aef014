//! The Python process of a worker: started when there is an item for it, again when it died, and
//! with another env when the items are another test set's.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::child::{Child, Reply};
use super::work::Work;
use super::{from_here, request};
use crate::computer::{Alone, Computer, NoEnv, Take, Workplace};
use crate::deadline::Deadline;
use crate::log::log;
use crate::run_dir::RunDir;

/// So many processes in a row that die without an item at hand, and there is no point in another.
const DEATHS_IN_A_ROW: u32 = 3;

/// Feeds a Python process with items.
pub(super) struct Feeder {
    python: String,
    config: Value,
    pub run: RunDir,
    pub worker: String,
    pub deadline: Arc<Deadline>,
    pub batch_size: Option<usize>,
    pub item_timeout: Option<Duration>,
    /// The name of each test set, and where it begins among all items.
    test_sets: Vec<(String, u64)>,
    state: Mutex<State>,
}

/// The process, and what is known of it.
pub(super) struct State {
    child: Option<Child>,
    test_set: Option<usize>,
    /// The runner writes its results itself, by writer hooks.
    pub hooks: bool,
    /// The items that a process died at.
    pub deadly: BTreeSet<u64>,
    /// How many processes in a row died at none.
    idle_deaths: u32,
    /// How many parts were begun.
    pub parts: u32,
    /// How many items it is sent at once.
    pub pace: usize,
}

impl Feeder {
    pub(super) fn new(python: &str, config: &Value, place: &Workplace<'_>) -> Result<Self> {
        let lengths = place.inputs.get("test_sets").cloned().unwrap_or(json!([]));
        let lengths: Vec<(String, u64)> =
            serde_json::from_value(lengths).context("the spec's test sets are damaged")?;
        let mut begin = 0;
        let mut test_sets = Vec::new();
        for (name, length) in lengths {
            test_sets.push((name, begin));
            begin += length;
        }
        Ok(Self {
            python: python.to_owned(),
            config: config.clone(),
            run: place.run.clone(),
            worker: place.worker.to_owned(),
            deadline: place.deadline.clone(),
            batch_size: place.job.batch_size.map(|size| size as usize),
            item_timeout: place.job.item_timeout.map(Duration::from_secs),
            test_sets,
            state: Mutex::new(State::new()),
        })
    }

    /// The test set of an item, and where that begins.
    pub(super) fn test_set(&self, idx: u64) -> (Option<usize>, u64) {
        let after = self.test_sets.partition_point(|(_, begin)| *begin <= idx);
        let Some(nth) = after.checked_sub(1) else { return (None, 0) };
        (Some(nth), self.test_sets[nth].1)
    }

    pub(super) fn name_of(&self, test_set: Option<usize>) -> Option<&str> {
        test_set.map(|nth| self.test_sets[nth].0.as_str())
    }

    /// The process, with the env of a test set.
    ///
    /// # Errors
    /// [`NoEnv`].
    pub(super) fn ready<'s>(
        &self,
        state: &'s mut State,
        test_set: Option<usize>,
    ) -> Result<&'s mut Child> {
        if state.child.is_none() || state.test_set != test_set {
            self.build(state, test_set).map_err(|error| NoEnv(format!("{error:#}")))?;
        }
        state.child.as_mut().context("it was just made ready")
    }

    fn build(&self, state: &mut State, test_set: Option<usize>) -> Result<()> {
        let start = Instant::now();
        let mut child = match state.child.take() {
            Some(child) => child,
            None => Child::start(&self.python, None, false)?,
        };
        let name = self.name_of(test_set);
        let output_dir = self.output_dir(name);
        let mut request = request(&self.config, "env", name, from_here(&output_dir));
        request["batch_size"] = json!(self.batch_size);
        let answer = match child.ask(&request, None)? {
            Reply::Ok(answer) => answer,
            Reply::Failed(why) => bail!(why),
            Reply::Died(how) => bail!("the Python process died: {how}"),
        };
        let what = name.map(|name| format!(" of test set {name}")).unwrap_or_default();
        log(&format!("env{what} built in {:.3} s", start.elapsed().as_secs_f64()));
        state.hooks = answer["hooks"] == true;
        if state.hooks && self.run.more().exists() {
            bail!(
                "the runner's writer hooks write where other hosts cannot fetch it: \
                 `stage: true` is for runners whose `forward` returns its results"
            );
        }
        state.test_set = test_set;
        state.child = Some(child);
        Ok(())
    }

    fn output_dir(&self, test_set: Option<&str>) -> PathBuf {
        let root = self.run.root();
        test_set.map_or_else(|| root.to_owned(), |name| root.join(name))
    }
}

impl State {
    fn new() -> Self {
        Self {
            child: None,
            test_set: None,
            hooks: false,
            deadly: BTreeSet::new(),
            idle_deaths: 0,
            parts: 0,
            pace: 1,
        }
    }

    /// The process is gone, `at` an item or none.
    ///
    /// # Errors
    /// When too many died at none.
    pub(super) fn died(&mut self, at: Option<u64>, how: &str) -> Result<()> {
        self.child = None;
        if let Some(idx) = at {
            self.idle_deaths = 0;
            log(&format!("the Python process died at item {idx}: {how}; starting another"));
            return Ok(());
        }
        self.idle_deaths += 1;
        if self.idle_deaths >= DEATHS_IN_A_ROW {
            bail!("the Python process died {DEATHS_IN_A_ROW} times in a row at no item: {how}");
        }
        log(&format!("the Python process died at no item: {how}; starting another"));
        Ok(())
    }

    /// The process, dead or alive.
    pub(super) fn child(&self) -> Option<&Child> {
        self.child.as_ref()
    }

    /// Notes that a process died at an item alone, and tells whether it is not the first: then it is
    /// because of it.
    pub(super) fn dies_again_at(&mut self, idx: u64) -> bool {
        !self.deadly.insert(idx)
    }

    /// The process is at something that nobody wants.
    pub(super) fn abandon(&mut self) {
        if let Some(child) = self.child.take() {
            child.kill();
        }
    }

    /// Something was computed.
    pub(super) fn lives(&mut self) {
        self.idle_deaths = 0;
    }
}

impl Computer for Feeder {
    fn compute(&self, items: &mut dyn Iterator<Item = u64>, take: &mut Take<'_>) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Work::new(self, &mut state, items, take).through()
    }

    fn item_name(&self, _idx: u64) -> Option<String> {
        // The process names its items itself, where they fail.
        None
    }

    fn alone(&self) -> Option<&dyn Alone> {
        None
    }
}
