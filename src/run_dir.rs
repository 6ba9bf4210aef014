//! The run directory: the only module that spells its file names.
//!
//! A shard is a folder and the folder's name is its state (`docs/run_directory.md`):
//! `split.7.todo` is nobody's yet, `split.7.2.w0c41` is attempt 2 by worker w0c41, `split.7` is done.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::atomic_file::{is_scratch, scratch};
pub(crate) use crate::shard_name::{ShardName, ShardState};

/// In a shard's folder: the records, one JSON object a line, each with its `idx`.
pub(crate) const RESULTS: &str = "results.jsonl";
/// In a shard's folder, where items failed: one JSON object a failed item.
pub(crate) const ERRORS: &str = "errors.jsonl";
/// In the folder of a shard under way: the item that is being tried, for finding poison items.
pub(crate) const TRYING: &str = "trying.json";
/// In the folder of a shard under way that had records before: how many, for telling its rate.
pub(crate) const FOUND: &str = "found.json";
/// In the folder of a shard under way: how far each shared file belongs to which record.
pub(crate) const EXTENTS: &str = "extents.jsonl";

/// Whether a shard has a file of this name for itself.
pub(crate) fn is_ours(name: &str) -> bool {
    [RESULTS, ERRORS, EXTENTS, FOUND, TRYING].contains(&name)
}

const PARTS: &str = "parts";
/// What the names of couriers' folders begin with; the worker's random digits follow, so that they
/// are scratch.
const FETCHED: &str = ".fetched.";

/// One run of one stage on disk: `output_dir`.
#[derive(Debug, Clone)]
pub(crate) struct RunDir {
    root: PathBuf,
}

impl RunDir {
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory itself, told apart from a copy of it, on whatever host: its inode number.
    pub(crate) fn id(&self) -> u64 {
        std::fs::metadata(&self.root).map_or(0, |root| root.ino())
    }

    /// What is to be done; there is a run where this file is.
    pub(crate) fn spec(&self) -> PathBuf {
        self.root.join("spec.json")
    }

    pub(crate) fn exists(&self) -> bool {
        std::fs::symlink_metadata(self.spec()).is_ok()
    }

    /// What must be the user's own before anything is done at its word.
    pub(crate) fn own_paths(&self) -> Vec<PathBuf> {
        let folders = [self.shards(), self.workers(), self.jobs(), self.logs(), self.parts()];
        let jobs = (1..).take_while(|job| std::fs::symlink_metadata(self.job(*job)).is_ok());
        let jobs = jobs.flat_map(|job| [self.job(job), self.job_json(job)]);
        [self.spec(), self.stop()].into_iter().chain(folders).chain(jobs).collect()
    }

    pub(crate) fn shards(&self) -> PathBuf {
        self.root.join("shards")
    }

    pub(crate) fn shard(&self, shard: usize, state: ShardState) -> PathBuf {
        self.shards().join(ShardName { shard, state }.to_string())
    }

    /// Where a shard's files will be once it is done, relative to the run directory: what records
    /// say of files names this place.
    pub(crate) fn committed_file(shard: usize, file: &str) -> String {
        format!("shards/{}/{file}", ShardName { shard, state: ShardState::Done })
    }

    /// What a record says of a file, as a path that can be opened from here.
    pub(crate) fn open_path(&self, field: &str) -> Option<String> {
        field.starts_with("shards/split.").then(|| self.root.join(field).display().to_string())
    }

    pub(crate) fn workers(&self) -> PathBuf {
        self.root.join("workers")
    }

    pub(crate) fn worker(&self, worker: &str) -> PathBuf {
        self.workers().join(format!("{worker}.json"))
    }

    /// Touched by whoever wants to know what time the file server thinks it is.
    pub(crate) fn clock(&self) -> PathBuf {
        self.workers().join(".clock")
    }

    pub(crate) fn jobs(&self) -> PathBuf {
        self.root.join("jobs")
    }

    /// One folder per submission, numbered from 1.
    pub(crate) fn job(&self, number: u32) -> PathBuf {
        self.jobs().join(format!("{number:03}"))
    }

    pub(crate) fn job_json(&self, number: u32) -> PathBuf {
        self.job(number).join("job.json")
    }

    /// The process of one of the job's tasks, while it runs.
    pub(crate) fn task_json(&self, number: u32, task: u32) -> PathBuf {
        self.job(number).join(format!("task.{task}.json"))
    }

    /// The same when it has ended.
    pub(crate) fn ended_task_json(&self, number: u32, task: u32) -> PathBuf {
        self.job(number).join(format!("task.{task}.ended.json"))
    }

    /// The tasks that have such files, and whether they have ended. One directory listing.
    pub(crate) fn noted_tasks(&self, number: u32) -> BTreeMap<u32, bool> {
        let mut tasks = BTreeMap::new();
        for name in names(&self.job(number), ".json").unwrap_or_default() {
            let Some(name) = name.strip_prefix("task.") else { continue };
            let (task, ended) = match name.strip_suffix(".ended") {
                Some(task) => (task, true),
                None => (name, false),
            };
            if let Ok(task) = task.parse() {
                // A task that is requeued runs again after it has ended.
                tasks.entry(task).and_modify(|known| *known &= ended).or_insert(ended);
            }
        }
        tasks
    }

    /// What a scheduler answered when it was handed the job.
    pub(crate) fn submission_json(&self, number: u32) -> PathBuf {
        self.job(number).join("submission.json")
    }

    /// What the command that submits the job prints, as it does.
    pub(crate) fn reply_out(&self, number: u32) -> PathBuf {
        self.job(number).join("reply.out")
    }

    /// The last answer of the scheduler to how the jobs are: a memory, to ask rarely.
    pub(crate) fn inquiry_json(&self) -> PathBuf {
        self.jobs().join("inquiry.json")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The log of a worker, or of a task ([`task_log`](Self::task_log)).
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    pub(crate) fn task_log(&self, job: u32, task: u32) -> PathBuf {
        self.log(&format!("{}.{task}", Self::task_log_stem(job)))
    }

    /// What the names of its tasks' logs begin with.
    pub(crate) fn task_log_stem(job: u32) -> String {
        format!("job.{job:03}")
    }

    /// A job's folder, as seen from the logs' folder.
    pub(crate) fn job_from_logs(job: u32) -> String {
        format!("../jobs/{job:03}")
    }

    /// Everybody who works or worked here, by name.
    pub(crate) fn worker_names(&self) -> io::Result<Vec<String>> {
        names(&self.workers(), ".json")
    }

    /// The names of all logs, as [`log`](Self::log) takes them.
    pub(crate) fn log_names(&self) -> io::Result<Vec<String>> {
        names(&self.logs(), ".log")
    }

    /// The files among the logs that schedulers named.
    pub(crate) fn other_logs(&self) -> io::Result<Vec<PathBuf>> {
        let files = std::fs::read_dir(self.logs())?.flatten().map(|entry| entry.path());
        let other = files.filter(|path| path.extension().is_none_or(|ending| ending != "log"));
        let mut other: Vec<PathBuf> = other.filter(|path| path.is_file()).collect();
        other.sort();
        Ok(other)
    }

    /// Asks all workers to give back and end: an item error under `on_item_error: stop`, too many
    /// failed items, or `cancel`.
    pub(crate) fn stop(&self) -> PathBuf {
        self.root.join("stop.json")
    }

    /// In the run directory on a host that gets its shards by courier: while it is there, and was
    /// touched not long ago, more may come.
    pub(crate) fn more(&self) -> PathBuf {
        self.root.join("more")
    }

    /// There, too: shards that are not whole yet.
    pub(crate) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// Where a courier puts what comes from its host, before it is looked through.
    pub(crate) fn fetched(&self, worker: &str) -> PathBuf {
        self.root.join(format!("{FETCHED}{}", worker.trim_start_matches('w')))
    }

    /// The couriers, by name, whose such folders are there.
    pub(crate) fn fetchers(&self) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(&self.root)?.flatten().map(|entry| entry.file_name());
        let random =
            names.filter_map(|name| Some(name.to_str()?.strip_prefix(FETCHED)?.to_owned()));
        Ok(random.map(|random| format!("w{random}")).collect())
    }

    /// What writer hooks of Python runners write, from one opening of the writers to their closing.
    pub(crate) fn parts(&self) -> PathBuf {
        self.root.join(PARTS)
    }

    /// The name of a worker's part that begins with item `first`, from the run directory on. Like
    /// ESPnet3's folders of shards it ends in a number, by which runners sort them.
    pub(crate) fn part(worker: &str, nth: u32, first: u64) -> String {
        format!("{PARTS}/{worker}.{nth}/split.{first}")
    }

    /// Whether a record's field names a part, and is not a field of the user's.
    pub(crate) fn is_part(name: &str) -> bool {
        let worker = name.strip_prefix(PARTS).and_then(|rest| rest.strip_prefix("/w"));
        worker.is_some_and(|rest| rest.contains("/split."))
    }

    /// Whether a run has a file or a folder of this name for itself.
    pub(crate) fn has(name: &str) -> bool {
        let run = Self::new("");
        let folders = [run.shards(), run.workers(), run.jobs(), run.logs(), run.parts()];
        let files = [run.spec(), run.stop(), run.more(), run.incoming(), run.merged()];
        let collected = [run.results(), run.errors()];
        let mut all = folders.iter().chain(&files).chain(&collected);
        all.any(|path| path.as_os_str() == name)
    }

    /// What a runner's `merge` returned.
    pub(crate) fn merged(&self) -> PathBuf {
        self.root.join("merged.json")
    }

    /// Written by collect.
    pub(crate) fn results(&self) -> PathBuf {
        self.root.join(RESULTS)
    }

    /// Written by collect where items failed.
    pub(crate) fn errors(&self) -> PathBuf {
        self.root.join(ERRORS)
    }

    /// Removes what a run put here, and nothing else that may be here. The shards go first and at
    /// once: what is left after a crash is a run with nothing done.
    pub(crate) fn clear(&self) -> io::Result<()> {
        let shards = self.shards();
        let scratch = scratch(&shards);
        match std::fs::rename(&shards, &scratch) {
            Ok(()) => remove(&scratch)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let folders = [self.workers(), self.jobs(), self.logs(), self.parts()];
        let files = [self.results(), self.errors(), self.merged(), self.stop(), self.spec()];
        for path in folders.iter().chain(&files) {
            remove(path)?;
        }
        // What killed processes were writing here.
        for entry in std::fs::read_dir(&self.root)?.flatten() {
            if entry.file_name().to_str().is_some_and(is_scratch) {
                let _ = remove(&entry.path());
            }
        }
        Ok(())
    }

    /// Finds out whether anything can be written here.
    pub(crate) fn try_writing(&self) -> io::Result<()> {
        const A_LITTLE: usize = 1 << 14;
        let scratch = scratch(&self.spec());
        // Over NFS a quota may be told of only then.
        let written = std::fs::File::create(&scratch)
            .and_then(|mut file| file.write_all(&[0; A_LITTLE]).and_then(|()| file.sync_data()));
        // Where no file can be made there is none to remove: why not is the news.
        written.and(gone(std::fs::remove_file(&scratch)))
    }

    /// Has a file server's client ask again which shards there are, and not tell what it remembers: it
    /// has to, of a folder that it changes itself.
    pub(crate) fn refresh_listing(&self) -> io::Result<()> {
        let scratch = scratch(&self.shards().join("look"));
        std::fs::create_dir(&scratch)?;
        std::fs::remove_dir(&scratch)
    }

    /// Where collect puts one field of the records, or with `partial` those of an incomplete run.
    pub(crate) fn collected(&self, field: Option<&str>, partial: bool) -> PathBuf {
        self.root.join(match (field, partial) {
            (Some(field), false) => format!("{field}.scp"),
            (Some(field), true) => format!("{field}.partial.scp"),
            (None, false) => RESULTS.to_owned(),
            (None, true) => "results.partial.jsonl".to_owned(),
        })
    }

    /// All shards by their folders' names, in shard order. One directory listing.
    ///
    /// A folder that is renamed while the listing runs may be told twice or not at all: callers
    /// that must be sure look again.
    pub(crate) fn list_shards(&self) -> io::Result<Vec<ShardName>> {
        let mut shards = Vec::new();
        let entries = match std::fs::read_dir(self.shards()) {
            // A driver was killed between spec.json and shards/: nothing is done.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.exists() => {
                return Ok(shards);
            }
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().and_then(ShardName::parse) else {
                continue;
            };
            // What it is may be unknown, or the name gone meanwhile.
            if entry.file_type().is_ok_and(|kind| !kind.is_dir()) {
                let message = format!("{} is no folder", entry.path().display());
                return Err(io::Error::other(message));
            }
            shards.push(name);
        }
        shards.sort_unstable_by_key(|name| name.shard);
        Ok(shards)
    }
}

/// What the files of a folder are called before `ending`, sorted; hidden ones are not ours.
fn names(folder: &Path, ending: &str) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = std::fs::read_dir(folder)?
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(ending)?.to_owned()))
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    Ok(names)
}

/// Removes a file, or a folder with what it holds, whichever it is; of a link the link only.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => gone(std::fs::remove_dir_all(path)),
        _ => gone(std::fs::remove_file(path)),
    }
}

/// What is gone need not be removed.
pub(crate) fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
