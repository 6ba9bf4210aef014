//! `cancel`: asks the workers of a run to give back what they hold and end.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::fail::{Exit, Fail, say};
use super::status::find_runs;
use crate::launch::terminate;
use crate::roster::{Life, Worker};
use crate::run_dir::RunDir;
use crate::stop::Stop;

/// Workers elsewhere look for the request every few seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stop the workers of a run; what they computed stays.
#[derive(Args)]
pub(super) struct Cancel {
    /// The run directory, or a folder with runs below it.
    run: PathBuf,
}

impl Cancel {
    pub(super) fn answer(self) -> Result<Exit, Fail> {
        let mut exit = Exit::Done;
        for run in find_runs(&self.run)? {
            let name = run.root().display();
            let workers = living(&run);
            if workers.is_empty() {
                say(format!("{name}: nobody works on it"))?;
                continue;
            }
            Stop::Cancelled.request(&run)?;
            for worker in workers.iter().filter(|worker| worker.process.lives() == Some(true)) {
                terminate(worker.process.pid);
            }
            let since = Instant::now();
            while !living(&run).is_empty() && since.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(20));
            }
            let left = living(&run).len();
            if left > 0 {
                say(format!("{name}: {left} of {} workers have not ended yet", workers.len()))?;
                exit = Exit::Incomplete;
            } else {
                say(format!("{name}: {} workers stopped", workers.len()))?;
            }
        }
        Ok(exit)
    }
}

fn living(run: &RunDir) -> Vec<Worker> {
    let mut workers = Worker::read_all(run);
    workers.retain(|worker| worker.life(run) == Life::Alive);
    workers
}
