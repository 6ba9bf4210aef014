//! A task of a job: keeps its worker processes going until nothing is left to do.
//!
//! It computes nothing itself, so that whatever a stage does to its process, somebody is left who
//! saw how it died and starts another one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

use crate::deadline::Deadline;
use crate::job::Job;
use crate::launch::{start_worker, terminate, told};
use crate::log::log;
use crate::roster::{Ended, Worker};
use crate::run_dir::RunDir;
use crate::signals::listen;
use crate::stop::Stop;
use crate::survey::{Mark, mark};

/// A poison item takes up to three deaths to be found; more in a row, with nothing on disk in
/// between, is a stage that cannot work.
const DEATHS_IN_A_ROW: u32 = 5;

/// So many with failed items only, and no record, in between: all items are poison.
const DEATHS_WITHOUT_RECORD: u32 = 20;

/// One element of a job at work.
pub(crate) struct Task<'a> {
    pub run: &'a RunDir,
    pub job: &'a Job,
    pub number: u32,
    pub deadline: Deadline,
}

/// Starts the task's workers, again where one died, and waits until all have ended.
///
/// # Errors
/// When signals cannot be heard. What happens to workers is in the run directory and the log.
pub(crate) fn keep_workers(task: &Task<'_>) -> Result<()> {
    let stopping = AtomicBool::new(false);
    let pids: Mutex<Vec<u32>> = Mutex::default();
    let mut signals = listen(&[SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2])?;
    let handle = signals.handle();
    thread::scope(|scope| {
        let slots: Vec<_> = (0..task.workers())
            .map(|slot| {
                let (stopping, pids) = (&stopping, &pids);
                scope.spawn(move || {
                    if let Err(error) = keep_one(task, slot, stopping, pids) {
                        log(&format!("worker {slot}: {error:#}"));
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            for signal in signals.forever() {
                log(&format!("signal {signal}: stopping the workers"));
                stopping.store(true, Ordering::SeqCst);
                for pid in &*pids.lock().expect("nobody panics holding it") {
                    terminate(*pid);
                }
            }
        });
        for slot in slots {
            let _ = slot.join();
        }
        handle.close();
    });
    Ok(())
}

impl Task<'_> {
    fn workers(&self) -> u32 {
        match self.job.tasks.get(self.number as usize) {
            // Its courier.
            Some(task) if task.staged_on.is_some() => 1,
            Some(task) => task.workers,
            None => 0,
        }
    }
}

/// Keeps one worker going. This thread must live as long as the worker: it is the worker's parent
/// in the eyes of prctl(2), PR_SET_PDEATHSIG.
fn keep_one(
    task: &Task<'_>,
    slot: u32,
    stopping: &AtomicBool,
    pids: &Mutex<Vec<u32>>,
) -> Result<()> {
    let run = task.run;
    let (mut deaths, mut barren) = (0, 0);
    let mut last_mark: Option<Mark> = None;
    let mut dead: Option<String> = None;
    loop {
        let (name, worker) = {
            // Under the lock: a signal either finds the pid in the list or stops the start.
            let mut pids = pids.lock().expect("nobody panics holding it");
            let over = stopping.load(Ordering::SeqCst) || task.deadline.passed();
            if over || Stop::read(run).is_some() {
                return Ok(());
            }
            let (job, end) = (task.job, task.deadline.end());
            let started = start_worker(run, job, task.number, slot, dead.as_deref(), end)?;
            pids.push(started.1.pid);
            started
        };
        let status = worker.wait()?;
        pids.lock().expect("nobody panics holding it").retain(|pid| *pid != worker.pid);
        match Worker::read(run, &name) {
            Some(worker) if worker.ended.is_some() => return Ok(()),
            Some(worker) => {
                log(&format!("{name} died: {}", told(status)));
                worker.end(run, Ended::Died { status: told(status) })?;
            }
            None => log(&format!("{name}: {} before it could start; see its log", told(status))),
        }
        let mark = mark(run)?;
        deaths = if last_mark == Some(mark) { deaths + 1 } else { 1 };
        let same_records = last_mark.is_some_and(|last| last.records == mark.records);
        barren = if same_records { barren + 1 } else { 1 };
        last_mark = Some(mark);
        dead = Some(name);
        if deaths >= DEATHS_IN_A_ROW || barren >= DEATHS_WITHOUT_RECORD {
            log(&format!(
                "worker {slot} died {barren} times in a row without getting on; giving up"
            ));
            return Ok(());
        }
    }
}
