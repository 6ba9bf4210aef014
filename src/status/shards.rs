//! Shards that are not done.

use serde::Serialize;

use crate::log::last_lines;
use crate::roster::{Ended, Life, Worker, age};
use crate::run_dir::{RunDir, ShardState};
use crate::survey::{ClaimedShard, rate};

/// So many lines of a worker's log are told of a shard that is not well.
const LOG_LINES: usize = 3;

/// A shard that is not done.
#[derive(Debug, Default, Serialize)]
pub(crate) struct UnfinishedShard {
    pub shard: usize,
    pub state: ShardStanding,
    pub attempt: Option<u32>,
    pub worker: Option<String>,
    /// Where the worker is: host, and number of the job and task that started it.
    pub host: Option<String>,
    pub job: Option<u32>,
    pub task: Option<u32>,
    /// Items with a record or an error, of so many; of a waiting shard not counted.
    pub items: Option<u64>,
    pub total: u64,
    /// Items a second in this attempt.
    pub rate: Option<f64>,
    /// Seconds since the worker's last sign of life.
    pub seen: Option<u64>,
    /// The last lines of the worker's log, where it is lost or failed.
    pub log: Vec<String>,
}

/// How a shard that is not done stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ShardStanding {
    /// Nobody's.
    #[default]
    Waiting,
    Running,
    /// Its worker is gone and left no word.
    Lost,
    /// Its worker ended before its time, and how is known.
    Failed,
    /// Its worker cannot be seen from here.
    Unknown,
}

impl UnfinishedShard {
    pub(super) fn waiting(shard: usize, total: u64) -> Self {
        Self { shard, total, ..Self::default() }
    }

    /// One in a worker's hands, who is judged already.
    pub(super) fn claimed(
        run: &RunDir,
        claim: &ClaimedShard,
        worker: Option<&(Life, Worker)>,
    ) -> Self {
        let (life, ended) = match worker {
            Some((life, worker)) => (*life, worker.ended.as_ref()),
            None => (Life::Unknown, None),
        };
        let state = match (life, ended) {
            (Life::Alive, _) => ShardStanding::Running,
            (Life::Unknown, _) => ShardStanding::Unknown,
            (Life::Dead, None | Some(Ended::Lost { .. })) => ShardStanding::Lost,
            (Life::Dead, Some(_)) => {
                let (attempt, worker) = (claim.attempt, claim.worker.clone());
                let state = ShardState::Claimed { attempt, worker };
                if !run.shard(claim.shard, state).is_dir() {
                    // It was given back since the shards were listed.
                    return Self::waiting(claim.shard, claim.total);
                }
                ShardStanding::Failed
            }
        };
        let ill = matches!(state, ShardStanding::Lost | ShardStanding::Failed);
        let worker = worker.map(|(_, worker)| worker);
        Self {
            shard: claim.shard,
            state,
            attempt: Some(claim.attempt),
            worker: Some(claim.worker.clone()),
            host: worker.map(|worker| worker.process.host.clone()),
            job: worker.map(|worker| worker.job),
            task: worker.map(|worker| worker.task),
            items: Some(claim.items),
            total: claim.total,
            rate: rate(run, claim).filter(|_| state == ShardStanding::Running),
            seen: age(run, &run.worker(&claim.worker)).ok().map(|age| age.as_secs()),
            log: if ill { last_lines(&run.log(&claim.worker), LOG_LINES) } else { Vec::new() },
        }
    }
}
