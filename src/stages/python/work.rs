//! One shard's items, fed to the Python process chunk by chunk, whatever happens to that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::answer::{Answer, Lists};
use super::child::Reply;
use super::feeder::{Feeder, State};
use super::from_here;
use super::part::{Part, sync};
use crate::computer::{Failure, Outcome, Take};
use crate::item_error::ErrorKind;
use crate::launch::Said;
use crate::log::log;
use crate::record::Record;
use crate::run_dir::RunDir;

/// A chunk has as many items as take about so long: long against asking for the next one. What is done
/// comes meanwhile.
const CHUNK: Duration = Duration::from_millis(100);
const LARGEST_CHUNK: usize = 16_384;

/// A part is closed after so long: what a killed worker computes again.
const PART: Duration = Duration::from_secs(30);

/// And after so many items: they are in memory until then.
const PART_ITEMS: usize = 10_000;

/// Between two looks whether the item at hand takes too long.
const LOOK: Duration = Duration::from_millis(100);

/// The way through some items.
pub(super) struct Work<'a, 't> {
    feeder: &'a Feeder,
    state: &'a mut State,
    items: &'a mut dyn Iterator<Item = u64>,
    take: &'a mut Take<'t>,
    /// What comes next: read ahead, or to be done again.
    next: VecDeque<u64>,
    part: Option<Part>,
    /// Where a part is closed first, so that what is before it is not computed a third time.
    close_before: Option<u64>,
    /// Items that are sent in a batch of their own: one that they were in failed as a whole.
    single: BTreeSet<u64>,
    /// Items that get a part of their own: one that they were in could not be closed.
    apart: BTreeSet<u64>,
    /// What is known already, from an attempt that took others down with it.
    fates: BTreeMap<u64, Failure>,
}

/// How a chunk ended.
enum End {
    Done,
    /// Nobody wants more.
    Enough,
    /// The item's fate is known, or it is to be tried alone; what the part has is lost.
    Spoilt,
}

impl<'a, 't> Work<'a, 't> {
    pub(super) fn new(
        feeder: &'a Feeder,
        state: &'a mut State,
        items: &'a mut dyn Iterator<Item = u64>,
        take: &'a mut Take<'t>,
    ) -> Self {
        let next = VecDeque::new();
        let (single, apart, fates) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        let (part, close_before) = (None, None);
        Self { feeder, state, items, take, next, part, close_before, single, apart, fates }
    }

    /// Until all items are done, or nobody wants more.
    ///
    /// # Errors
    /// When the env cannot be built, or the process cannot be worked with.
    pub(super) fn through(mut self) -> Result<()> {
        loop {
            self.read_ahead();
            let Some(&first) = self.next.front() else {
                if self.close()?.is_break() {
                    return Ok(());
                }
                if self.next.is_empty() {
                    return Ok(());
                }
                continue;
            };
            if !self.feeder.deadline.fits_one_more() {
                if self.close()?.is_continue() {
                    let _ = (self.take)(None);
                }
                return Ok(());
            }
            if self.must_close_before(first) {
                if self.close()?.is_break() {
                    return Ok(());
                }
                continue;
            }
            if let Some(failure) = self.fates.remove(&first) {
                self.next.pop_front();
                if self.deliver(vec![(first, Err(failure))]).is_break() {
                    return Ok(());
                }
                continue;
            }
            if let End::Enough = self.chunk(first)? {
                return Ok(());
            }
        }
    }

    fn batch_size(&self, first: u64) -> usize {
        if self.single.contains(&first) { 1 } else { self.feeder.batch_size.unwrap_or(1) }
    }

    fn read_ahead(&mut self) {
        let wanted = self.state.pace * self.feeder.batch_size.unwrap_or(1);
        if self.next.len() < wanted {
            let more = wanted - self.next.len();
            self.next.extend(self.items.take(more));
        }
    }

    fn must_close_before(&mut self, first: u64) -> bool {
        let last = self.part.as_ref().and_then(|part| Some((part, part.fates.last()?.0)));
        let Some((part, last)) = last else {
            self.close_before.take_if(|before| *before == first);
            return false;
        };
        self.feeder.test_set(last).0 != self.feeder.test_set(first).0
            || self.close_before == Some(first)
            || self.apart.contains(&first)
            || self.apart.contains(&last)
            || part.begun.elapsed() >= PART
            || part.fates.len() >= PART_ITEMS
    }

    /// What is sent together: of one test set, alike in how it is sent, clear of what is known already.
    fn cut(&self, first: u64) -> Vec<u64> {
        let set = self.feeder.test_set(first).0;
        let single = self.single.contains(&first);
        let most =
            if self.apart.contains(&first) { 1 } else { self.state.pace * self.batch_size(first) };
        let fits = |idx: &u64| {
            *idx == first
                || self.feeder.test_set(*idx).0 == set
                    && self.single.contains(idx) == single
                    && !self.apart.contains(idx)
                    && !self.fates.contains_key(idx)
                    // What is before it is sent before it can die again.
                    && !self.state.deadly.contains(idx)
                    && self.close_before != Some(*idx)
        };
        self.next.iter().copied().take(most).take_while(fits).collect()
    }

    /// Sends some items, and takes what comes.
    fn chunk(&mut self, first: u64) -> Result<End> {
        let (set, begin) = self.feeder.test_set(first);
        self.feeder.ready(self.state, set)?;
        if self.state.hooks && self.part.is_none() && !self.open(first)? {
            return Ok(End::Spoilt);
        }
        let items = self.cut(first);
        let batch = self.batch_size(first);
        let local: Vec<u64> = items.iter().map(|idx| idx - begin).collect();
        let child = self.feeder.ready(self.state, set)?;
        child.tell(&json!({"do": "run", "items": local, "batch": batch}));
        let start = Instant::now();
        let mut done = 0;
        let mut at_hand = (None, Instant::now());
        while done < items.len() {
            let child = self.feeder.ready(self.state, set)?;
            match child.listen(LOOK)? {
                Said::Message(message) => {
                    at_hand = (child.at_hand()?, Instant::now());
                    let (answer, numbers) = Answer::parse(&message)?;
                    let lists = Lists::new(&answer, numbers)?;
                    let fates = answer.done.unwrap_or_default();
                    if fates.len() > items.len() - done {
                        bail!("the Python process sent more results than it was sent items");
                    }
                    let outcomes = fates.iter().zip(&items[done..]);
                    let outcomes = outcomes.map(|(fate, idx)| Ok((*idx, lists.read_fate(fate)?)));
                    let outcomes = outcomes.collect::<Result<Vec<Outcome>>>()?;
                    done += outcomes.len();
                    self.next.drain(..outcomes.len());
                    self.state.lives();
                    if self.deliver(outcomes).is_break() {
                        // What it still sends of this chunk must not be taken for another's.
                        self.state.abandon();
                        return Ok(End::Enough);
                    }
                    if answer.spoilt {
                        log("the Python process cannot go on; starting another");
                        self.state.abandon();
                        self.do_again(items[done - 1]);
                        return Ok(End::Spoilt);
                    }
                    if answer.paused {
                        break;
                    }
                    if let Some(fate) = answer.tainted {
                        let batch = self.batch_of(&items, done, batch);
                        if let Err(failure) = lists.read_fate(fate)? {
                            self.blame(batch, failure);
                        }
                        self.do_again(batch[0]);
                        return Ok(End::Spoilt);
                    }
                }
                Said::Nothing => {
                    let now = child.at_hand()?;
                    if at_hand.0 != now {
                        at_hand = (now, Instant::now());
                    }
                    if self.feeder.item_timeout.is_some_and(|limit| at_hand.1.elapsed() > limit) {
                        child.kill();
                        return self.lost(&items, done, batch, begin, now);
                    }
                }
                Said::Ended(_) => return self.lost(&items, done, batch, begin, None),
            }
        }
        self.feeder.deadline.took(start.elapsed());
        let factor = CHUNK.as_secs_f64() / start.elapsed().as_secs_f64().max(1e-6);
        let pace = (self.state.pace as f64 * factor.clamp(0.25, 4.0)) as usize;
        let batch = self.feeder.batch_size.unwrap_or(1);
        self.state.pace = pace.clamp(1, (LARGEST_CHUNK / batch).max(1));
        Ok(End::Done)
    }

    /// The process died, or was killed for being too long at the item `timed` of its test set, with
    /// `items` from `done` on not answered.
    fn lost(
        &mut self,
        items: &[u64],
        done: usize,
        batch: usize,
        begin: u64,
        timed: Option<u64>,
    ) -> Result<End> {
        let child = self.state.child().context("there is no process to have died")?;
        let at = timed.or(child.at_hand()?).map(|idx| idx + begin);
        let how = loop {
            match child.listen(LOOK)? {
                Said::Ended(how) => break how,
                // Items that were done meanwhile are done again: they were not recorded.
                Said::Message(_) | Said::Nothing => {}
            }
        };
        let position = at.and_then(|at| items.iter().position(|idx| *idx == at));
        let position = position.filter(|position| *position >= done);
        self.state.died(position.map(|position| items[position]), &how)?;
        let Some(position) = position else {
            // A result may have done it, while it was made JSON: alone, it is known whose.
            self.apart.extend(&items[done..]);
            self.do_again(items[done]);
            return Ok(End::Spoilt);
        };
        let culprit = items[position];
        let batch = self.batch_of(items, position, batch).to_vec();
        if timed.is_some() {
            let seconds = self.feeder.item_timeout.unwrap_or_default().as_secs();
            let why = format!("took longer than item_timeout, {seconds} s; its process was killed");
            self.blame(&batch, Failure::new(ErrorKind::Timeout, why));
        } else if batch.len() > 1 {
            self.blame(&batch, Failure::new(ErrorKind::Died, how));
        } else if self.state.dies_again_at(culprit) {
            let why = format!("the Python process died at this item twice ({how})");
            self.blame(&batch, Failure::new(ErrorKind::Died, why));
        }
        // What was done and not sent, and the rest of the part, is done again, and then kept first.
        self.do_again(culprit);
        Ok(End::Spoilt)
    }

    /// The batch that `items[position]` begins.
    fn batch_of<'i>(&self, items: &'i [u64], position: usize, batch: usize) -> &'i [u64] {
        &items[position..(position + batch).min(items.len())]
    }

    /// A batch's items are tried one by one; one alone has its fate.
    fn blame(&mut self, batch: &[u64], failure: Failure) {
        match batch {
            [only] => {
                self.fates.insert(*only, failure);
            }
            batch => {
                log(&format!(
                    "a batch of {} items: {failure}; trying them one by one",
                    batch.len()
                ));
                self.single.extend(batch);
            }
        }
    }

    /// The part is lost: what it has comes again, and is kept before `culprit`'s turn comes.
    fn do_again(&mut self, culprit: u64) {
        if let Some(part) = self.part.take() {
            self.lose(part);
            self.close_before = Some(culprit);
        }
    }

    /// What a part has comes again, but for what is known of items that failed.
    fn lose(&mut self, part: Part) {
        for (idx, fate) in part.fates.into_iter().rev() {
            self.next.push_front(idx);
            if let Err(failure) = fate {
                self.fates.insert(idx, failure);
            }
        }
        // No record will name it.
        let _ = std::fs::remove_dir_all(self.feeder.run.root().join(&part.name));
    }

    fn deliver(&mut self, outcomes: Vec<Outcome>) -> ControlFlow<()> {
        match &mut self.part {
            Some(part) => {
                part.fates.extend(outcomes);
                ControlFlow::Continue(())
            }
            None => outcomes.into_iter().try_for_each(|outcome| (self.take)(Some(outcome))),
        }
    }

    /// Opens a part; false if that was not possible this time.
    fn open(&mut self, first: u64) -> Result<bool> {
        self.state.parts += 1;
        let (set, begin) = self.feeder.test_set(first);
        let name = RunDir::part(&self.feeder.worker, self.state.parts, first - begin);
        let folder = self.feeder.run.root().join(&name);
        let child = self.feeder.ready(self.state, set)?;
        match child
            .ask(&json!({"do": "open", "folder": from_here(&folder)}), self.feeder.item_timeout)?
        {
            Reply::Ok(_) => {
                self.part = Some(Part { name, begun: Instant::now(), fates: Vec::new() });
                Ok(true)
            }
            Reply::Failed(why) => bail!("the runner's `open_writers` failed: {why}"),
            Reply::Died(how) => {
                self.state.died(None, &how)?;
                Ok(false)
            }
        }
    }

    /// Closes the part, if one is open, and hands over the fates of its items.
    fn close(&mut self) -> Result<ControlFlow<()>> {
        let Some(part) = &self.part else { return Ok(ControlFlow::Continue(())) };
        let Some((last, _)) = part.fates.last() else {
            return Ok(ControlFlow::Continue(()));
        };
        let set = self.feeder.test_set(*last).0;
        let child = self.feeder.ready(self.state, set)?;
        let why = match child.ask(&json!({"do": "close"}), self.feeder.item_timeout)? {
            Reply::Ok(_) => None,
            Reply::Failed(why) => Some(why),
            Reply::Died(how) => {
                self.state.died(None, &how)?;
                Some(format!("the Python process died: {how}"))
            }
        };
        let Some(part) = self.part.take() else { return Ok(ControlFlow::Continue(())) };
        if let Some(why) = why {
            let items: Vec<u64> = part.fates.iter().map(|(idx, _)| *idx).collect();
            log(&format!("the writers of {} items could not be closed: {why}", items.len()));
            self.lose(part);
            if let [only] = items.as_slice() {
                self.fates.insert(*only, Failure::new(ErrorKind::Error, why));
            } else {
                self.apart.extend(items);
            }
            return Ok(ControlFlow::Continue(()));
        }
        let folder = self.feeder.run.root().join(&part.name);
        sync(&folder).with_context(|| format!("failed to sync {}", folder.display()))?;
        // How many there are: a part of which not all are recorded does not count.
        let items = part.fates.iter().filter(|(_, fate)| fate.is_ok()).count();
        let fields = match self.feeder.name_of(set) {
            Some(set) => json!({"test_set": set, "part": part.name, "part_items": items}),
            None => json!({"part": part.name, "part_items": items}),
        };
        let fields = fields.to_string();
        let kept = |(idx, fate): Outcome| (idx, fate.map(|_| Record::of_object(fields.clone())));
        Ok(part.fates.into_iter().map(kept).try_for_each(|outcome| (self.take)(Some(outcome))))
    }
}
