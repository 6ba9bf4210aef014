//! Runs that outlive whoever started them.

use std::fs;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::common::disk::{claimed, recorded, snapshot, times_computed};
use crate::common::processes::{of_run, workers};
use crate::common::recipe::Recipe;
use crate::common::until::wait_until;

fn detached(config: &str) -> Recipe {
    let recipe = Recipe::held_at(19, config);
    recipe.run(&["--detach"]).expect_code(0);
    recipe
}

fn working(recipe: &Recipe) {
    wait_until("records", || recorded(&recipe.root).len() >= 5);
}

const SLOW: &str =
    "toy: {n: 120, sleep_ms: 10}\nparallel: {env: local, n_workers: 2, shard_size: 10}";

#[test]
fn done_without_a_driver() {
    let recipe = detached(SLOW);
    working(&recipe);
    assert_eq!(recipe.status()["state"], "running");
    assert!(!recipe.root.join("results.jsonl").exists(), "nobody collected yet");
    recipe.release();
    wait_until("the end", || of_run(&recipe.root).is_empty());
    assert_eq!(recipe.status()["state"], "done");
    recipe.call(&["collect", recipe.root_text()]).expect_code(0);
    recipe.compare();
}

/// Once `run --detach` has returned, the terminal's signals no longer reach the task.
#[test]
fn the_terminal_is_closed_at_once() {
    for _ in 0..10 {
        let recipe = Recipe::new("toy: {n: 10}\nparallel: {env: local}");
        let driver = recipe.start_run(&["--detach"]);
        let group = Pid::from_raw(i32::try_from(driver.pid()).expect("a pid is small"));
        driver.wait().expect_code(0);
        let _ = killpg(group, Signal::SIGHUP);
        wait_until("the end", || of_run(&recipe.root).is_empty());
        assert_eq!(recipe.status()["state"], "done");
    }
}

/// A run is `running` from the moment `run --detach` returns, before any worker has entered.
#[test]
fn running_from_the_first_moment() {
    for _ in 0..5 {
        let recipe = detached(SLOW);
        assert_eq!(recipe.status()["state"], "running");
        recipe.call(&["cancel", recipe.root_text()]);
    }
}

#[test]
fn cancelled_and_resumed() {
    let recipe = detached(SLOW);
    working(&recipe);
    recipe
        .call(&["cancel", recipe.root_text()])
        .expect_code(0)
        .expect_says("its workers have stopped");
    wait_until("the task to end", || of_run(&recipe.root).is_empty());
    assert_eq!(claimed(&recipe.root), [""; 0]);
    assert_eq!(recipe.status()["state"], "stopped");
    let before = recorded(&recipe.root);
    assert!(before.len() < 120);
    recipe.finish_and_compare(&[]);
    let twice = times_computed(&recipe.root).values().filter(|times| **times > 1).count();
    assert!(twice <= 2, "only what was under way is computed again, but {twice} items were");
}

#[test]
fn restart_is_refused_while_workers_live() {
    let recipe = Recipe::new(
        "toy: {n: 4, faults: {0: hang, 2: hang}}\nparallel: {env: local, n_workers: 2, shard_size: 2}",
    );
    recipe.run(&["--detach"]).expect_code(0);
    wait_until("the workers to work", || times_computed(&recipe.root).len() == 2);
    let before = snapshot(&recipe.root.join("shards"));
    recipe.run(&["--restart"]).expect_code(2).expect_says("cancel");
    assert_eq!(workers(&recipe.root).len(), 2);
    assert!(snapshot(&recipe.root.join("shards")) == before);
}

#[test]
fn failed_items_are_tried_again_alone() {
    let recipe = Recipe::new("toy: {n: 90}\nparallel: {env: local, n_workers: 2, shard_size: 10}");
    let faults = recipe.path("faults.json");
    let set = format!("toy.faults_file={}", faults.display());
    fs::write(&faults, r#"{"0": "error", "19": "panic", "44": "abort", "45": "error"}"#)
        .expect("writes");
    recipe.run(&["--set", &set]).expect_code(1);
    let before = times_computed(&recipe.root);
    fs::write(&faults, "{}").expect("writes");
    // Not asked to, it tries nothing again.
    recipe.run(&["--set", &set]).expect_code(1);
    assert_eq!(times_computed(&recipe.root), before);
    recipe.run(&["--set", &set, "--retry-failed"]).expect_code(0);
    let mut after = times_computed(&recipe.root);
    for idx in [0, 19, 44, 45] {
        *after.get_mut(&idx).expect("was computed") -= 1;
    }
    assert_eq!(after, before);
    assert!(!recipe.root.join("errors.jsonl").exists());
    recipe.compare();
}
