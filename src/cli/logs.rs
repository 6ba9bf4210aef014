//! `logs`: what workers, and the stage in them, wrote to stdout and stderr.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::fail::{Exit, Fail, open_stdout, shown};
use super::status::find_run;
use crate::job::Job;
use crate::plain_file;
use crate::refused::Refused;
use crate::roster::{Ended, Life, Worker, at_work};
use crate::run_dir::RunDir;

/// So much of a log is read at a time.
const PIECE: u64 = 1 << 20;

/// Print the logs of a run's workers.
#[derive(Args)]
pub(super) struct Logs {
    /// The run directory.
    run: PathBuf,
    /// Only workers that died, or failed.
    #[arg(long)]
    failed: bool,
    /// Only this worker.
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    /// Go on as the logs grow, until no worker lives.
    #[arg(long, short)]
    follow: bool,
}

impl Logs {
    pub(super) fn answer(self) -> std::result::Result<Exit, Fail> {
        let run = &find_run(&self.run)?;
        if let Some(name) = &self.worker
            && !run.log(name).is_file()
        {
            let known =
                format!("there are {}", run.log_names().with_context(|| no_logs(run))?.join(", "));
            return Err(Refused::new(format!("there is no log of {name}"), known).into());
        }
        let mut printed: BTreeMap<String, u64> = BTreeMap::new();
        let mut last = String::new();
        loop {
            let workers = Worker::read_all(run);
            let alive = !at_work(run).is_empty();
            for (name, path) in files(run)? {
                let worker = workers.iter().find(|worker| worker.worker == name);
                if !self.wants(run, &name, worker) {
                    continue;
                }
                let offset = printed.get(&name).copied().unwrap_or(0);
                let mut new = read_from(&path, offset, PIECE)?;
                if new.is_empty() {
                    continue;
                }
                let mut out = open_stdout()?.lock();
                if last != name {
                    writeln!(out, "{}", shown(&format!("==> {name}: {} <==", fate(run, worker))))?;
                    last.clone_from(&name);
                }
                let printed = printed.entry(name).or_default();
                while !new.is_empty() {
                    if out.is_terminal() {
                        let text = String::from_utf8_lossy(&new).replace("\r\n", "\n");
                        out.write_all(shown(&text).as_bytes())?;
                    } else {
                        out.write_all(&new)?;
                    }
                    *printed += new.len() as u64;
                    new = read_from(&path, *printed, PIECE)?;
                }
            }
            if !(self.follow && alive) {
                return Ok(Exit::Done);
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn wants(&self, run: &RunDir, name: &str, worker: Option<&Worker>) -> bool {
        let named = self.worker.as_ref().is_none_or(|wanted| wanted == name);
        let ill = match worker {
            Some(Worker { ended: Some(ended), .. }) => {
                !matches!(ended, Ended::Finished | Ended::Stopped { .. })
            }
            Some(worker) => worker.life(run) == Life::Dead,
            // A task writes only when something is wrong, and a worker that never entered is.
            None => true,
        };
        named && (ill || !self.failed)
    }
}

/// All logs by name: the run's own, and those that tasks write where the user's options say.
fn files(run: &RunDir) -> Result<Vec<(String, PathBuf)>> {
    let no_logs = || no_logs(run);
    let own = run
        .log_names()
        .with_context(no_logs)?
        .into_iter()
        .map(|name| (name.clone(), run.log(&name)));
    let folder = run.logs().canonicalize().with_context(no_logs)?;
    let elsewhere = Job::task_logs(run).into_iter().filter(|path| !path.starts_with(&folder));
    let elsewhere = elsewhere.filter(|path| path.is_file());
    // Some schedulers give their logs names of their own.
    let other = run.other_logs()?.into_iter();
    let elsewhere = other.chain(elsewhere);
    Ok(own.chain(elsewhere.map(|path| (path.display().to_string(), path))).collect())
}

fn no_logs(run: &RunDir) -> String {
    format!("failed to list {}", run.logs().display())
}

fn fate(run: &RunDir, worker: Option<&Worker>) -> String {
    let Some(worker) = worker else { return "a task, or a worker that never started".to_owned() };
    match &worker.ended {
        None if worker.life(run) == Life::Dead => "vanished".to_owned(),
        None => "at work".to_owned(),
        Some(Ended::Finished) => "finished".to_owned(),
        Some(Ended::Stopped { why }) => format!("stopped: {why}"),
        Some(Ended::EnvFailed { .. }) => "the env could not be built".to_owned(),
        Some(Ended::Failed { .. }) => "failed".to_owned(),
        Some(Ended::Died { status }) => format!("died: {status}"),
        Some(Ended::Lost { why }) => format!("lost: {why}"),
    }
}

fn read_from(path: &Path, offset: u64, most: u64) -> std::io::Result<Vec<u8>> {
    let mut log = plain_file::open(path)?;
    log.seek(SeekFrom::Start(offset))?;
    let mut new = Vec::new();
    log.take(most).read_to_end(&mut new)?;
    Ok(new)
}
