//! Who works, or worked, in a run: one small file per worker process, and whether it still lives.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::identity::{Process, random_name};
use crate::job::Job;
use crate::plain_file;
use crate::run_dir::RunDir;

/// How often a worker touches its file.
pub(crate) const LEASE_TOUCH: Duration = Duration::from_secs(5);

/// A worker on another host is dead when its file was not touched for so long, by the file
/// server's clock. Long against the touches: an NFS client may hold attributes back for a minute.
const LEASE: Duration = Duration::from_secs(120);

/// A worker process, as its file tells it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Worker {
    pub worker: String,
    /// The run directory it works in, [`RunDir::id`]: in a copy of that, nobody works.
    pub run: u64,
    /// Which submission started it, which task of that, and its rank in the run.
    pub job: u32,
    pub task: u32,
    pub rank: u32,
    pub process: Process,
    /// RFC 3339.
    pub started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// Where in a run's submissions a worker stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub job: u32,
    pub task: u32,
    pub rank: u32,
}

/// How a worker's life ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub(crate) enum Ended {
    /// It found no shard left.
    Finished,
    /// It was asked to, and gave its shard back.
    Stopped { why: String },
    /// The env could not be built.
    EnvFailed { error: String },
    /// The run directory could not be written, or something as grave.
    Failed { error: String },
    /// It left no word; its parent saw the exit status.
    Died { status: String },
    /// It left no word; the scheduler, or the connection to its host, says that it is gone.
    Lost { why: String },
}

/// Whether a worker lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Life {
    Alive,
    Dead,
    /// It cannot be seen from here.
    Unknown,
}

impl Worker {
    /// Enters this process under the name it was given by [`reserve_name`].
    pub(crate) fn enter(run: &RunDir, worker: &str, place: Place) -> io::Result<Self> {
        let worker = Self {
            worker: worker.to_owned(),
            run: run.id(),
            job: place.job,
            task: place.task,
            rank: place.rank,
            process: Process::current(),
            started: jiff::Timestamp::now().to_string(),
            ended: None,
        };
        atomic_file::note(&run.worker(&worker.worker), &serde_json::to_vec(&worker)?)?;
        Ok(worker)
    }

    /// Notes how it ended.
    pub(crate) fn end(mut self, run: &RunDir, ended: Ended) -> io::Result<()> {
        self.ended = Some(ended);
        atomic_file::note(&run.worker(&self.worker), &serde_json::to_vec(&self)?)
    }

    pub(crate) fn read(run: &RunDir, worker: &str) -> Option<Self> {
        serde_json::from_slice(&plain_file::read(&run.worker(worker)).ok()?).ok()
    }

    /// Everybody who works or worked in the run, by start.
    pub(crate) fn read_all(run: &RunDir) -> Vec<Self> {
        let names = run.worker_names().unwrap_or_default();
        let mut workers: Vec<Self> =
            names.iter().filter_map(|name| Self::read(run, name)).collect();
        workers.sort_by(|a, b| (&a.started, a.rank).cmp(&(&b.started, b.rank)));
        workers
    }

    /// Whether it lives: by its own word, by its process on this host, by its lease elsewhere.
    pub(crate) fn life(&self, run: &RunDir) -> Life {
        if self.ended.is_some() || self.run != run.id() {
            return Life::Dead;
        }
        match self.process.lives() {
            Some(true) => Life::Alive,
            Some(false) => Life::Dead,
            None => lease(run, &self.worker),
        }
    }
}

/// The processes at work in a run, on whatever host: workers, and tasks of this one.
pub(crate) fn at_work(run: &RunDir) -> Vec<Process> {
    let workers = Worker::read_all(run).into_iter();
    let living = workers.filter(|worker| worker.life(run) == Life::Alive);
    Job::living_tasks(run).into_iter().chain(living.map(|worker| worker.process)).collect()
}

/// Notes that the workers of a task are lost, those that cannot be seen from here and left no word:
/// nobody need wait until their lease is over. One that lives all the same finds out.
pub(crate) fn bury(run: &RunDir, job: u32, task: u32, why: &str) {
    for worker in Worker::read_all(run) {
        let of_task = (worker.job, worker.task) == (job, task);
        if of_task && worker.process.lives().is_none() && worker.life(run) != Life::Dead {
            // If it cannot be noted, the lease tells, later.
            let _ = worker.end(run, Ended::Lost { why: why.to_owned() });
        }
    }
}

/// Notes of workers that died on this host and left no word that they are lost: from elsewhere that
/// cannot be seen, and what they held would wait until their leases are over.
pub(crate) fn bury_here(run: &RunDir) {
    for worker in Worker::read_all(run) {
        if worker.ended.is_some() || worker.run != run.id() || worker.process.lives() != Some(false)
        {
            continue;
        }
        // Its last word, or its parent's, may have come since.
        if let Some(worker) = Worker::read(run, &worker.worker).filter(|it| it.ended.is_none()) {
            let why = format!("its process on {} is gone", worker.process.host);
            // If it cannot be noted, the lease tells, later.
            let _ = worker.end(run, Ended::Lost { why });
        }
    }
}

/// A name no other worker of the run has, and the log file under that name.
pub(crate) fn reserve_name(run: &RunDir) -> io::Result<(String, File)> {
    loop {
        let name = format!("w{}", random_name());
        match OpenOptions::new().append(true).create_new(true).open(run.log(&name)) {
            Ok(log) => return Ok((name, log)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether the worker of that name lives. One whose file cannot be read is judged by its lease.
pub(crate) fn life(run: &RunDir, worker: &str) -> Life {
    Worker::read(run, worker).map_or_else(|| lease(run, worker), |worker| worker.life(run))
}

/// Renews a worker's lease. The server's clock sets the time: `UTIME_NOW`, utimensat(2).
pub(crate) fn touch(path: &Path) -> io::Result<()> {
    let now = TimeSpec::UTIME_NOW;
    utimensat(nix::fcntl::AT_FDCWD, path, &now, &now, UtimensatFlags::NoFollowSymlink)?;
    Ok(())
}

/// How long ago a file was written or touched, by the file server's own clock.
pub(crate) fn age(run: &RunDir, path: &Path) -> io::Result<Duration> {
    let touched = modified(path)?;
    Ok(now(run)?.duration_since(touched).unwrap_or_default())
}

/// Compares two times of the same file server; never two hosts' clocks.
fn lease(run: &RunDir, worker: &str) -> Life {
    match age(run, &run.worker(worker)) {
        Ok(age) if age > LEASE => Life::Dead,
        Ok(_) => Life::Alive,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Life::Dead,
        Err(_) => Life::Unknown,
    }
}

/// The time by the file server's clock.
fn now(run: &RunDir) -> io::Result<SystemTime> {
    let clock = run.clock();
    if touch(&clock).is_err() {
        plain_file::append(&clock)?;
        touch(&clock)?;
    }
    modified(&clock)
}

fn modified(path: &Path) -> io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> (tempfile::TempDir, RunDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunDir::new(folder.path());
        fs::create_dir(run.workers()).expect("makes the folder");
        fs::create_dir(run.logs()).expect("makes the folder");
        (folder, run)
    }

    /// A worker of another host, whose file was last touched `age` ago.
    fn stranger(run: &RunDir, age: Duration) -> Worker {
        let mut worker =
            Worker::enter(run, &reserve_name(run).expect("reserves").0, Place::default())
                .expect("enters");
        worker.process.host = "another host".into();
        let path = run.worker(&worker.worker);
        fs::write(&path, serde_json::to_vec(&worker).expect("is JSON")).expect("writes");
        let file = File::open(&path).expect("opens");
        file.set_modified(SystemTime::now() - age).expect("sets the time");
        worker
    }

    #[test]
    fn a_strangers_lease_decides() {
        let (_folder, run) = run();
        let fresh = stranger(&run, Duration::from_secs(20));
        let stale = stranger(&run, LEASE + Duration::from_secs(5));
        assert_eq!(life(&run, &fresh.worker), Life::Alive);
        assert_eq!(life(&run, &stale.worker), Life::Dead);
        touch(&run.worker(&stale.worker)).expect("touches");
        assert_eq!(life(&run, &stale.worker), Life::Alive);
        assert_eq!(life(&run, "nobody"), Life::Dead);
    }

    #[test]
    fn the_dead_of_this_host_are_buried_for_others_to_see() {
        let (_folder, run) = run();
        let elsewhere = stranger(&run, Duration::from_secs(5));
        let [here, mut gone] =
            ["w1", "w2"].map(|name| Worker::enter(&run, name, Place::default()).expect("enters"));
        // The time at which its process began is another's.
        gone.process.start += 1;
        fs::write(run.worker("w2"), serde_json::to_vec(&gone).expect("is JSON")).expect("writes");
        bury_here(&run);
        let ended = |name: &str| Worker::read(&run, name).expect("is there").ended;
        assert!(matches!(ended("w2"), Some(Ended::Lost { .. })));
        assert_eq!([ended(&here.worker), ended(&elsewhere.worker)], [None, None]);
    }

    #[test]
    fn its_own_word_decides_first() {
        let (_folder, run) = run();
        let me = Worker::enter(&run, "w1", Place::default()).expect("enters");
        assert_eq!(life(&run, &me.worker), Life::Alive);
        let name = me.worker.clone();
        me.end(&run, Ended::Finished).expect("ends");
        assert_eq!(life(&run, &name), Life::Dead);
        assert_eq!(Worker::read_all(&run).len(), 1);
    }
}
