//! A worker that computes nothing itself: it claims shards, takes them to a host that shares no file
//! system with this one, and brings them back.
//!
//! For the run it is a worker like any other. What it brings is a shard's folder as another worker
//! left it: only its good lines count, and the only commit is the one here.

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::brought::{Told, clean_up, enter_workers, settle, take_up};
use super::halt::Halt;
use super::outpost::{Outpost, Seen};
use super::remote::Remote;
use crate::claim::Claim;
use crate::cluster::Ssh;
use crate::job::Job;
use crate::log::log;
use crate::queue::{Next, Queue};
use crate::roster::{Ended, Worker};
use crate::run_dir::{RunDir, ShardName, ShardState};
use crate::shard_writer::ShardWriter;
use crate::spec::Spec;
use crate::stop::Stop;
use crate::survey::count_failed;

/// For each worker there, so many shards at first: one in hand and one for when it is done.
const FEW: usize = 2;

/// The same where all of them are done at every look.
const MANY: usize = 32;

/// But no more at once for all workers together: names go into one command.
const MOST: usize = 512;

/// Between two looks at the host, as long as nothing is ready there: soon at first.
const SOON: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_secs(1);

/// What has not come back then stays there, until the next courier comes.
const LEAVE: Duration = Duration::from_secs(25);

/// What a courier is sent out with.
pub(crate) struct Errand {
    pub run: RunDir,
    pub spec: Spec,
    pub job: Job,
    pub worker: Worker,
    pub host: String,
    /// The courier that died in this one's place.
    pub after: Option<String>,
}

/// Why no more shards are taken there.
enum Enough {
    NothingLeft,
    Stopped(String),
    /// With its last words.
    TaskEnded(ExitStatus, String),
}

struct Courier<'a> {
    errand: &'a Errand,
    halt: &'a Halt,
    outpost: Outpost<'a>,
    queue: Queue<'a>,
    /// What is there, or on its way.
    claims: BTreeMap<usize, Claim>,
    /// How many shards for each worker are claimed.
    ahead: usize,
}

/// Provides for the host until no shard is left, and notes how that ended.
///
/// # Errors
/// When the task there died, and another courier may try.
pub(crate) fn carry(errand: &Errand) -> Result<()> {
    let Errand { run, worker, host, .. } = errand;
    let halt = Halt::listen(run, worker);
    clean_up(run)?;
    let ended = there_and_back(errand, &halt);
    let _ = fs::remove_dir_all(run.fetched(&worker.worker));
    let ended = match (ended, halt.why()) {
        (Ok(Some(ended)), _) => ended,
        (Ok(None), None) => bail!("the task on {host} died"),
        (Ok(None) | Err(_), Some(why)) => Ended::Stopped { why },
        (Err(error), None) => Ended::Failed { error: format!("{error:#}") },
    };
    match &ended {
        Ended::Stopped { why: error } | Ended::EnvFailed { error } | Ended::Failed { error } => {
            log(&format!("stopped: {error}"));
        }
        _ => log("nothing left to do"),
    }
    worker.clone().end(run, ended).context("failed to note the end")
}

fn there_and_back(errand: &Errand, halt: &Halt) -> Result<Option<Ended>> {
    let Errand { run, spec, job, worker, host, after } = errand;
    let halted = || halt.why().is_some();
    let (ssh, _) = Ssh::read(&job.options);
    let remote = Remote::log_in(ssh, host, &halted)?;
    let place = (worker.task, host.as_str(), worker.worker.as_str());
    let outpost = Outpost::set_up(remote, run, spec, job, place)?;
    for (earlier, shards) in outpost.left_behind(run)? {
        let fetched = RunDir::new(run.fetched(&worker.worker).join(&earlier));
        if !shards.is_empty() {
            outpost.fetch_left(&earlier, &shards, &fetched)?;
            take_up(run, spec, worker, &fetched)?;
            enter_workers(run, worker, &fetched)?;
        }
        outpost.remove_left(&earlier)?;
    }
    let queue = Queue::new(run, worker, spec.num_shards(), job.n_workers, after.clone());
    let claims = BTreeMap::new();
    let mut courier = Courier { errand, halt, outpost, queue, claims, ahead: FEW };
    let enough = courier.serve();
    courier.come_home(enough)
}

impl Courier<'_> {
    fn serve(&mut self) -> Result<Enough> {
        let run = &self.errand.run;
        let mut rest = SOON;
        loop {
            if let Some(why) = self.halt.why() {
                return Ok(Enough::Stopped(why));
            }
            if let Some(stop) = Stop::read(run) {
                return Ok(Enough::Stopped(stop.to_string()));
            }
            let new = self.claim_more()?;
            if self.claims.is_empty() {
                return Ok(Enough::NothingLeft);
            }
            let new: Vec<&Claim> = new.iter().filter_map(|shard| self.claims.get(shard)).collect();
            let Seen { mut shards, stop } = self.outpost.exchange(&run.shards(), &new)?;
            if let Some(stop) = stop {
                stop.request(run)?;
                return Ok(Enough::Stopped(stop.to_string()));
            }
            shards.retain(|name| name.state == ShardState::Done);
            let idle = shards.is_empty();
            self.bring_back(shards)?;
            if let Some((status, words)) = self.outpost.task_ended()? {
                return Ok(Enough::TaskEnded(status, words));
            }
            self.outpost.start(&run.log(&self.errand.worker.worker))?;
            if idle {
                self.halt.rest(rest);
                rest = (rest * 3 / 2).min(LATE);
                self.ahead = FEW.max(self.ahead - 1);
            } else {
                rest = SOON;
                if self.claims.is_empty() {
                    self.ahead = MANY.min(self.ahead * 2);
                }
            }
        }
    }

    /// Claims shards, as many as are needed there; which ones.
    fn claim_more(&mut self) -> Result<Vec<usize>> {
        let Errand { run, spec, job, worker, host, .. } = self.errand;
        let workers = job.tasks.get(worker.task as usize).map_or(1, |task| task.workers);
        let few = FEW * workers as usize;
        let wanted = (self.ahead * workers as usize).min(MOST.max(few));
        let mut new = Vec::new();
        while self.claims.len() < wanted && new.len() < MOST {
            let next = self.queue.next().context("failed to claim a shard")?;
            let Next::Claim(claim) = next else { break };
            if !run.worker(&worker.worker).exists() {
                claim.give_back()?;
                bail!("the run directory was replaced");
            }
            let (shard, folder) = (claim.shard, claim.folder());
            let writer = match ShardWriter::open(claim, spec.items(shard)) {
                Err(_) if !folder.is_dir() => continue,
                opened => opened.with_context(|| format!("failed to open shard {shard}"))?,
            };
            log(&format!(
                "shard {shard}: attempt {}, {} of {} items are there; to {host}",
                writer.claim.attempt,
                writer.found(),
                spec.len(shard)
            ));
            if writer.pending().next().is_none() {
                writer.commit()?;
                continue;
            }
            self.claims.insert(shard, writer.claim);
            new.push(shard);
        }
        Ok(new)
    }

    /// Brings shards that are done back and commits them.
    fn bring_back(&mut self, done: Vec<ShardName>) -> Result<()> {
        let Errand { run, spec, job, worker, host, .. } = self.errand;
        let ours: Vec<ShardName> =
            done.into_iter().filter(|name| self.claims.contains_key(&name.shard)).collect();
        if ours.is_empty() {
            return Ok(());
        }
        let fetched = RunDir::new(run.fetched(&worker.worker));
        self.outpost.fetch(&ours, &fetched)?;
        for name in &ours {
            let shard = name.shard;
            let Some(claim) = self.claims.remove(&shard) else { continue };
            let came = fetched.shards().join(name.to_string());
            if !settle(claim, &came, &spec.items(shard))? {
                bail!("shard {shard} came back from {host} without some of its items");
            }
            self.outpost.done_with(name);
        }
        if let Some(allowed) = job.max_failed_items {
            let failed = count_failed(run)?;
            if failed > allowed {
                Stop::TooManyFailed { failed, allowed }.request(run)?;
            }
        }
        Ok(())
    }

    /// Ends the work there, brings everything back, and says how it ended. `None`: the task there
    /// died.
    fn come_home(mut self, enough: Result<Enough>) -> Result<Option<Ended>> {
        let host = &self.errand.host;
        let told = self.bring_all(matches!(enough, Ok(Enough::NothingLeft)));
        for (shard, claim) in std::mem::take(&mut self.claims) {
            if claim.give_back()? {
                log(&format!("shard {shard}: given back"));
            }
        }
        if let Err(error) = &told {
            log(&format!("failed to bring everything back from {host}: {error:#}"));
        }
        let lost = |error: String| {
            let error = match self.outpost.remote.lives() {
                true => error,
                false => format!("the connection to {host} ended: {}", self.outpost.remote.words()),
            };
            Ok(Some(Ended::Failed { error }))
        };
        let ended = match enough {
            Err(error) => {
                return match self.halt.why() {
                    Some(why) => Ok(Some(Ended::Stopped { why })),
                    None => lost(format!("{error:#}")),
                };
            }
            Ok(Enough::NothingLeft) => return Ok(Some(Ended::Finished)),
            Ok(Enough::Stopped(why)) => return Ok(Some(Ended::Stopped { why })),
            Ok(Enough::TaskEnded(status, words)) => (status, words),
        };
        match told {
            Ok(told) => Ok(told.judge(ended.0.success(), host, &ended.1)),
            Err(error) => lost(format!("{error:#}")),
        }
    }

    fn bring_all(&mut self, finished: bool) -> Result<Told> {
        let Errand { run, spec, job, worker, .. } = self.errand;
        let remote = &self.outpost.remote;
        if !remote.lives() {
            bail!("the connection ended");
        }
        remote.leave_within(LEAVE);
        self.outpost.end_task(finished)?;
        let Seen { shards, stop } = self.outpost.exchange(&run.shards(), &[])?;
        if let Some(stop) = &stop {
            stop.request(run)?;
        }
        let fetched = RunDir::new(run.fetched(&worker.worker));
        self.outpost.fetch_all(&shards, &fetched)?;
        for name in &shards {
            if let Some(claim) = self.claims.remove(&name.shard) {
                let came = fetched.shards().join(name.to_string());
                settle(claim, &came, &spec.items(name.shard))?;
            }
        }
        let begun = !fetched.noted_tasks(job.number).is_empty();
        let ended = enter_workers(run, worker, &fetched)?;
        self.outpost.remove()?;
        Ok(Told { ended, begun, stop })
    }
}
