//! `logs`: what workers, and the stage in them, wrote to stdout and stderr.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use super::fail::{Exit, Fail};
use super::status::find_runs;
use crate::roster::{Ended, Life, Worker};
use crate::run_dir::RunDir;

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
    pub(super) fn answer(self) -> Result<Exit, Fail> {
        let runs = find_runs(&self.run)?;
        let [run] = runs.as_slice() else {
            let names: Vec<_> = runs.iter().map(|run| run.root().display().to_string()).collect();
            return Err(Fail::usage(
                anyhow!("there is more than one run in {}", self.run.display()),
                format!("name one of {}", names.join(", ")),
            ));
        };
        let mut printed: Vec<(String, u64)> = Vec::new();
        let mut last = String::new();
        loop {
            let workers = Worker::read_all(run);
            let alive = workers.iter().any(|worker| worker.life(run) == Life::Alive);
            for worker in workers.iter().filter(|worker| self.wants(run, worker)) {
                let name = &worker.worker;
                if !printed.iter().any(|(known, _)| known == name) {
                    printed.push((name.clone(), 0));
                }
                let Some((_, offset)) = printed.iter_mut().find(|(known, _)| known == name) else {
                    continue;
                };
                let new = read_from(run, name, *offset)?;
                if new.is_empty() && (*offset > 0 || self.follow) {
                    continue;
                }
                let mut out = std::io::stdout().lock();
                if last != *name {
                    writeln!(out, "==> {name}: {} <==", fate(run, worker))?;
                    last.clone_from(name);
                }
                out.write_all(&new)?;
                *offset += new.len() as u64;
            }
            if !(self.follow && alive) {
                return Ok(Exit::Done);
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn wants(&self, run: &RunDir, worker: &Worker) -> bool {
        let named = self.worker.as_ref().is_none_or(|name| *name == worker.worker);
        let ill = match &worker.ended {
            Some(Ended::Finished | Ended::Stopped { .. }) => false,
            Some(_) => true,
            None => worker.life(run) == Life::Dead,
        };
        named && (ill || !self.failed)
    }
}

fn fate(run: &RunDir, worker: &Worker) -> String {
    match &worker.ended {
        None if worker.life(run) == Life::Dead => "vanished".to_owned(),
        None => "at work".to_owned(),
        Some(Ended::Finished) => "finished".to_owned(),
        Some(Ended::Stopped { why }) => format!("stopped: {why}"),
        Some(Ended::EnvFailed { .. }) => "the env could not be built".to_owned(),
        Some(Ended::Failed { .. }) => "failed".to_owned(),
        Some(Ended::Died { status }) => format!("died: {status}"),
    }
}

fn read_from(run: &RunDir, worker: &str, offset: u64) -> std::io::Result<Vec<u8>> {
    let mut log = File::open(run.worker_log(worker))?;
    log.seek(SeekFrom::Start(offset))?;
    let mut new = Vec::new();
    log.read_to_end(&mut new)?;
    Ok(new)
}
