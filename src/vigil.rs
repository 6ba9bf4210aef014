//! What a worker does beside computing: flush, renew the lease, hear signals and stop requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::roster::{Ended, LEASE_TOUCH, Worker, touch};
use crate::run_dir::RunDir;
use crate::stop::Stop;
use crate::worker::{InHand, lock, log};

/// Records reach the disk at least so often.
const FLUSH: Duration = Duration::from_secs(1);

/// Ends the vigil when dropped.
pub(crate) struct Vigil(Arc<AtomicBool>);

impl Drop for Vigil {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts the two threads of the vigil.
pub(crate) fn keep(run: &RunDir, worker: &Worker, in_hand: &InHand, signal_status: i32) -> Vigil {
    let over = Arc::new(AtomicBool::new(false));
    let watch = Watch {
        run: run.clone(),
        worker: worker.clone(),
        in_hand: in_hand.clone(),
        over: over.clone(),
        signal_status,
    };
    let ears = watch.clone();
    thread::spawn(move || watch.beat());
    match Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2]) {
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
    over: Arc<AtomicBool>,
    signal_status: i32,
}

impl Watch {
    fn beat(&self) {
        let path = self.run.worker(&self.worker.worker);
        let mut touched = Instant::now();
        while !self.over.load(Ordering::Relaxed) {
            thread::sleep(FLUSH);
            if let Some(writer) = &mut *lock(&self.in_hand)
                && let Err(error) = writer.flush()
            {
                // The computing thread meets the same error at its next record and ends the worker.
                log(&format!("failed to flush: {error}"));
            }
            if touched.elapsed() < LEASE_TOUCH || self.over.load(Ordering::Relaxed) {
                continue;
            }
            touched = Instant::now();
            match touch(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    // What the directory holds now is another run's.
                    self.leave("the run directory was replaced", 0);
                }
                Err(error) => log(&format!("failed to renew the lease: {error}")),
                Ok(()) => {}
            }
            if let Some(stop) = Stop::read(&self.run) {
                self.leave(&stop.to_string(), 0);
            }
        }
    }

    fn hear(&self, mut signals: Signals) {
        if let Some(signal) = signals.forever().next() {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            self.leave(name, self.signal_status);
        }
    }

    /// Gives back what is in hand and ends the process, whatever is being computed. The lock is
    /// kept: nothing can be written any more.
    fn leave(&self, why: &str, status: i32) -> ! {
        let mut hand = lock(&self.in_hand);
        if let Some(writer) = hand.take() {
            let shard = writer.claim.shard;
            match writer.give_back() {
                Ok(_) => log(&format!("shard {shard}: given back")),
                Err(error) => log(&format!("shard {shard}: failed to give it back: {error:#}")),
            }
        }
        log(&format!("stopped: {why}"));
        let ended = Ended::Stopped { why: why.to_owned() };
        if let Err(error) = self.worker.clone().end(&self.run, ended) {
            log(&format!("failed to note the end: {error}"));
        }
        std::process::exit(status);
    }
}
