//! Habits of NFS: a rename that is done and reported as failed, a listing that lags, a file server
//! with another clock, and hosts that can judge each other's workers by their leases only.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::sweep::Sweep;
use super::{Shim, places, rounds};
use crate::common::disk::{check_files, claimed, logs, recorded, times_computed};
use crate::common::processes::{send, workers};
use crate::common::recipe::{Call, Recipe, assert_same};
use crate::common::until::{until, wait_until};

/// Each rename in turn is done, and its answer is lost.
fn each_answer_lost(error: Errno, seed: u64) {
    for resumes in [false, true] {
        let mut sweep = Sweep::new(true, resumes);
        let calls = sweep.calls("rename");
        for place in places(calls, 3, seed) {
            sweep.strike("rename", (place, place), error as i32, "done");
        }
        sweep.conclude("renames done but not reported", &["worker"]);
    }
}

/// What an NFS server says of a rename that it did, when it is asked again.
#[test]
fn each_rename_reported_as_missing() {
    each_answer_lost(Errno::ENOENT, 6);
}

#[test]
fn each_rename_reported_as_an_error() {
    each_answer_lost(Errno::EIO, 7);
}

/// A run of two hosts that share a directory with such habits.
struct Shared {
    recipe: Recipe,
    shim: Shim,
    expected: String,
}

const ITEMS: u64 = 90;

const LAG: Duration = Duration::from_millis(300);

impl Shared {
    fn new(seed: u64) -> Self {
        let recipe = Recipe::held_at(
            ITEMS,
            &format!(
                "toy: {{n: {ITEMS}, sleep_ms: 4, files: {}}}\nparallel: {{env: local, n_workers: 2, shard_size: 3}}",
                seed.is_multiple_of(2)
            ),
        );
        let expected = recipe.undisturbed();
        let clock = if seed.is_multiple_of(3) { "600" } else { "-600" };
        let shim = Shim::of(&recipe)
            .with("SHIM_LAG", format!("{} {seed}", LAG.as_millis()))
            .with("SHIM_CLOCK", clock);
        Self { recipe, shim, expected }
    }

    fn start(&self, host: &str) -> Call {
        self.shim.clone().with("SHIM_HOST", host).start_run(&self.recipe)
    }

    /// The workers from which shards were taken over.
    fn bereaved(&self) -> BTreeSet<String> {
        let logs = logs(&self.recipe.root).into_values().collect::<String>();
        let lines = logs.lines().filter(|line| line.contains(": attempt "));
        lines.filter_map(|line| Some(line.split_once(" from ")?.1.to_owned())).collect()
    }

    fn compare(&self) {
        assert_same(&self.recipe.results(), &self.expected);
        if self.expected.contains("\"text\"") {
            check_files(&self.recipe.root);
        }
    }
}

/// With old listings workers find nothing to do, and a driver may give up: the next run goes on.
fn done_or_given_up(driver: Call) {
    let ended = driver.wait();
    assert!(matches!(ended.status.code(), Some(0 | 3)), "{ended:?}");
}

/// Nobody dies: no shard changes hands, and no item is computed twice.
#[test]
fn the_living_keep_their_shards() {
    for seed in rounds(2) {
        let shared = Shared::new(seed);
        shared.recipe.hold(ITEMS - 1);
        let hosts = ["a", "b"].map(|host| shared.start(host));
        // All others see for longer than any lag that somebody holds the last shard.
        let others = ITEMS as usize - 3;
        wait_until("the other shards", || recorded(&shared.recipe.root).len() >= others);
        std::thread::sleep(2 * LAG);
        shared.recipe.release();
        for host in hosts {
            host.wait().expect_code(0);
        }
        let times = times_computed(&shared.recipe.root);
        let twice: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
        assert!(times.len() as u64 == ITEMS && twice.is_empty(), "seed {seed}: {twice:?}");
        assert_eq!(shared.bereaved(), BTreeSet::new(), "seed {seed}");
        shared.compare();
    }
}

/// Workers are killed amid shards, and every 9th rename's answer is lost.
#[test]
fn only_the_dead_lose_their_shards() {
    for seed in rounds(2) {
        let mut shared = Shared::new(seed);
        let lost = format!("rename 30 {} 9 {} done", 1 << 20, Errno::ENOENT as i32);
        shared.shim = shared.shim.with("SHIM_FAIL", lost);
        let hosts = ["a", "b"].map(|host| shared.start(host));
        let root = &shared.recipe.root;
        let mut killed = BTreeSet::new();
        for kill in 1..=4 {
            wait_until("records", || recorded(root).len() >= 12 * kill);
            let victim = until("a worker at work", || {
                let held = claimed(root);
                let holds = |name: &str| held.iter().any(|shard| shard.ends_with(name));
                workers(root).into_iter().find(|worker| holds(&worker.name))
            });
            send(victim.pid, Signal::SIGKILL);
            killed.insert(victim.name);
        }
        hosts.into_iter().for_each(done_or_given_up);
        assert!(!shared.shim.struck().is_empty());
        let bereaved = shared.bereaved();
        assert!(bereaved.is_subset(&killed), "seed {seed}: {bereaved:?}, killed {killed:?}");
        shared.recipe.run(&[]).expect_code(0);
        shared.compare();
    }
}

/// A host without a driver any more: its workers give back, and the other one's take over.
#[test]
fn one_host_goes() {
    for seed in rounds(1) {
        let shared = Shared::new(seed);
        let [gone, stays] = ["a", "b"].map(|host| shared.start(host));
        wait_until("records", || recorded(&shared.recipe.root).len() >= 20);
        gone.signal(Signal::SIGKILL);
        done_or_given_up(stays);
        shared.recipe.run(&[]).expect_code(0);
        shared.compare();
    }
}
