//! Whether a courier is to come home, and its lease.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

use crate::log::log;
use crate::roster::{LEASE_TOUCH, Worker, touch};
use crate::run_dir::RunDir;
use crate::signals::listen;

/// How soon a signal is noticed.
const GLANCE: Duration = Duration::from_millis(50);

/// Why to come home, once there is a reason.
#[derive(Clone, Default)]
pub(crate) struct Halt(Arc<Mutex<Option<String>>>);

impl Halt {
    /// Listens to signals and keeps the lease, as long as this process lives.
    pub(crate) fn listen(run: &RunDir, worker: &Worker) -> Self {
        let halt = Self::default();
        match listen(&[SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2]) {
            Ok(mut signals) => {
                let halt = halt.clone();
                std::thread::spawn(move || {
                    for signal in signals.forever() {
                        halt.call(
                            signal_hook::low_level::signal_name(signal).unwrap_or("a signal"),
                        );
                    }
                });
            }
            Err(error) => log(&format!("failed to listen for signals: {error}")),
        }
        let (lease, path) = (halt.clone(), run.worker(&worker.worker));
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(LEASE_TOUCH);
                match touch(&path) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                        lease.call("the run directory was replaced");
                    }
                    Err(error) => log(&format!("failed to renew the lease: {error}")),
                    Ok(()) => {}
                }
            }
        });
        halt
    }

    fn call(&self, why: &str) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| why.to_owned());
    }

    /// `Some`: home, for this reason.
    pub(crate) fn why(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Rests, unless there is a reason not to.
    pub(crate) fn rest(&self, most: Duration) {
        let since = Instant::now();
        while since.elapsed() < most && self.why().is_none() {
            std::thread::sleep(GLANCE);
        }
    }
}
