//! Works through the shard in hand: computes what is pending and writes each item's fate down.

use std::ops::ControlFlow;

use anyhow::{Result, bail};

use crate::computer::{Alone, Computed, Computer, Failure, NoEnv, Outcome};
use crate::failures::Failures;
use crate::in_hand::InHand;
use crate::item_error::OnItemError;
use crate::item_error::{ErrorKind, ItemError};
use crate::job::Job;
use crate::log::log;
use crate::poison::Careful;
use crate::run_dir::RunDir;
use crate::shard_writer::ShardWriter;
use crate::stop::Stop;

/// Why a shard was left before its end.
pub(crate) enum Left {
    /// It is somebody else's now.
    Lost,
    /// The next item would not be done before the time limit.
    NoTime,
    /// The env cannot be built.
    NoEnv(String),
    /// The worker was asked to end, and gave it back.
    Stopped(Stop),
}

/// What it takes to work through the shard in hand.
pub(crate) struct ShardWork<'a> {
    pub run: &'a RunDir,
    pub job: &'a Job,
    pub computer: &'a dyn Computer,
    pub in_hand: &'a InHand,
    pub failures: &'a mut Failures,
}

impl ShardWork<'_> {
    /// Computes all that is pending. `None`: it is done; it can be committed.
    pub(crate) fn through(&mut self) -> Result<Option<Left>> {
        let (pending, careful) = match &*self.in_hand.lock() {
            Some(writer) => (writer.pending(), Careful::after_a_death(writer, self.run)),
            None => return Ok(Some(Left::Lost)),
        };
        let computer = self.computer;
        if let (Some(careful), Some(alone)) = (careful, computer.alone()) {
            return self.carefully(alone, pending, careful);
        }
        let mut left = Ok(None);
        let mut take = |outcomes: Option<Vec<Outcome>>| {
            let Some(outcomes) = outcomes else {
                left = Ok(Some(Left::NoTime));
                return ControlFlow::Break(());
            };
            for outcome in outcomes {
                left = self.settle(outcome, false);
                if !matches!(left, Ok(None)) {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        };
        match computer.compute(&mut pending.into_iter(), &mut take) {
            Ok(()) => left,
            Err(error) => error.downcast().map(|NoEnv(why)| Some(Left::NoEnv(why))),
        }
    }

    /// One item at a time, each on disk before the next: should this attempt die too, it is known
    /// at which.
    fn carefully(
        &mut self,
        alone: &dyn Alone,
        pending: impl Iterator<Item = u64>,
        mut careful: Careful,
    ) -> Result<Option<Left>> {
        for idx in pending {
            let poison = match &*self.in_hand.lock() {
                Some(writer) => careful.before(writer, idx),
                None => return Ok(Some(Left::Lost)),
            };
            let outcome = match poison {
                Some(deaths) => (idx, Err(Failure::new(ErrorKind::Died, deaths))),
                None => match alone.forward_in_time(idx) {
                    Some(outcome) => outcome,
                    None => return Ok(Some(Left::NoTime)),
                },
            };
            if let Some(left) = self.settle(outcome, true)? {
                return Ok(Some(left));
            }
        }
        Ok(None)
    }

    /// Writes one item's fate down, at once on disk with `flush`. `Some`: the shard is left.
    fn settle(&mut self, outcome: Outcome, flush: bool) -> Result<Option<Left>> {
        let idx = outcome.0;
        if let Err(Failure { fatal: true, error, .. }) = &outcome.1 {
            bail!("{error}");
        }
        let mut hand = self.in_hand.lock();
        // Given back by the thread that hears signals: this process is about to end.
        let Some(writer) = &mut *hand else { return Ok(Some(Left::Lost)) };
        let written = self.write(writer, outcome).and_then(|stop| {
            if flush {
                writer.flush()?;
            }
            Ok(stop)
        });
        match written {
            Ok(None) => Ok(None),
            Ok(Some(stop)) => {
                stop.request(self.run)?;
                if let Some(writer) = hand.take() {
                    writer.give_back()?;
                }
                Ok(Some(Left::Stopped(stop)))
            }
            Err(_) if !writer.claim.held() => {
                *hand = None;
                Ok(Some(Left::Lost))
            }
            Err(error) => Err(error.context(format!("failed to write item {idx}"))),
        }
    }

    /// `Some`: this item's failure stops the run.
    fn write(&mut self, writer: &mut ShardWriter, (idx, result): Outcome) -> Result<Option<Stop>> {
        let failure = match result {
            Ok(Computed::Json(fields)) => match writer.write_json(idx, &fields)? {
                Ok(()) => return Ok(None),
                Err(error) => Failure::new(ErrorKind::Error, error),
            },
            Ok(Computed::Record(record)) => match writer.write(idx, record)? {
                Ok(()) => return Ok(None),
                Err(error) => Failure::new(ErrorKind::Error, error),
            },
            Err(failure) => failure,
        };
        let Failure { kind, error, item, .. } = failure;
        let item = item.or_else(|| self.computer.item_name(idx));
        let name = item.as_deref().map(|item| format!("{item}: ")).unwrap_or_default();
        log(&format!("item {idx} failed: {name}{error}"));
        if self.job.on_item_error == OnItemError::Stop {
            return Ok(Some(Stop::ItemFailed { idx, item, error }));
        }
        writer.write_error(&ItemError { idx, item, kind, error })?;
        Ok(self.failures.one_more(self.run)?)
    }
}
