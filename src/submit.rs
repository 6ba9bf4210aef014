//! Handing a job to a scheduler, and taking it back.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cluster::{Additions, Options, Order, Reply, Scheduler, Submission, scheduler};
use crate::identity::random_name;
use crate::job::{Job, Submitted, Task};
use crate::launch::{NotStarted, ask, ask_for_a_job};
use crate::run_dir::RunDir;

/// Hands a job over: as one, or as several where the scheduler's arrays are too small. Which of
/// them it took, and why not all.
///
/// # Errors
/// [`NotStarted`] when it took none.
pub(crate) fn submit(
    scheduler: &dyn Scheduler,
    run: &RunDir,
    job: &Job,
) -> Result<(Vec<Job>, Option<anyhow::Error>)> {
    let mut taken = Vec::new();
    for piece in in_pieces(scheduler, job, run.root()) {
        match hand_over(scheduler, run, piece) {
            Ok(job) => taken.push(job),
            // The run completes with what was taken; submission.json tells of the rest.
            Err(error) if taken.is_empty() => return Err(error),
            Err(error) => return Ok((taken, Some(error))),
        }
    }
    Ok((taken, None))
}

/// Jobs that schedulers took, by scheduler and by what their options add to commands about them: one
/// command for each place, as jobs in two namespaces are in two.
pub(crate) fn by_place<'a>(
    run: &RunDir,
    jobs: impl IntoIterator<Item = &'a Job>,
) -> BTreeMap<(&'static str, Additions), Vec<(String, &'a Job)>> {
    let mut places: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for job in jobs {
        if let Some(scheduler) = scheduler(&job.cluster)
            && let Some(id) = job.submission(run).and_then(|submitted| submitted.id)
        {
            let additions = scheduler.additions(&Options::read(scheduler, &job.options).0);
            places.entry((scheduler.name(), additions)).or_default().push((id, job));
        }
    }
    places
}

/// Has schedulers end jobs, queued or running.
///
/// # Errors
/// [`NotStarted`], with the words of the first that would not; the others are told all the same.
pub(crate) fn cancel(run: &RunDir, jobs: &[Job]) -> Result<()> {
    let open = jobs.iter().filter(|job| !job.is_over(run));
    let cancelled = by_place(run, open).into_iter().map(|((name, additions), jobs)| {
        scheduler(name).map_or(Ok(()), |it| cancel_in_one_place(it, run, additions, &jobs))
    });
    // All are called before the first error counts.
    cancelled.fold(Ok(()), Result::and)
}

fn cancel_in_one_place(
    scheduler: &dyn Scheduler,
    run: &RunDir,
    additions: Additions,
    jobs: &[(String, &Job)],
) -> Result<()> {
    let ids: Vec<String> = jobs.iter().map(|(id, _)| id.clone()).collect();
    let mut argv = scheduler.cancel(&ids);
    argv.extend(additions.cancel);
    let reply = ask(&argv, run.root())?;
    if reply.code != Some(0) && !reply.says(scheduler.already_gone()) {
        return Err(NotStarted::not_cancelled(&argv, &reply).into());
    }
    for (_, job) in jobs {
        if let Some(submitted) = job.submission(run) {
            job.note_submission(run, &Submitted { cancelled: true, ..submitted })?;
        }
    }
    Ok(())
}

/// The jobs that one becomes, at least one, each as large as the scheduler's arrays may be.
pub(crate) fn in_pieces(scheduler: &dyn Scheduler, job: &Job, dir: &Path) -> Vec<Job> {
    pieces(job, job.max_array_size.or_else(|| array_limit(scheduler, dir)))
}

/// How many tasks an array may have, where the scheduler says so.
fn array_limit(scheduler: &dyn Scheduler, dir: &Path) -> Option<u32> {
    let (argv, read) = scheduler.array_limit()?;
    let reply = ask(&argv, dir).ok()?;
    read(&reply.stdout).filter(|limit| *limit > 0)
}

/// The job cut into arrays of at most `limit` tasks.
pub(crate) fn pieces(job: &Job, limit: Option<u32>) -> Vec<Job> {
    let limit = limit.map_or(usize::MAX, |limit| limit as usize).max(1);
    let arrays = u32::try_from(job.tasks.len().div_ceil(limit)).unwrap_or(u32::MAX).max(1);
    // Each gets its share of what may run at a time.
    let max_running = job.max_running.map(|most| (most / arrays).max(1));
    let mut first_rank = job.first_rank;
    let piece = |tasks: &[Task]| {
        let unique = random_name();
        let piece = Job { tasks: tasks.to_vec(), first_rank, unique, max_running, ..job.clone() };
        first_rank += tasks.iter().map(|task| task.workers).sum::<u32>();
        piece
    };
    job.tasks.chunks(limit).map(piece).collect()
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
    let asked = ask_for_a_job(
        &argv,
        &run.logs(),
        stdin,
        scheduler.job_variables(),
        &run.reply_out(job.number),
    );
    let (reply, unasked) = match asked {
        Ok(reply) => (reply, None),
        Err(error) => {
            let stderr = format!("{error:#}");
            (Reply { code: None, stdout: String::new(), stderr }, Some(error))
        }
    };
    let id = (reply.code == Some(0)).then(|| scheduler.job_id(&reply.stdout)).flatten();
    let refused = unasked.unwrap_or_else(|| NotStarted::not_taken(&argv, &reply).into());
    let taken = id.is_some();
    let Reply { code, stdout, stderr } = reply;
    job.note_submission(run, &Submitted { id, argv, code, stdout, stderr, cancelled: false })?;
    if taken { Ok(job) } else { Err(refused) }
}

/// Puts the files of a submission in a folder.
pub(crate) fn write_files(submission: &Submission, folder: &Path) -> Result<()> {
    for (name, text) in &submission.files {
        let path = folder.join(name);
        let written = std::fs::write(&path, text).and_then(|()| {
            // Some schedulers run the file as it is.
            let mode = if name.ends_with(".sh") { 0o755 } else { 0o644 };
            std::fs::set_permissions(&path, Permissions::from_mode(mode))
        });
        written.with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn jobs_in_two_namespaces_are_in_two_places() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunDir::new(folder.path());
        std::fs::create_dir(run.jobs()).expect("makes the folder");
        let taken = |cluster: &str, namespace: &str, id: &str| {
            let job = json!({
                "number": 0, "cluster": cluster, "n_workers": 1, "first_rank": 0,
                "tasks": [{"workers": 1}], "threads_per_worker": 1, "unique": id,
                "options": {"image": "i", "namespace": namespace}, "max_running": null,
                "max_array_size": null, "batch_size": 1, "on_item_error": "skip",
                "max_failed_items": null, "recipe_dir": "/r", "submitted": "", "host": "h",
                "argv": ["espnet3-par"],
            });
            let job: Job = serde_json::from_value(job).expect("a job");
            let job = job.register(&run).expect("registers");
            let submitted = json!({
                "id": id, "argv": [], "code": 0, "stdout": "", "stderr": "",
            });
            let submitted = serde_json::from_value(submitted).expect("a submission");
            job.note_submission(&run, &submitted).expect("notes");
            job
        };
        let jobs = [
            taken("kube", "one", "a"),
            taken("kube", "two", "b"),
            taken("kube", "one", "c"),
            taken("slurm", "one", "7"),
        ];
        let places = by_place(&run, &jobs);
        let places: Vec<_> = places
            .iter()
            .map(|((name, additions), jobs)| {
                let ids = jobs.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>();
                (*name, additions.cancel.join(" "), ids)
            })
            .collect();
        let of = |name, words: &str, ids: &[&'static str]| (name, words.to_owned(), ids.to_vec());
        assert_eq!(
            places,
            [
                of("kube", "-n one", &["a", "c"]),
                of("kube", "-n two", &["b"]),
                of("slurm", "", &["7"])
            ]
        );
    }
}
