//! What a worker does beside computing: flush, renew the lease, hear signals and stop
//! requests, mind the time limit.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::at_hand::{AtHand, Overdue};
use crate::deadline::{Deadline, NO_TIME};
use crate::in_hand::InHand;
use crate::launch::kill_all_groups;
use crate::log::log;
use crate::roster::{Ended, LEASE_TOUCH, Worker, touch};
use crate::run_dir::RunDir;
use crate::shard_writer::Trying;
use crate::signals::listen;
use crate::stop::Stop;
use crate::worker::Assignment;

/// Records reach the disk at least so often.
const FLUSH: Duration = Duration::from_secs(1);

/// The exit codes of a process whose worker is ended by its vigil.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exits {
    pub signal: i32,
    /// After a request to stop.
    pub stop: i32,
    /// When an item took longer than `item_timeout`.
    pub overdue: i32,
}

/// Ends the vigil when dropped.
pub(crate) struct Vigil(Arc<AtomicBool>);

impl Drop for Vigil {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts the two threads of the vigil.
pub(crate) fn keep(assignment: &Assignment, in_hand: &InHand, at_hand: &Arc<AtHand>) -> Vigil {
    let over = Arc::new(AtomicBool::new(false));
    let watch = Watch {
        run: assignment.run.clone(),
        worker: assignment.worker.clone(),
        in_hand: in_hand.clone(),
        at_hand: at_hand.clone(),
        over: over.clone(),
        deadline: assignment.deadline.clone(),
        exits: assignment.exits,
    };
    let ears = watch.clone();
    thread::spawn(move || watch.beat());
    match listen(&[SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2]) {
        Ok(signals) => {
            thread::spawn(move || ears.hear(signals));
        }
        Err(error) => log(&format!("failed to listen for signals: {error}")),
    }
    Vigil(over)
}

#[derive(Clone)]
struct Watch {
    run: RunDir,
    worker: Worker,
    in_hand: InHand,
    at_hand: Arc<AtHand>,
    over: Arc<AtomicBool>,
    deadline: Arc<Deadline>,
    exits: Exits,
}

impl Watch {
    fn beat(&self) {
        let path = self.run.worker(&self.worker.worker);
        let mut touched = Instant::now();
        let mut word = None;
        while !self.over.load(Ordering::Relaxed) {
            thread::sleep(FLUSH);
            if self.deadline.passed() && !self.over.load(Ordering::Relaxed) {
                self.leave(NO_TIME, self.exits.stop);
            }
            if self.at_hand.overdue().is_some() && !self.over.load(Ordering::Relaxed) {
                self.end_overdue();
            }
            if touched.elapsed() >= LEASE_TOUCH && !self.over.load(Ordering::Relaxed) {
                touched = Instant::now();
                self.renew(&path, &mut word);
            }
            // Who has the lock writes to the shard, or takes up what a dead worker left of it.
            if let Some(mut hand) = self.in_hand.try_lock()
                && let Some(writer) = &mut *hand
                && let Err(error) = writer.flush()
            {
                // The computing thread meets the same error at its next record and ends the worker.
                log(&format!("failed to flush: {error}"));
            }
        }
    }

    /// Code in this process cannot be ended alone. So all of it ends, as if it had died of the item,
    /// and leaves word that the next worker need not try it: it fails there.
    fn end_overdue(&self) {
        let mut hand = self.in_hand.lock();
        // Under the lock nothing is recorded: what is still at hand now has no record.
        let (Some(overdue), Some(limit)) = (self.at_hand.overdue(), self.at_hand.limit()) else {
            return;
        };
        let seconds = limit.as_secs();
        match (overdue, &mut *hand) {
            (Overdue::Item(idx), Some(writer)) => {
                log(&format!("item {idx} takes longer than item_timeout, {seconds} s"));
                let word = Trying { late: Some(seconds), ..Trying::at(idx) };
                if let Err(error) = writer.flush().and_then(|()| writer.set_trying(word)) {
                    log(&format!("failed to leave word of it: {error}"));
                }
            }
            _ => log(&format!("a batch takes longer than item_timeout, {seconds} s")),
        }
        if let Err(error) = self.in_hand.committed() {
            log(&format!("{error:#}"));
        }
        std::process::exit(self.exits.overdue);
    }

    /// `word` is the length of the worker's file when it was last read. Somebody's word that it is lost
    /// makes it longer; on a file server reading costs three requests, and the length none after a touch.
    fn renew(&self, path: &Path, word: &mut Option<u64>) {
        match touch(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // What the directory holds now is another run's.
                self.leave("the run directory was replaced", self.exits.stop);
            }
            Err(error) => log(&format!("failed to renew the lease: {error}")),
            Ok(()) => {}
        }
        let length = std::fs::metadata(path).ok().map(|file| file.len());
        let changed = length.is_none() || *word != length;
        *word = length;
        if changed
            && let Some(Worker { ended: Some(Ended::Lost { why }), .. }) =
                Worker::read(&self.run, &self.worker.worker)
        {
            // Others have taken what was in hand, and would take whatever came next.
            self.leave(&format!("believed lost: {why}"), self.exits.stop);
        }
        if let Some(stop) = Stop::read(&self.run) {
            self.leave(&stop.to_string(), self.exits.stop);
        }
    }

    fn hear(&self, mut signals: Signals) {
        if let Some(signal) = signals.forever().next() {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            self.leave(name, self.exits.signal);
        }
    }

    /// Gives back what is in hand and ends the process, whatever is being computed. The lock is
    /// kept: nothing can be written any more.
    fn leave(&self, why: &str, status: i32) -> ! {
        let mut hand = self.in_hand.lock();
        // Before anybody else can begin what they are at.
        kill_all_groups();
        if let Some(writer) = hand.take() {
            let shard = writer.claim.shard;
            match writer.give_back() {
                Ok(_) => log(&format!("shard {shard}: given back")),
                Err(error) => log(&format!("shard {shard}: failed to give it back: {error:#}")),
            }
        }
        if let Err(error) = self.in_hand.committed() {
            log(&format!("{error:#}"));
        }
        log(&format!("stopped: {why}"));
        let ended = Ended::Stopped { why: why.to_owned() };
        if let Err(error) = self.worker.clone().end(&self.run, ended) {
            log(&format!("failed to note the end: {error}"));
        }
        std::process::exit(status);
    }
}
