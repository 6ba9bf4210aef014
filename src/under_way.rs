//! A submission that is under way: in a scheduler's hands, or started by this process.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cluster::{is_here, scheduler};
use crate::inquiry::{Inquiry, PAUSE};
use crate::job::{Job, Task};
use crate::launch::{NotStarted, Started, kill_session, start_task};
use crate::log::last_lines;
use crate::roster::{Life, Worker, bury, bury_here};
use crate::run_dir::RunDir;
use crate::stop::Stop;
use crate::submit::{cancel, submit};

/// Between two looks at the files of tasks that a scheduler started.
const LOOK: Duration = Duration::from_secs(1);

/// Tasks of a complete run end by themselves; so long is waited before their jobs are cancelled.
const FAREWELL: Duration = Duration::from_secs(2);

/// A task on another host that has left no word after so long has not started, or shares no
/// directory with this host. An NFS client may hold a new file back for a minute.
const ENTRY: Duration = Duration::from_secs(30);

/// A submission that may still do something.
pub(crate) enum UnderWay {
    /// Tasks that this process started: here, or by ssh.
    Here(Here),
    /// Jobs in a scheduler's hands.
    Queued(Queued),
}

/// A job whose tasks this process started; those that have ended are gone from the list.
pub(crate) struct Here {
    job: Box<Job>,
    started: Vec<Option<Started>>,
    /// Hosts that are lost or could not be reached, each with what ssh said; and how many of them
    /// have been told.
    lost: Vec<(String, String)>,
    told: usize,
}

/// Jobs in a scheduler's hands.
pub(crate) struct Queued {
    jobs: Vec<Job>,
    looked: Option<Instant>,
    asked: Instant,
    /// What the scheduler said last, and what of it is to be told.
    said: String,
    news: Vec<String>,
}

impl UnderWay {
    /// Submits to the job's cluster.
    ///
    /// # Errors
    /// [`NotStarted`] when a program cannot be started or the scheduler refuses.
    pub(crate) fn submit(run: &RunDir, job: &Job, detached: bool) -> Result<Self> {
        if !is_here(&job.cluster) {
            bury_here(run);
        }
        let Some(scheduler) = scheduler(&job.cluster) else {
            let job = Box::new(job.clone().register(run)?);
            let tasks = 0..job.tasks.len() as u32;
            let started = tasks.map(|task| start_task(run, &job, task, detached).map(Some));
            let started = started.collect::<Result<_>>()?;
            return Ok(Self::Here(Here { job, started, lost: Vec::new(), told: 0 }));
        };
        let (jobs, refused) = submit(scheduler, run, job)?;
        let mut queued = Self::queued(jobs);
        if let (Self::Queued(queued), Some(error)) = (&mut queued, refused) {
            queued.news.push(format!("the rest of the array was not taken: {error:#}"));
        }
        Ok(queued)
    }

    /// The jobs of an earlier submission to the same cluster that may still do something.
    pub(crate) fn join(run: &RunDir, cluster: &str) -> Result<Option<Self>> {
        if scheduler(cluster).is_none() {
            return Ok(None);
        }
        let inquiry = Inquiry::refresh(run)?;
        let mut jobs = open_jobs(run, &inquiry);
        jobs.retain(|job| job.cluster == cluster);
        Ok((!jobs.is_empty()).then(|| Self::queued(jobs)))
    }

    fn queued(jobs: Vec<Job>) -> Self {
        let (looked, asked) = (None, Instant::now());
        let (said, news) = (String::new(), Vec::new());
        Self::Queued(Queued { jobs, looked, asked, said, news })
    }

    /// Waits until the tasks that this process started, detached, can do without it.
    ///
    /// # Errors
    /// When no host could be reached.
    pub(crate) fn settle(&mut self, run: &RunDir) -> Result<()> {
        match self {
            Self::Here(here) => here.settle(run),
            Self::Queued(_) => Ok(()),
        }
    }

    /// What became of hosts, or what a scheduler says, since this was last asked: one line each.
    pub(crate) fn news(&mut self) -> Vec<String> {
        match self {
            Self::Here(here) => {
                let told = std::mem::replace(&mut here.told, here.lost.len());
                here.lost[told..].iter().map(tell).collect()
            }
            Self::Queued(queued) => std::mem::take(&mut queued.news),
        }
    }

    /// The hosts that were lost with it, as far as they are known by name.
    pub(crate) fn lost_hosts(&self) -> impl Iterator<Item = &str> {
        let lost = match self {
            Self::Here(here) => here.lost.as_slice(),
            Self::Queued(_) => &[],
        };
        lost.iter().map(|(host, _)| host.as_str())
    }

    /// What to tell of it: the jobs' ids.
    pub(crate) fn ids(&self, run: &RunDir) -> Vec<String> {
        match self {
            Self::Here(_) => Vec::new(),
            Self::Queued(queued) => queued.ids(run),
        }
    }

    /// Its tasks, each with its workers.
    pub(crate) fn tasks(&self) -> Vec<&Task> {
        match self {
            Self::Here(here) => here.job.tasks.iter().collect(),
            Self::Queued(queued) => queued.jobs.iter().flat_map(|job| &job.tasks).collect(),
        }
    }

    /// Whether nothing more comes of it.
    pub(crate) fn ended(&mut self, run: &RunDir) -> Result<bool> {
        match self {
            Self::Here(here) => here.ended(run),
            Self::Queued(queued) => queued.ended(run),
        }
    }

    /// Asks its workers to give back and end.
    pub(crate) fn stop(&mut self, run: &RunDir) -> Result<()> {
        match self {
            Self::Here(here) => {
                here.started.iter_mut().flatten().for_each(Started::stop);
                Ok(())
            }
            Self::Queued(queued) => {
                let cancelled = cancel(run, &queued.jobs);
                if cancelled.is_err() {
                    // Its workers can still be reached on the disk.
                    Stop::Cancelled.request(run)?;
                }
                cancelled
            }
        }
    }

    /// Whether it goes on when this process and the terminal are gone.
    pub(crate) fn outlives_us(&self) -> bool {
        matches!(self, Self::Queued(_))
    }

    /// Ends what this process started, without asking.
    pub(crate) fn kill(&self) {
        if let Self::Here(here) = self {
            here.started.iter().flatten().for_each(|task| kill_session(task.pid));
        }
    }

    /// The run is complete, or is to stop: what still waits in a queue need not come. Tasks that run end by
    /// themselves; `false`: those of this process have not yet.
    pub(crate) fn dismiss(&mut self, run: &RunDir) -> Result<bool> {
        let Self::Queued(queued) = self else { return Ok(false) };
        let since = Instant::now();
        while since.elapsed() < FAREWELL && !queued.jobs.iter().all(|job| job.is_over(run)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        // Jobs that the scheduler cannot be told to end find nothing left to do.
        let _ = cancel(run, &queued.jobs);
        Ok(true)
    }

    /// Waits for its end, but no longer than `most`.
    pub(crate) fn rest(&self, most: Duration) -> Result<()> {
        match self {
            Self::Here(here) if here.started.len() == 1 => match &here.started[0] {
                Some(task) => task.rest(most),
                None => Ok(()),
            },
            _ => {
                std::thread::sleep(most);
                Ok(())
            }
        }
    }
}

impl Here {
    fn settle(&mut self, run: &RunDir) -> Result<()> {
        for number in 0..self.started.len() {
            let Some(task) = &self.started[number] else { continue };
            match &self.job.tasks[number].host {
                None => task.wait_for_session()?,
                Some(_) => {
                    let went = task.wait()?.success() && has_entered(run, &self.job, number as u32);
                    if !went {
                        self.lose(run, number);
                    }
                }
            }
        }
        self.refuse_if_none_entered(run)
    }

    fn ended(&mut self, run: &RunDir) -> Result<bool> {
        for number in 0..self.started.len() {
            let Some(task) = &self.started[number] else { continue };
            let Some(status) = task.try_wait()? else { continue };
            self.started[number] = None;
            if !status.success() && self.job.tasks[number].host.is_some() {
                self.lose(run, number);
            }
        }
        let ended = self.started.iter().all(Option::is_none);
        if ended {
            self.refuse_if_none_entered(run)?;
        }
        Ok(ended)
    }

    /// The connection to a task's host ended, or there never was one.
    fn lose(&mut self, run: &RunDir, number: usize) {
        let Some(host) = &self.job.tasks[number].host else { return };
        let task = number as u32;
        let last = last_lines(&run.task_log(self.job.number, task), 1).pop();
        let last = last.unwrap_or_else(|| "ssh said nothing".to_owned());
        self.lost.push((host.clone(), last.clone()));
        bury(run, self.job.number, task, &format!("the connection to {host} ended: {last}"));
    }

    fn refuse_if_none_entered(&self, run: &RunDir) -> Result<()> {
        let hosts = self.job.tasks.iter().all(|task| task.host.is_some());
        if hosts
            && self.lost.len() == self.started.len()
            && run.noted_tasks(self.job.number).is_empty()
        {
            let hosts: Vec<String> = self.lost.iter().map(tell).collect();
            return Err(NotStarted::unreachable(&hosts).into());
        }
        Ok(())
    }
}

fn tell((host, why): &(String, String)) -> String {
    format!("{host}: {why}")
}

impl Queued {
    fn ids(&self, run: &RunDir) -> Vec<String> {
        let submitted = self.jobs.iter().filter_map(|job| job.submission(run));
        submitted.filter_map(|submitted| submitted.id).collect()
    }

    fn ended(&mut self, run: &RunDir) -> Result<bool> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Ok(false);
        }
        self.looked = Some(Instant::now());
        if self.jobs.iter().all(|job| job.is_over(run)) {
            return Ok(true);
        }
        if self.asked.elapsed() < PAUSE {
            return Ok(false);
        }
        self.asked = Instant::now();
        let inquiry = Inquiry::refresh(run)?;
        self.hear(run, &inquiry);
        let over = |job: &Job| job.is_over(run) || inquiry.over(run, job);
        let ours: BTreeSet<u32> = self.jobs.iter().map(|job| job.number).collect();
        let at_work =
            |worker: &Worker| ours.contains(&worker.job) && worker.life(run) == Life::Alive;
        Ok(self.jobs.iter().all(over) && !Worker::read_all(run).iter().any(at_work))
    }

    /// Tells what keeps the tasks, where none has started yet, or why the scheduler does not say.
    fn hear(&mut self, run: &RunDir, inquiry: &Inquiry) {
        let said = match &inquiry.error {
            Some(error) => format!("the scheduler cannot be asked: {error}"),
            None if self.jobs.iter().any(|job| !run.noted_tasks(job.number).is_empty()) => return,
            None => {
                let mut words: BTreeMap<String, u32> = BTreeMap::new();
                for job in &self.jobs {
                    for task in 0..job.tasks.len() as u32 {
                        let known = inquiry.of(job, task);
                        *words.entry(known.words().to_owned()).or_default() += 1;
                    }
                }
                let words: Vec<_> =
                    words.iter().map(|(words, n)| format!("{n} x {words}")).collect();
                format!("no task has started yet: {}", words.join(", "))
            }
        };
        if self.said != said {
            self.news.push(said.clone());
            self.said = said;
        }
    }
}

/// The jobs of a run that schedulers may still have.
fn open_jobs(run: &RunDir, inquiry: &Inquiry) -> Vec<Job> {
    let mut jobs = Job::read_all(run);
    jobs.retain(|job| {
        let taken = job.submission(run).is_some_and(|submitted| submitted.id.is_some());
        taken && !job.is_over(run) && !inquiry.over(run, job)
    });
    jobs
}

/// Whether some scheduler may still have jobs of a run.
pub(crate) fn has_open_jobs(run: &RunDir) -> bool {
    !open_jobs(run, &Inquiry::read(run)).is_empty()
}

/// Has all schedulers end what they may still have of a run.
///
/// # Errors
/// As [`cancel`].
pub(crate) fn cancel_all(run: &RunDir) -> Result<()> {
    cancel(run, &open_jobs(run, &Inquiry::read(run)))
}

/// Whether a task that was started on another host has left word of itself, which takes a moment.
fn has_entered(run: &RunDir, job: &Job, task: u32) -> bool {
    let since = Instant::now();
    loop {
        if run.noted_tasks(job.number).contains_key(&task) {
            return true;
        }
        if since.elapsed() > ENTRY {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
