//! The worker: builds the env once, then claims, computes and commits shards until none is left.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::at_hand::AtHand;
use crate::computer::{Computer, Workplace};
use crate::deadline::{Deadline, NO_TIME};
use crate::failures::Failures;
use crate::in_hand::InHand;
use crate::job::Job;
use crate::log::log;
use crate::queue::{Next, Queue};
use crate::roster::{Ended, Worker, age};
use crate::run_dir::RunDir;
use crate::shard_work::{Left, ShardWork};
use crate::shard_writer::ShardWriter;
use crate::spec::Spec;
use crate::stage::LoadedStage;
use crate::stop::Stop;
use crate::vigil::{self, Exits};

/// Between two looks for shards that a courier may have brought, or a listing may show.
const PAUSE: Duration = Duration::from_millis(200);

/// A courier that was not there for so long will not come again. It may be busy with a large shard.
const COURIER_LEASE: Duration = Duration::from_secs(1800);

/// What a worker works on.
pub(crate) struct Assignment {
    pub run: RunDir,
    pub spec: Spec,
    pub job: Job,
    pub stage: Box<dyn LoadedStage>,
    pub worker: Worker,
    /// The worker that died in this one's place: its shard comes first.
    pub after: Option<String>,
    pub deadline: Arc<Deadline>,
    pub exits: Exits,
}

/// Works until no shard is left, and says how it ended.
pub(crate) fn work(assignment: &Assignment) -> Ended {
    let worker = assignment.worker.clone();
    let in_hand = InHand::default();
    let at_hand = Arc::new(AtHand::new(assignment.job.item_timeout.map(Duration::from_secs)));
    let vigil = vigil::keep(assignment, &in_hand, &at_hand);
    let worked = work_through(assignment, &in_hand, &at_hand);
    let ended = in_hand
        .committed()
        .and(worked)
        .unwrap_or_else(|error| Ended::Failed { error: format!("{error:#}") });
    drop(vigil);
    match &ended {
        Ended::Finished => log("nothing left to do"),
        Ended::Stopped { why } => log(&format!("stopped: {why}")),
        Ended::EnvFailed { error } => log(&format!("the env could not be built: {error}")),
        Ended::Failed { error } => log(&format!("failed: {error}")),
        Ended::Died { .. } | Ended::Lost { .. } => {}
    }
    if let Err(error) = worker.end(&assignment.run, ended.clone()) {
        log(&format!("failed to note the end: {error}"));
    }
    ended
}

fn work_through(assignment: &Assignment, in_hand: &InHand, at_hand: &Arc<AtHand>) -> Result<Ended> {
    let Assignment { run, spec, job, stage, worker, deadline, .. } = assignment;
    let mut queue =
        Queue::new(run, worker, spec.num_shards(), job.n_workers, assignment.after.clone());
    // An item may be longer than a time limit: it would be what every submission dies of first.
    if deadline.end().is_none() {
        queue = queue.first_of_all(&spec.heavy);
    }
    let mut computer: Option<Box<dyn Computer>> = None;
    let (name, inputs) = (&worker.worker, &spec.fingerprint.inputs);
    let place = Workplace { run, job, worker: name, deadline, at_hand, inputs };
    let mut failures = Failures::new(job.max_failed_items);
    loop {
        if let Some(stop) = Stop::read(run) {
            return Ok(Ended::Stopped { why: stop.to_string() });
        }
        if !deadline.fits_one_more() {
            return Ok(Ended::Stopped { why: NO_TIME.to_owned() });
        }
        // The lock is held from claim to writer: a signal must not fall between.
        let mut hand = in_hand.lock();
        let claim = match queue.next().context("failed to claim a shard")? {
            Next::Claim(claim) => claim,
            Next::Nothing if !more_to_come(run) => return Ok(Ended::Finished),
            Next::Nothing | Next::Later => {
                drop(hand);
                std::thread::sleep(PAUSE);
                continue;
            }
        };
        if !run.worker(&worker.worker).exists() {
            // The directory was cleared or made anew: what it holds now is another run's.
            claim.give_back()?;
            return Ok(Ended::Failed { error: "the run directory was replaced".to_owned() });
        }
        let shard = claim.shard;
        let folder = claim.folder();
        let writer = match ShardWriter::open(claim, spec.items(shard)) {
            Err(_) if !folder.is_dir() => {
                log(&format!("shard {shard}: taken over by another worker"));
                continue;
            }
            opened => opened.with_context(|| format!("failed to open shard {shard}"))?,
        };
        log(&format!(
            "shard {shard}: attempt {}, {} of {} items are there{}",
            writer.claim.attempt,
            writer.found(),
            spec.len(shard),
            writer
                .claim
                .taken_from
                .as_deref()
                .map(|dead| format!(" from {dead}"))
                .unwrap_or_default(),
        ));
        *hand = Some(writer);
        drop(hand);
        let computer = match &computer {
            Some(computer) => computer,
            None => match stage.computer(&place) {
                Ok(built) => computer.insert(built),
                Err(error) => {
                    give_back(in_hand)?;
                    return Ok(Ended::EnvFailed { error: format!("{error:#}") });
                }
            },
        };
        let computer = computer.as_ref();
        let mut work = ShardWork { run, job, computer, in_hand, failures: &mut failures };
        match work.through()? {
            None => in_hand.commit()?,
            Some(Left::Lost) => log(&format!("shard {shard}: taken over by another worker")),
            Some(Left::NoTime) => {
                give_back(in_hand)?;
                log(&format!("shard {shard}: given back"));
            }
            Some(Left::NoEnv(error)) => {
                give_back(in_hand)?;
                return Ok(Ended::EnvFailed { error });
            }
            Some(Left::Stopped(stop)) => return Ok(Ended::Stopped { why: stop.to_string() }),
        }
    }
}

/// Whether a courier, on another host, may bring more shards.
fn more_to_come(run: &RunDir) -> bool {
    age(run, &run.more()).is_ok_and(|age| age < COURIER_LEASE)
}

fn give_back(in_hand: &InHand) -> Result<()> {
    match in_hand.lock().take() {
        Some(writer) => writer.give_back().map(|_| ()),
        None => Ok(()),
    }
}
