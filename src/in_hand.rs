//! The shards that a worker holds: one is worked on, and those before it may be on their way to be
//! committed. Whoever has the lock may write to the first or give it away: the thread that computes, or
//! the one that hears signals.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Error, Result, anyhow};

use crate::log::log;
use crate::shard_writer::ShardWriter;

/// So many complete shards may wait for a slow disk; a worker that has more waits, too.
const MOST: usize = 4;

/// What a worker holds.
#[derive(Clone, Default)]
pub(crate) struct InHand {
    shard: Arc<Mutex<Option<ShardWriter>>>,
    complete: Arc<Complete>,
}

/// Shards for the thread that commits: a disk takes milliseconds, and meanwhile the next is computed.
#[derive(Default)]
struct Complete {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    shards: VecDeque<ShardWriter>,
    /// One was taken from the front, and is not committed yet.
    busy: bool,
    /// There is a thread.
    served: bool,
    failed: Option<Error>,
}

impl InHand {
    /// A panic elsewhere must not keep the shard from being given back.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<ShardWriter>> {
        self.shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: somebody else has the lock just now.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, Option<ShardWriter>>> {
        self.shard.try_lock().ok()
    }

    /// Hands the shard over to be committed.
    ///
    /// # Errors
    /// When an earlier one could not be, or there is no thread to be had.
    pub(crate) fn commit(&self) -> Result<()> {
        let room = |state: &State| state.shards.len() < MOST;
        drop(self.complete.wait_until(room)?);
        // Under the lock throughout: a signal finds the shard in hand, or about to be committed.
        let mut hand = self.lock();
        let mut state = self.complete.lock();
        if !state.served {
            // Before there is anything that would wait for it.
            let complete = self.complete.clone();
            let thread = std::thread::Builder::new().name("commit".to_owned());
            thread.spawn(move || complete.serve()).context("failed to start a thread")?;
            state.served = true;
        }
        let Some(writer) = hand.take() else { return Ok(()) };
        log(&format!("shard {}: complete", writer.claim.shard));
        state.shards.push_back(writer);
        self.complete.changed.notify_all();
        Ok(())
    }

    /// Waits until all that was handed over is committed.
    ///
    /// # Errors
    /// When one could not be.
    pub(crate) fn committed(&self) -> Result<()> {
        self.complete.wait_until(|state| state.shards.is_empty() && !state.busy).map(drop)
    }
}

impl Complete {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails, once, if a commit has.
    fn wait_until(&self, holds: impl Fn(&State) -> bool) -> Result<MutexGuard<'_, State>> {
        let waits = |state: &mut State| state.failed.is_none() && !holds(state);
        let state = self.changed.wait_while(self.lock(), waits);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        match state.failed.take() {
            Some(error) => Err(error),
            None => Ok(state),
        }
    }

    fn serve(&self) {
        loop {
            let state = self.changed.wait_while(self.lock(), |state| state.shards.is_empty());
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            let Some(writer) = state.shards.pop_front() else { continue };
            let shard = writer.claim.shard;
            state.busy = true;
            drop(state);
            let committed =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| commit(writer)));
            let committed = committed.unwrap_or_else(|_| Err(anyhow!("shard {shard}: a panic")));
            let mut state = self.lock();
            state.busy = false;
            state.failed = state.failed.take().or(committed.err());
            self.changed.notify_all();
        }
    }
}

fn commit(writer: ShardWriter) -> Result<()> {
    let (shard, folder) = (writer.claim.shard, writer.claim.folder());
    match writer.commit() {
        Ok(true) => Ok(()),
        Err(error) if folder.is_dir() => {
            Err(error.context(format!("failed to commit shard {shard}")))
        }
        _ => {
            log(&format!("shard {shard}: taken over by another worker"));
            Ok(())
        }
    }
}
