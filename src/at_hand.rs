//! What is being computed in this process, and since when: by this an item that takes too long is found.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Items and batches at hand, by their first item; one for each thread that computes.
#[derive(Debug, Default)]
pub(crate) struct AtHand {
    limit: Option<Duration>,
    begun: Mutex<BTreeMap<u64, Begun>>,
}

#[derive(Debug, Clone, Copy)]
struct Begun {
    alone: bool,
    at: Instant,
}

/// It took longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overdue {
    Item(u64),
    /// Which of its items did it is not known.
    Batch,
}

impl AtHand {
    /// `limit` is `item_timeout`; without one nothing is ever overdue.
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Self { limit, begun: Mutex::default() }
    }

    /// How long an item, or a batch, may take.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Computes `items`, with them at hand. `compute` must not panic.
    pub(crate) fn while_computing<T>(&self, items: &[u64], compute: impl FnOnce() -> T) -> T {
        let (Some(_), Some(&first)) = (self.limit, items.first()) else { return compute() };
        let begun = Begun { alone: items.len() == 1, at: Instant::now() };
        self.all(|all| all.insert(first, begun));
        let computed = compute();
        self.all(|all| all.remove(&first));
        computed
    }

    /// What takes too long just now, if anything.
    pub(crate) fn overdue(&self) -> Option<Overdue> {
        let limit = self.limit?;
        self.all(|all| {
            let (idx, begun) = all.iter().find(|(_, begun)| begun.at.elapsed() > limit)?;
            Some(if begun.alone { Overdue::Item(*idx) } else { Overdue::Batch })
        })
    }

    fn all<T>(&self, with: impl FnOnce(&mut BTreeMap<u64, Begun>) -> T) -> T {
        with(&mut self.begun.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
