//! Submissions: a job handed to a scheduler, or its tasks started one by one, and what is under way.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cluster::{Additions, Options, Order, Reply, Scheduler, Submission, scheduler};
use crate::identity::random_name;
use crate::inquiry::{Inquiry, PAUSE};
use crate::job::{Job, Submitted, Task};
use crate::launch::{NotStarted, Started, ask, kill_session, start_task};
use crate::roster::{Life, Worker, bury};
use crate::run_dir::RunDir;

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
    Here { job: Job, started: Vec<Option<Started>> },
    /// Jobs in a scheduler's hands.
    Queued(Queued),
}

/// Jobs in a scheduler's hands.
pub(crate) struct Queued {
    scheduler: &'static dyn Scheduler,
    jobs: Vec<Job>,
    looked: Option<Instant>,
    asked: Instant,
}

impl UnderWay {
    /// Submits: as one job, or as several where the scheduler's arrays are too small.
    ///
    /// # Errors
    /// [`NotStarted`] when a program cannot be started or the scheduler refuses.
    pub(crate) fn submit(run: &RunDir, job: &Job, detached: bool) -> Result<Self> {
        let Some(scheduler) = scheduler(&job.cluster) else {
            let job = job.clone().register(run)?;
            let tasks = 0..job.tasks.len() as u32;
            let started = tasks.map(|task| start_task(run, &job, task, detached).map(Some));
            let started = started.collect::<Result<_>>()?;
            return Ok(Self::Here { job, started });
        };
        let limit = job.max_array_size.or_else(|| array_limit(scheduler, run));
        let jobs = pieces(job, limit).into_iter().map(|job| hand_over(scheduler, run, job));
        Ok(Self::queued(scheduler, jobs.collect::<Result<_>>()?))
    }

    /// The jobs of an earlier submission to the same cluster that may still do something.
    pub(crate) fn join(run: &RunDir, cluster: &str) -> Result<Option<Self>> {
        let Some(scheduler) = scheduler(cluster) else { return Ok(None) };
        let inquiry = Inquiry::refresh(run)?;
        let mut jobs = Job::read_all(run);
        jobs.retain(|job| {
            let taken = job.submission(run).is_some_and(|submitted| submitted.id.is_some());
            job.cluster == cluster && taken && !job.is_over(run) && !inquiry.over(run, job)
        });
        Ok((!jobs.is_empty()).then(|| Self::queued(scheduler, jobs)))
    }

    fn queued(scheduler: &'static dyn Scheduler, jobs: Vec<Job>) -> Self {
        Self::Queued(Queued { scheduler, jobs, looked: None, asked: Instant::now() })
    }

    /// Waits until the tasks that this process started, detached, can do without it; which hosts
    /// could not be reached, with the reason.
    ///
    /// # Errors
    /// When none could.
    pub(crate) fn settle(&mut self, run: &RunDir) -> Result<Vec<String>> {
        let Self::Here { job, started } = self else { return Ok(Vec::new()) };
        let mut unreachable = Vec::new();
        for (number, (task, started)) in job.tasks.iter().zip(started.iter().flatten()).enumerate()
        {
            let Some(host) = &task.host else {
                started.wait_for_session()?;
                continue;
            };
            if !(started.wait()?.success() && has_entered(run, job, number as u32)) {
                let log = std::fs::read_to_string(run.task_log(job.number, number as u32));
                let log = log.unwrap_or_default();
                let last = log.lines().next_back().unwrap_or("ssh failed").trim();
                unreachable.push(format!("{host}: {last}"));
            }
        }
        if !unreachable.is_empty() && unreachable.len() == job.tasks.len() {
            return Err(NotStarted::unreachable(&unreachable).into());
        }
        Ok(unreachable)
    }

    /// What to tell of it: the jobs' ids.
    pub(crate) fn ids(&self, run: &RunDir) -> Vec<String> {
        match self {
            Self::Here { .. } => Vec::new(),
            Self::Queued(queued) => queued.ids(run),
        }
    }

    /// Whether nothing more comes of it.
    pub(crate) fn ended(&mut self, run: &RunDir) -> Result<bool> {
        match self {
            Self::Here { job, started } => {
                for (number, slot) in started.iter_mut().enumerate() {
                    let Some(task) = slot else { continue };
                    let Some(status) = task.try_wait()? else { continue };
                    *slot = None;
                    if let Some(host) = &job.tasks[number].host
                        && !status.success()
                    {
                        let why = format!("the connection to {host} ended");
                        bury(run, job.number, number as u32, &why);
                    }
                }
                Ok(started.iter().all(Option::is_none))
            }
            Self::Queued(queued) => queued.ended(run),
        }
    }

    /// Asks its workers to give back and end.
    pub(crate) fn stop(&mut self, run: &RunDir) -> Result<()> {
        match self {
            Self::Here { started, .. } => {
                started.iter_mut().flatten().for_each(Started::stop);
                Ok(())
            }
            Self::Queued(queued) => queued.cancel(run),
        }
    }

    /// Ends what this process started, without asking.
    pub(crate) fn kill(&self) {
        if let Self::Here { started, .. } = self {
            started.iter().flatten().for_each(|task| kill_session(task.pid));
        }
    }

    /// The run is complete: what still waits in a queue need not come. Tasks that run end by
    /// themselves; `false`: those of this process have not yet.
    pub(crate) fn dismiss(&mut self, run: &RunDir) -> Result<bool> {
        let Self::Queued(queued) = self else { return Ok(false) };
        let since = Instant::now();
        while since.elapsed() < FAREWELL && !queued.jobs.iter().all(|job| job.is_over(run)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        // Jobs that the scheduler cannot be told to end find nothing left to do.
        let _ = queued.cancel(run);
        Ok(true)
    }

    /// Waits for its end, but no longer than `most`.
    pub(crate) fn rest(&self, most: Duration) -> Result<()> {
        match self {
            Self::Here { started, .. } if started.len() == 1 => match &started[0] {
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
        let over = |job: &Job| job.is_over(run) || inquiry.over(run, job);
        let ours: BTreeSet<u32> = self.jobs.iter().map(|job| job.number).collect();
        let at_work =
            |worker: &Worker| ours.contains(&worker.job) && worker.life(run) == Life::Alive;
        Ok(self.jobs.iter().all(over) && !Worker::read_all(run).iter().any(at_work))
    }

    fn cancel(&self, run: &RunDir) -> Result<()> {
        cancel(self.scheduler, run, &self.jobs)
    }
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

/// Has a scheduler end jobs, queued or running.
///
/// # Errors
/// [`NotStarted`], with the scheduler's words.
pub(crate) fn cancel(scheduler: &dyn Scheduler, run: &RunDir, jobs: &[Job]) -> Result<()> {
    let mut open: Vec<(&Job, Submitted, String)> = Vec::new();
    for job in jobs.iter().filter(|job| !job.is_over(run)) {
        if let Some(submitted) = job.submission(run)
            && let Some(id) = submitted.id.clone()
        {
            open.push((job, submitted, id));
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = open.iter().map(|(_, _, id)| id.clone()).collect();
    let mut argv = scheduler.cancel(&ids);
    argv.extend(additions(scheduler, open[0].0).cancel);
    let reply = ask(&argv, run.root(), None, &[])?;
    if !reply.ended_jobs() {
        return Err(NotStarted::refused("cancel", &argv, &reply).into());
    }
    for (job, submitted, _) in open {
        job.note_submission(run, &Submitted { cancelled: true, ..submitted })?;
    }
    Ok(())
}

/// What the options of a job add to commands about it.
fn additions(scheduler: &dyn Scheduler, job: &Job) -> Additions {
    scheduler.additions(&Options::read(scheduler, &job.options).0)
}

/// How many tasks an array may have, where the scheduler says so.
fn array_limit(scheduler: &dyn Scheduler, run: &RunDir) -> Option<u32> {
    let (argv, read) = scheduler.array_limit()?;
    let reply = ask(&argv, run.root(), None, &[]).ok()?;
    read(&reply.stdout).filter(|limit| *limit > 0)
}

/// The job cut into arrays of at most `limit` tasks.
fn pieces(job: &Job, limit: Option<u32>) -> Vec<Job> {
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let mut first_rank = job.first_rank;
    let piece = |tasks: &[Task]| {
        let unique = random_name();
        let piece = Job { tasks: tasks.to_vec(), first_rank, unique, ..job.clone() };
        first_rank += tasks.iter().map(|task| task.workers).sum::<u32>();
        piece
    };
    job.tasks.chunks(limit.max(1)).map(piece).collect()
}

/// What a scheduler would be given for a job that has its number.
///
/// # Errors
/// Paths that are not UTF-8.
pub(crate) fn render(
    scheduler: &dyn Scheduler,
    run: &RunDir,
    job: &Job,
    stage: &str,
) -> Result<Submission> {
    let (mut options, _) = Options::read(scheduler, &job.options);
    let recipe_dir = job.recipe_dir.to_str().context("the working directory is not UTF-8")?;
    if let Some(folder) = &mut options.log_directory {
        *folder = format!("{}", job.recipe_dir.join(&folder).display());
    }
    let submit_dir = std::path::absolute(run.logs())?;
    let name = options.job_name.clone().unwrap_or_else(|| format!("espnet3-{stage}"));
    Ok(scheduler.submission(&Order {
        name: &plain(&name),
        tasks: job.tasks.len() as u32,
        max_running: job.max_running,
        options: &options,
        recipe_dir,
        command: &job.argv,
        threads_per_worker: job.threads_per_worker,
        folder: &RunDir::job_from_logs(job.number),
        log: &RunDir::task_log_stem(job.number),
        submit_dir: submit_dir.to_str().context("the run directory is not UTF-8")?,
        unique: &job.unique,
    }))
}

/// A job's name as every scheduler takes it.
fn plain(name: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name: String = name.chars().map(|c| if word(c) { c } else { '_' }).take(200).collect();
    match name.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => name,
        _ => format!("j{name}"),
    }
}

/// Writes the job's files and hands it to the scheduler.
fn hand_over(scheduler: &dyn Scheduler, run: &RunDir, job: Job) -> Result<Job> {
    let stage = crate::spec::Spec::read(run)?.fingerprint.stage;
    let job = job.register(run)?;
    let submission = render(scheduler, run, &job, &stage)?;
    write_files(&submission, &run.job(job.number))?;
    if let Some(folder) = job.options.get("log_directory").and_then(Value::as_str) {
        // As dask-jobqueue does: some schedulers hold a job whose log cannot be written.
        let folder = job.recipe_dir.join(folder);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
    }
    let (argv, stdin) = (submission.argv, submission.stdin.as_deref());
    let reply = ask(&argv, &run.logs(), stdin, scheduler.job_variables())?;
    let id = (reply.code == Some(0)).then(|| scheduler.job_id(&reply.stdout)).flatten();
    let refused = NotStarted::refused("submit", &argv, &reply);
    let taken = id.is_some();
    let Reply { code, stdout, stderr } = reply;
    job.note_submission(run, &Submitted { id, argv, code, stdout, stderr, cancelled: false })?;
    if taken { Ok(job) } else { Err(refused.into()) }
}

/// Puts the files of a submission in a folder.
pub(crate) fn write_files(submission: &Submission, folder: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for (name, text) in &submission.files {
        let path = folder.join(name);
        let written = std::fs::write(&path, text).and_then(|()| {
            // Some schedulers run the file as it is.
            let mode = if name.ends_with(".sh") { 0o755 } else { 0o644 };
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
        });
        written.with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}
