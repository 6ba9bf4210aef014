//! Finding the item that kills its worker.
//!
//! A shard taken over from a dead worker is worked on carefully: before each item, word of it is
//! left on disk. A worker that then dies at the same item as the one before it has found a poison
//! item, and the next one passes it by. Only deaths that a parent saw count: of a worker that was
//! killed together with its parent (a lost node, a cancelled job) it is not known that the item did it.

use crate::roster::{Ended, Worker};
use crate::run_dir::RunDir;
use crate::shard_writer::{ShardWriter, Trying};
use crate::worker::log;

/// So many deaths in a row at one item make it a poison item.
const DEATHS: u32 = 2;

/// Whether this attempt is a careful one, and what the one before was trying when it died.
pub(crate) struct Careful {
    on: bool,
    last: Option<Trying>,
    status: Option<String>,
}

impl Careful {
    pub(crate) fn new(writer: &ShardWriter, run: &RunDir) -> Self {
        let Some(dead) = &writer.claim.taken_from else {
            return Self { on: false, last: None, status: None };
        };
        let status = match Worker::read(run, dead).and_then(|dead| dead.ended) {
            Some(Ended::Died { status }) => Some(status),
            _ => None,
        };
        Self { on: true, last: writer.was_trying(), status }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Called before each item. `Some`: it is a poison item, and this is why.
    pub(crate) fn before(&mut self, writer: &ShardWriter, idx: u64) -> Option<String> {
        let mut trying = Trying { idx, deaths: 0 };
        if let Some(last) = self.last.take().filter(|last| last.idx == idx) {
            trying.deaths = last.deaths + u32::from(self.status.is_some());
        }
        if trying.deaths >= DEATHS {
            let status = self.status.take().unwrap_or_default();
            return Some(format!(
                "the worker died at this item {DEATHS} times in a row ({status})"
            ));
        }
        if let Err(error) = writer.set_trying(trying) {
            log(&format!("failed to leave word of item {idx}: {error}"));
        }
        None
    }
}
