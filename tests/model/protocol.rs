//! What can happen next: each step of a worker, and each fault.

use stateright::{Model, Property};

use crate::action::{Action, Without};
use crate::state::{Claim, Folder, GONE, Hand, ITEMS, Name, State, Worker, Writer};

pub(crate) const DONE_IS_WHOLE: &str = "a done shard has each item once";
pub(crate) const ONE_COMMIT: &str = "a shard is committed once";
pub(crate) const DURABLE_STAYS: &str = "what was on disk stays";
pub(crate) const TRUE_WORD: &str = "complete is said of complete runs";

/// `W` places for workers, `S` shards.
pub(crate) struct Protocol<const W: usize, const S: usize> {
    pub(crate) without: Without,
    /// Faults of any kind, together.
    pub(crate) faults: u8,
}

type Next<const W: usize, const S: usize> = State<W, S>;

impl<const W: usize, const S: usize> Protocol<W, S> {
    fn claimed(&self, attempt: u8, w: usize) -> Name {
        let worker = if self.without == Without::WorkerInName { GONE } else { w as u8 };
        Name::Claimed { attempt, worker }
    }

    /// `Claim::take`, up to what the rename answers.
    fn take(&self, next: &mut Next<W, S>, w: usize, shard: usize, reply_lost: bool) {
        let Some(listed) = next.workers[w].listing[shard].take() else { return };
        let earlier = match listed {
            Name::Claimed { attempt, .. } => attempt,
            Name::Todo | Name::Done => 0,
        };
        let own = match self.without {
            Without::AttemptsCounted => 0,
            _ => next.workers[w].attempts[shard],
        };
        let attempt = earlier.max(own) + 1;
        let mut to = self.claimed(attempt, w);
        let mut from = listed;
        if self.without == Without::SourceOfRename {
            from = next.folders[shard].name;
        }
        if self.without == Without::RenameAtTakeOver && listed != Name::Todo {
            to = listed;
        }
        let renamed = next.rename(shard, from, to);
        let claim = Claim { shard, name: to };
        let worker = &mut next.workers[w];
        worker.hand =
            if renamed && !reply_lost { Hand::Opening(claim) } else { Hand::NoSuchFile(claim) };
    }

    /// Makes the step, if it can be made.
    fn step(&self, next: &mut Next<W, S>, action: Action) -> Option<()> {
        use Action::*;
        match action {
            List(w) => {
                next.workers[w].listing = next.folders.map(|folder| Some(folder.name));
                next.workers[w].listed = true;
            }
            ListingLags(w, old) => {
                next.workers[w].listing = std::array::from_fn(|shard| match old & 1 << shard {
                    0 => Some(next.folders[shard].name),
                    _ => Some(Name::Todo),
                });
                next.workers[w].listed = true;
            }
            Claim(w, shard) | TakeOver(w, shard) => self.take(next, w, shard, false),
            ClaimLosesReply(w, shard) | TakeOverLosesReply(w, shard) => {
                let before = next.folders[shard].name;
                self.take(next, w, shard, true);
                // A rename that did not succeed had a true answer.
                (before != next.folders[shard].name).then_some(())?;
            }
            LookForTarget(w) => {
                let Hand::NoSuchFile(claim) = next.workers[w].hand else { return None };
                let there = next.folders[claim.shard].name == claim.name;
                next.workers[w].hand = if there { Hand::Opening(claim) } else { Hand::Free };
            }
            Open(w) => {
                let Hand::Opening(claim) = next.workers[w].hand else { return None };
                let folder = next.folders[claim.shard];
                let kept = match self.without {
                    Without::Salvage => [false; ITEMS],
                    _ => folder.lines.map(|lines| lines > 0),
                };
                next.workers[w].hand = match folder.name == claim.name {
                    true => Hand::Salvaging(claim, kept),
                    false => Hand::Free,
                };
            }
            Replace(w) => {
                let Hand::Salvaging(claim, kept) = next.workers[w].hand else { return None };
                let worker = &mut next.workers[w];
                if let Name::Claimed { attempt, .. } = claim.name {
                    worker.attempts[claim.shard] = attempt;
                }
                // `Queue::todo` is what it keeps for the next claim.
                worker.listing = worker.listing.map(|name| name.filter(|name| *name == Name::Todo));
                worker.listed = false;
                if next.folders[claim.shard].name != claim.name {
                    next.workers[w].hand = Hand::Free;
                    return Some(());
                }
                if self.without != Without::NewFileAtOpen {
                    next.folders[claim.shard].lines = kept.map(u8::from);
                    next.detach(claim.shard);
                }
                let (settled, buffer) = (kept, [false; ITEMS]);
                let writer = Writer { claim, attached: true, settled, buffer };
                next.workers[w].hand = Hand::Working(writer);
            }
            Compute(w) => {
                let Hand::Working(writer) = &mut next.workers[w].hand else { return None };
                let item = writer.settled.iter().position(|settled| !settled)?;
                (writer.settled[item], writer.buffer[item]) = (true, true);
            }
            Flush(w) => {
                let Hand::Working(mut writer) = next.workers[w].hand else { return None };
                next.flush(&mut writer);
                next.workers[w].hand = Hand::Working(writer);
            }
            Commit(w) => {
                let Hand::Working(writer) = next.workers[w].hand else { return None };
                (writer.settled == [true; ITEMS]).then_some(())?;
                next.workers[w].committing = Some(writer);
                next.workers[w].hand = Hand::Free;
            }
            CommitFlush(w) => {
                let mut writer = next.workers[w].committing?;
                next.flush(&mut writer);
                next.workers[w].committing = Some(writer);
            }
            CommitRename(w) => {
                let writer = next.workers[w].committing.take()?;
                let shard = writer.claim.shard;
                let from = match self.without {
                    Without::CheckAtCommit => next.folders[shard].name,
                    _ => writer.claim.name,
                };
                // What it answers is told in a log only.
                next.rename(shard, from, Name::Done);
            }
            Leave(w) => {
                if let Hand::Working(mut writer) = next.workers[w].hand {
                    next.flush(&mut writer);
                    next.rename(writer.claim.shard, writer.claim.name, Name::Todo);
                }
                next.workers[w].hand = Hand::Leaving;
            }
            Finish(w) => next.workers[w].hand = Hand::Leaving,
            End(w) | Crash(w) => next.end(w),
            Stop => next.stop = true,
            Withdraw => next.stop = false,
            Restart(w) => next.workers[w] = Worker::new(),
            DriverLooks(_) => next.said_complete = true,
        }
        Some(())
    }

    /// Whether the action is a fault, of which there are so many only.
    fn is_fault(state: &State<W, S>, action: Action) -> bool {
        use Action::*;
        match action {
            ClaimLosesReply(..) | TakeOverLosesReply(..) | ListingLags(..) | Crash(_) | Stop => {
                true
            }
            // Without being asked to: a signal for this one, or its time limit.
            Leave(_) => !state.stop,
            // From one that runs: its lease has lapsed, or somebody has buried it.
            TakeOver(w, shard) => matches!(
                state.workers[w].listing[shard],
                Some(Name::Claimed { worker, .. }) if !state.is_dead(worker)
            ),
            DriverLooks(unseen) => unseen != 0,
            _ => false,
        }
    }

    fn of_worker(&self, state: &State<W, S>, w: usize, actions: &mut Vec<Action>) {
        use Action::*;
        let worker = &state.workers[w];
        if !worker.runs {
            // While others have all that is left, a driver waits for them.
            if !state.stop && state.something_is_left() {
                actions.push(Restart(w));
            }
            return;
        }
        actions.push(Crash(w));
        if let Some(writer) = worker.committing {
            let flushed =
                writer.buffer == [false; ITEMS] || self.without == Without::FlushBeforeCommit;
            actions.push(if flushed { CommitRename(w) } else { CommitFlush(w) });
        }
        match worker.hand {
            Hand::Free => {
                actions.push(Leave(w));
                let todo = worker.listing.contains(&Some(Name::Todo));
                if !todo {
                    actions.push(List(w));
                    actions.extend((1..1 << S).map(|old| ListingLags(w, old)));
                }
                let mut dead = false;
                for shard in 0..S {
                    let listed = worker.listing[shard];
                    if listed == Some(Name::Todo) {
                        actions.extend([Claim(w, shard), ClaimLosesReply(w, shard)]);
                    } else if let Some(Name::Claimed { worker, .. }) = listed
                        && !todo
                        && self.without != Without::Leases
                    {
                        actions.extend([TakeOver(w, shard), TakeOverLosesReply(w, shard)]);
                        dead |= state.is_dead(worker);
                    }
                }
                if worker.listed && !todo && !dead {
                    actions.push(Finish(w));
                }
            }
            Hand::NoSuchFile(_) => actions.push(LookForTarget(w)),
            Hand::Opening(_) => actions.push(Open(w)),
            Hand::Salvaging(..) => actions.push(Replace(w)),
            Hand::Working(writer) => {
                actions.extend([Compute(w), Leave(w)]);
                if writer.buffer != [false; ITEMS] {
                    actions.push(Flush(w));
                }
                if worker.committing.is_none() {
                    actions.push(Commit(w));
                }
            }
            Hand::Leaving if worker.committing.is_none() => actions.push(End(w)),
            Hand::Leaving => {}
        }
    }

    /// Whether a driver that does not see these shards would say that the run is complete.
    fn looks_complete(&self, state: &State<W, S>, unseen: u8) -> bool {
        let done = |(shard, folder): (usize, &Folder)| match unseen & 1 << shard {
            0 => folder.name == Name::Done,
            _ => self.without == Without::UnseenIsUnknown,
        };
        state.folders.iter().enumerate().all(done)
    }
}

impl<const W: usize, const S: usize> Model for Protocol<W, S> {
    type State = State<W, S>;
    type Action = Action;

    fn init_states(&self) -> Vec<Self::State> {
        vec![State::new(self.faults)]
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Action>) {
        for w in 0..W {
            self.of_worker(state, w, actions);
        }
        actions.push(if state.stop { Action::Withdraw } else { Action::Stop });
        if !state.said_complete {
            let looks = (0..1 << S).filter(|unseen| self.looks_complete(state, *unseen));
            actions.extend(looks.map(Action::DriverLooks));
        }
        if state.faults == 0 {
            actions.retain(|action| !Self::is_fault(state, *action));
        }
    }

    fn next_state(&self, state: &Self::State, action: Action) -> Option<Self::State> {
        let mut next = state.clone();
        next.faults -= u8::from(Self::is_fault(state, action));
        self.step(&mut next, action)?;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(DONE_IS_WHOLE, |_, state: &State<W, S>| {
                let mut done = state.folders.iter().filter(|folder| folder.name == Name::Done);
                done.all(|folder| folder.lines == [1; ITEMS])
            }),
            Property::always(ONE_COMMIT, |_, state: &State<W, S>| {
                state.folders.iter().all(|folder| folder.commits <= 1)
            }),
            Property::always(DURABLE_STAYS, |_, state: &State<W, S>| {
                let kept = |(lines, durable): (&u8, &bool)| *lines > 0 || !durable;
                state
                    .folders
                    .iter()
                    .all(|folder| folder.lines.iter().zip(&folder.durable).all(kept))
            }),
            Property::always(TRUE_WORD, |_, state: &State<W, S>| {
                !state.said_complete || state.all_done()
            }),
        ]
    }
}
