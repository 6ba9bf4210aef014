//! Finding the item that kills its worker.
//!
//! A shard taken over from a dead worker is worked on carefully: before each item, word of it is
//! left on disk. A worker that then dies at the same item as the one before it has found a poison
//! item, and the next one passes it by. Only deaths that a parent saw count: of a worker that was
//! killed together with its parent (a lost node, a cancelled job) it is not known that the item did it.

use crate::computer::Failure;
use crate::item_error::ErrorKind;
use crate::log::log;
use crate::roster::{Ended, Worker};
use crate::run_dir::RunDir;
use crate::shard_writer::{ShardWriter, Trying};

/// So many deaths in a row at one item make it a poison item.
const DEATHS: u32 = 2;

/// A careful attempt: what the one before was trying when it died, and how it died.
pub(crate) struct Careful {
    last: Option<Trying>,
    status: Option<String>,
}

impl Careful {
    /// `None`: the shard was not taken from a dead worker.
    pub(crate) fn after_a_death(writer: &ShardWriter, run: &RunDir) -> Option<Self> {
        let dead = writer.claim.taken_from.as_deref()?;
        let status = match Worker::read(run, dead).and_then(|dead| dead.ended) {
            Some(Ended::Died { status }) => Some(status),
            _ => None,
        };
        Some(Self { last: writer.was_trying(), status })
    }

    /// Called before each item. `Some`: it is not to be tried again, and this is why.
    pub(crate) fn before(&mut self, writer: &ShardWriter, idx: u64) -> Option<Failure> {
        let mut trying = Trying::at(idx);
        // On many threads, one that was late is not always the first without a record.
        if let Some(last) = self.last.take_if(|last| last.idx == idx) {
            if let Some(seconds) = last.late {
                let why = format!("took longer than item_timeout, {seconds} s; its worker ended");
                return Some(Failure::new(ErrorKind::Timeout, why));
            }
            trying.deaths = last.deaths + u32::from(self.status.is_some());
        }
        if trying.deaths >= DEATHS {
            let status = self.status.take().unwrap_or_default();
            let why = format!("the worker died at this item twice in a row ({status})");
            return Some(Failure::new(ErrorKind::Died, why));
        }
        if let Err(error) = writer.set_trying(trying) {
            log(&format!("failed to leave word of item {idx}: {error}"));
        }
        None
    }
}
