//! The shards that a worker holds: one is worked on, and the one before it may be on its way to be
//! committed. Whoever has the lock may write to the first or give it away: the thread that computes, or
//! the one that hears signals.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use anyhow::{Context, Result, bail};

use crate::log::log;
use crate::shard_writer::ShardWriter;

/// What a worker holds.
#[derive(Clone, Default)]
pub(crate) struct InHand {
    shard: Arc<Mutex<Option<ShardWriter>>>,
    /// A disk takes milliseconds to commit a shard: meanwhile the next one is computed.
    commit: Arc<Mutex<Option<Commit>>>,
}

/// A shard on its way to be committed.
struct Commit {
    shard: usize,
    thread: JoinHandle<Result<()>>,
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

    /// Begins to commit the shard, once the one before it is committed.
    ///
    /// # Errors
    /// Those of the one before it.
    pub(crate) fn commit(&self) -> Result<()> {
        self.committed()?;
        // Under the lock throughout: a signal finds the shard in hand, or being committed.
        let mut hand = self.lock();
        let Some(writer) = hand.take() else { return Ok(()) };
        let shard = writer.claim.shard;
        log(&format!("shard {shard}: complete"));
        let name = format!("commit {shard}");
        let thread = Builder::new().name(name).spawn(move || commit(writer));
        let thread = thread.context("failed to start a thread")?;
        *self.leaving() = Some(Commit { shard, thread });
        Ok(())
    }

    /// Waits until what is being committed is.
    ///
    /// # Errors
    /// When it could not be committed.
    pub(crate) fn committed(&self) -> Result<()> {
        // Whoever else comes to wait for it waits for the lock.
        let mut leaving = self.leaving();
        let Some(commit) = leaving.take() else { return Ok(()) };
        commit.thread.join().unwrap_or_else(|_| bail!("failed to commit a shard: a panic"))
    }

    /// The shard that is being committed just now.
    pub(crate) fn committing(&self) -> Option<usize> {
        let leaving = self.leaving();
        leaving.as_ref().filter(|commit| !commit.thread.is_finished()).map(|commit| commit.shard)
    }

    fn leaving(&self) -> MutexGuard<'_, Option<Commit>> {
        self.commit.lock().unwrap_or_else(PoisonError::into_inner)
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
