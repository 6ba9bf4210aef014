//! A worker that is stopped around one of the calls with which it commits its shards.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Shim, long};
use crate::common::disk::check_files;
use crate::common::processes::{Process, send, state, workers};
use crate::common::recipe::{Call, Recipe};
use crate::common::until::until;

/// Longer than any lease.
const AGE: Duration = Duration::from_secs(600);

/// More calls than it takes to commit all shards.
const MOST: u64 = 40;

/// A driver, and its only worker, which is stopped.
pub(super) struct Stopped<'a> {
    pub recipe: &'a Recipe,
    /// Killed when this is dropped.
    _driver: Call,
    pub worker: Process,
    /// Which call it was.
    pub call: String,
}

pub(super) fn recipe(files: bool) -> Recipe {
    let config = format!("toy: {{n: 8, files: {files}}}\nparallel: {{env: local, shard_size: 4}}");
    Recipe::new(&config)
}

/// Starts a run anew whose worker stops at call `number` of `thread`. `None`: the run ended before.
fn stop_at<'a>(recipe: &'a Recipe, thread: &str, number: u64, moment: &str) -> Option<Stopped<'a>> {
    let _ = fs::remove_dir_all(&recipe.root);
    let shim = Shim::of(recipe)
        .with("SHIM_THREAD", thread)
        .with("SHIM_SYNC", "8")
        .with("SHIM_STOP", format!("{number} {moment}"));
    let mut driver = shim.start_run(recipe);
    let worker = until("the worker to stop, or the end", || {
        if !driver.running() {
            return Some(None);
        }
        let stopped = |worker: &Process| state(worker.pid) == Some('T');
        workers(&recipe.root).into_iter().find(stopped).map(Some)
    });
    match worker {
        Some(worker) => {
            let call = format!("{moment} {}", shim.struck().concat());
            Some(Stopped { recipe, _driver: driver, worker, call })
        }
        None => {
            driver.wait().expect_code(0);
            assert_eq!(shim.struck(), [""; 0]);
            None
        }
    }
}

/// Gives `each` a worker stopped before and after every call of the commit, or in the short form a
/// few of them. Returns how many.
pub(super) fn each_stage(files: bool, mut each: impl FnMut(u64, &Stopped<'_>)) -> u64 {
    let recipe = recipe(files);
    let mut stages = 0;
    for number in 1..=MOST {
        for moment in ["before", "after"] {
            // The short form takes two of seven.
            if !long() && (2 * number + u64::from(moment == "after")) % 7 > 1 {
                continue;
            }
            let Some(stopped) = stop_at(&recipe, "worker/commit", number, moment) else {
                assert!(number > 3, "commits have more calls than {number}");
                println!("the commits have {} calls", number - 1);
                return stages;
            };
            stages += 1;
            each(stages, &stopped);
            if files {
                check_files(&recipe.root);
            }
        }
    }
    panic!("no commits have {MOST} calls");
}

impl Stopped<'_> {
    /// Makes it seem to be on a host that is long gone.
    pub(super) fn age(&self) {
        let path = self.recipe.root.join("workers").join(format!("{}.json", self.worker.name));
        let mut worker: Value =
            serde_json::from_slice(&fs::read(&path).expect("is there")).expect("is JSON");
        worker["process"]["host"] = "elsewhere".into();
        fs::write(&path, worker.to_string()).expect("writes");
        File::open(&path)
            .and_then(|file| file.set_modified(SystemTime::now() - AGE))
            .expect("ages");
    }

    pub(super) fn wake(&self) {
        send(self.worker.pid, Signal::SIGCONT);
    }
}
