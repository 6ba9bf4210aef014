//! `cancel`: asks the workers of a run to give back what they hold and end.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::fail::{Exit, Fail, say};
use super::status::find_runs;
use crate::launch::terminate;
use crate::roster::at_work;
use crate::stop::Stop;
use crate::trust;
use crate::under_way::{cancel_all, has_open_jobs};

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
            trust::check(&run)?;
            let name = run.root().display();
            let working = at_work(&run);
            let queued = has_open_jobs(&run);
            if working.is_empty() && !queued {
                say(format!("{name}: nobody works on it"))?;
                continue;
            }
            Stop::Cancelled.request(&run)?;
            for process in working.iter().filter(|process| process.lives() == Some(true)) {
                terminate(process.pid);
            }
            // Workers read the request whatever their scheduler says.
            let cancelled = cancel_all(&run);
            let since = Instant::now();
            while !at_work(&run).is_empty() && since.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(20));
            }
            if !at_work(&run).is_empty() {
                say(format!("{name}: not all of its workers have ended yet"))?;
                exit = Exit::Incomplete;
            } else if working.is_empty() && cancelled.is_err() {
                // What the scheduler said follows.
            } else if working.is_empty() {
                say(format!("{name}: taken out of the queue"))?;
            } else {
                say(format!("{name}: its workers have stopped"))?;
            }
            // Jobs that ended by themselves meanwhile need nobody's word.
            if has_open_jobs(&run) {
                cancelled?;
            }
        }
        Ok(exit)
    }
}
