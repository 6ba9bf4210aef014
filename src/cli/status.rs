//! `status`: how far one run is, or every run under a folder.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::fail::{Exit, Fail, quoted, say, shown};
use crate::inquiry::Inquiry;
use crate::refused::Refused;
use crate::roster::Life;
use crate::run_dir::{RunDir, ShardState};
use crate::status::{ShardStanding, State, Status as RunStatus, UnfinishedShard};
use crate::trust;

/// Folders below the one that was named in which runs are looked for.
const DEPTH: usize = 6;

/// Say how far a run is, or every run under a folder.
///
/// The exit code is 0 when all items are done, 1 when some failed, 3 when the run is not complete.
/// `status --watch` waits for a detached run.
#[derive(Args)]
pub(super) struct Status {
    /// A run directory, or a folder with runs somewhere below it.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Print JSON: an array with one object per run, each with its schema's `version`.
    #[arg(long)]
    json: bool,
    /// Look again every second until nothing runs any more.
    #[arg(long, conflicts_with = "json")]
    watch: bool,
}

impl Status {
    pub(super) fn answer(self) -> Result<Exit, Fail> {
        let runs = find_runs(&self.path)?;
        loop {
            let mut statuses = Vec::new();
            let mut damaged = Exit::Done;
            for run in &runs {
                // Who may only read the directory, or should, is told what was known when somebody asked
                // last.
                if trust::check(run).is_ok() {
                    let _ = Inquiry::refresh(run);
                }
                match RunStatus::of(run) {
                    Ok(status) => statuses.push(status),
                    Err(error) => damaged = Fail::from(error).print(),
                }
            }
            if self.json {
                say(serde_json::to_string_pretty(&statuses).map_err(anyhow::Error::from)?)?;
            } else {
                let clear = if self.watch && std::io::stdout().is_terminal() {
                    "\x1b[2J\x1b[H"
                } else {
                    ""
                };
                let text = describe(&statuses);
                write!(std::io::stdout(), "{clear}{}", shown(&text))?;
            }
            let running =
                |status: &RunStatus| matches!(status.state, State::Running | State::Queued);
            let running = statuses.iter().any(running);
            if !(self.watch && running) {
                let exits = statuses.iter().map(exit).chain([damaged]);
                return Ok(exits.max_by_key(|exit| *exit as u8).unwrap_or(Exit::Done));
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

/// The run at `path`, or those below it.
pub(super) fn find_runs(path: &Path) -> Result<Vec<RunDir>, Fail> {
    let run = RunDir::new(path);
    if run.exists() {
        return Ok(vec![run]);
    }
    let mut runs = Vec::new();
    search(path, DEPTH, &mut runs);
    runs.sort_by(|a: &RunDir, b| a.root().cmp(b.root()));
    if runs.is_empty() {
        let what = if path.exists() { "there is no run in" } else { "there is no folder" };
        return Err(Refused::new(
            format!("{what} {}", path.display()),
            "name the `output_dir` of a config, or a folder above it",
        )
        .into());
    }
    Ok(runs)
}

/// The one run at `path`, or below it.
pub(super) fn find_run(path: &Path) -> Result<RunDir, Fail> {
    let mut runs = find_runs(path)?;
    if runs.len() > 1 {
        let names: Vec<_> = runs.iter().map(|run| run.root().display().to_string()).collect();
        let message = format!("there is more than one run in {}", path.display());
        return Err(Refused::new(message, format!("name one of {}", names.join(", "))).into());
    }
    Ok(runs.remove(0))
}

fn search(folder: &Path, depth: usize, runs: &mut Vec<RunDir>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if depth == 0 || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let run = RunDir::new(entry.path());
        if run.exists() {
            runs.push(run);
        } else {
            search(&entry.path(), depth - 1, runs);
        }
    }
}

/// The exit code that tells a script how a run stands.
pub(super) fn exit(status: &RunStatus) -> Exit {
    match status.state {
        State::Done => Exit::Done,
        State::SomeFailed => Exit::SomeFailed,
        State::Running | State::Queued | State::Stopped | State::Incomplete => Exit::Incomplete,
    }
}

/// Runs in a few lines each, in columns.
fn describe(statuses: &[RunStatus]) -> String {
    let width = |column: fn(&RunStatus) -> &str| {
        statuses.iter().map(|status| column(status).len()).max().unwrap_or(0)
    };
    let (path, stage) = (width(|status| &status.output_dir), width(|status| &status.stage));
    let mut text = String::new();
    for status in statuses {
        let standing = standing(status);
        text += &format!("{:path$}  {:stage$}  {standing}\n", status.output_dir, status.stage);
        if matches!(status.state, State::Running | State::Queued) {
            text += &queue(status);
        }
        for shard in &status.unfinished {
            text += &unfinished(status, shard);
        }
        for trouble in troubles(status) {
            text += &format!("  {trouble}\n");
        }
    }
    text
}

fn unfinished(status: &RunStatus, shard: &UnfinishedShard) -> String {
    let state = match shard.state {
        ShardStanding::Running => "running",
        ShardStanding::Lost => "lost: the next worker goes on with it",
        ShardStanding::Failed => "its worker failed; the next one goes on with it",
        ShardStanding::Unknown => "unknown",
        // So many at a time that they are counted instead.
        ShardStanding::Waiting => return String::new(),
    };
    let worker = shard.worker.as_deref().unwrap_or("?");
    let place = status
        .workers
        .iter()
        .find(|other| other.worker == worker)
        .map_or_else(|| "?".to_owned(), |worker| format!("{} pid {}", worker.host, worker.pid));
    let job = status.jobs.iter().find(|job| Some(job.number) == shard.job);
    let job = job
        .and_then(|job| job.id.as_deref())
        .map_or_else(String::new, |id| format!(", job {id} task {}", shard.task.unwrap_or(0)));
    let rate = shard.rate.map_or_else(String::new, |rate| format!(", {rate:.1}/s"));
    let seen = shard.seen.map_or_else(String::new, |seen| format!(", seen {seen} s ago"));
    let mut text = format!(
        "  shard {:<5} {:>5} of {} items  attempt {}  {worker} on {place}{job}  {state}{rate}{seen}\n",
        shard.shard,
        shard.items.unwrap_or(0),
        shard.total,
        shard.attempt.unwrap_or(0),
    );
    for line in &shard.log {
        text += &format!("    | {line}\n");
    }
    text
}

/// What is known of the jobs that a scheduler has.
fn queue(status: &RunStatus) -> String {
    let mut text = String::new();
    for job in status.jobs.iter().filter(|job| job.id.is_some() && job.ended < job.tasks) {
        let counts = [
            (job.queued, "queued"),
            (job.running, "running"),
            (job.ended, "ended"),
            (job.unknown, "not known yet"),
        ];
        let counts: Vec<String> =
            counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        let id = job.id.as_deref().unwrap_or("?");
        let tasks = count(job.tasks, "task");
        text += &format!("  {} job {id}: {tasks}, {}\n", job.cluster, counts.join(", "));
        for (words, tasks) in &job.words {
            text += &format!("    {tasks} x {words}\n");
        }
    }
    if let Some(error) = &status.scheduler_error {
        text += &format!("  the scheduler cannot be asked: {error}\n");
    }
    text
}

/// Why a run is not complete, as far as workers said or their parents saw.
pub(super) fn troubles(status: &RunStatus) -> Vec<String> {
    let stop = status.stop.as_ref().map(|stop| format!("stopped: {stop}"));
    let troubles = status.troubles().into_iter();
    let missing = status.missing_shards.iter().map(|shard| {
        let folder = RunDir::new(&status.output_dir).shard(*shard, ShardState::Todo);
        format!("shard {shard} is gone; `mkdir {}` puts it back, empty", quoted(&folder))
    });
    let refused = status.jobs.iter().filter_map(|job| {
        let words = job.refused.as_ref()?;
        Some(format!("{} did not take job {}: {words}", job.cluster, job.number))
    });
    // While somebody works, a folder that is not seen is being renamed.
    let missing = missing.filter(|_| status.state != State::Running);
    stop.into_iter()
        .chain(missing)
        .chain(refused)
        .chain(troubles.map(|(trouble, many)| format!("{}: {trouble}", count(many, "worker"))))
        .collect()
}

/// So many of something, in English.
pub(super) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// How a run stands, in a few words.
pub(super) fn standing(status: &RunStatus) -> String {
    let items = &status.items;
    let mut text = match status.state {
        State::Done | State::SomeFailed => "done",
        State::Running => "running",
        State::Queued => "queued",
        State::Stopped => "stopped",
        State::Incomplete => "incomplete",
    }
    .to_owned();
    text += &format!(", {} of {} items", items.done, items.total);
    if items.failed > 0 {
        text += &format!(", {} failed", items.failed);
    }
    if matches!(status.state, State::Done | State::SomeFailed) && !status.collected {
        text += ", not collected";
    }
    if matches!(status.state, State::Running | State::Queued) && status.shards.todo > 0 {
        let shards = count(status.shards.todo as usize, "shard");
        text += &format!(", {shards} waiting");
    }
    let alive = status.workers.iter().filter(|worker| worker.life == Life::Alive).count();
    if alive > 0 {
        text += &format!(", {}", count(alive, "worker"));
    }
    text
}
