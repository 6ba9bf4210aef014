//! The shard that a worker holds. Whoever has the lock may write to it or give it away: the thread
//! that computes, or the one that hears signals.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::shard_writer::ShardWriter;

/// The shard in hand, if any.
#[derive(Clone, Default)]
pub(crate) struct InHand(Arc<Mutex<Option<ShardWriter>>>);

impl InHand {
    /// A panic elsewhere must not keep the shard from being given back.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<ShardWriter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: somebody else has the lock just now.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, Option<ShardWriter>>> {
        self.0.try_lock().ok()
    }
}
