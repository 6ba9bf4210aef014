//! `cancel`: asks the workers of a run to give back what they hold and end.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::fail::{Exit, Fail, say};
use super::status::find_runs;
use crate::cluster::{SCHEDULERS, Scheduler};
use crate::inquiry::Inquiry;
use crate::job::Job;
use crate::launch::terminate;
use crate::roster::at_work;
use crate::run_dir::RunDir;
use crate::stop::Stop;
use crate::submit::cancel;

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
            let (working, queued) = (at_work(&run), open_jobs(&run));
            if working.is_empty() && queued.is_empty() {
                say(format!("{name}: nobody works on it"))?;
                continue;
            }
            Stop::Cancelled.request(&run)?;
            for process in working.iter().filter(|process| process.lives() == Some(true)) {
                terminate(process.pid);
            }
            let mut refused = None;
            for (scheduler, jobs) in &queued {
                // Workers read the request whatever their scheduler says.
                refused = refused.or(cancel(*scheduler, &run, jobs).err());
            }
            let since = Instant::now();
            while !at_work(&run).is_empty() && since.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(20));
            }
            if !at_work(&run).is_empty() {
                say(format!("{name}: not all of its workers have ended yet"))?;
                exit = Exit::Incomplete;
            } else if working.is_empty() {
                say(format!("{name}: taken out of the queue"))?;
            } else {
                say(format!("{name}: its workers have stopped"))?;
            }
            if let Some(error) = refused {
                return Err(error.into());
            }
        }
        Ok(exit)
    }
}

/// The jobs of a run that schedulers may still have.
fn open_jobs(run: &RunDir) -> Vec<(&'static dyn Scheduler, Vec<Job>)> {
    let inquiry = Inquiry::read(run);
    let mut jobs = Job::read_all(run);
    jobs.retain(|job| !job.is_over(run) && !inquiry.over(run, job));
    let of = |scheduler: &&'static dyn Scheduler| {
        let jobs = jobs.iter().filter(|job| job.cluster == scheduler.name());
        (*scheduler, jobs.cloned().collect::<Vec<_>>())
    };
    SCHEDULERS.iter().map(of).filter(|(_, jobs)| !jobs.is_empty()).collect()
}
