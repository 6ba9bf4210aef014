//! Runs that stop by themselves, and say why; and configs that are refused.

use crate::common::disk::{claimed, recorded, snapshot};
use crate::common::processes::of_run;
use crate::common::recipe::Recipe;

#[test]
fn the_first_failed_item_stops_the_run() {
    let recipe = Recipe::new(
        "on_item_error: stop\ntoy: {n: 200, sleep_ms: 5, faults: {12: error}}\n\
         parallel: {env: local, n_workers: 2, shard_size: 10}",
    );
    recipe.run(&[]).expect_code(3).expect_says("item 12, utt12, failed: no such luck");
    assert!(of_run(&recipe.root).is_empty());
    assert_eq!(claimed(&recipe.root), [""; 0]);
    let done = recorded(&recipe.root);
    assert!(!done.contains(&12) && done.len() < 199, "{done:?}");
    assert_eq!(recipe.status()["state"], "stopped");
    // The user lets it pass.
    recipe.run(&["--set", "on_item_error=skip"]).expect_code(1);
    assert_eq!(recorded(&recipe.root).len(), 199);
}

#[test]
fn too_many_failed_items_stop_the_run() {
    let faults: Vec<String> = (0..10).map(|at| format!("{}: error", at * 7)).collect();
    let recipe = Recipe::new(&format!(
        "max_failed_items: 3\ntoy: {{n: 100, sleep_ms: 2, faults: {{{}}}}}\n\
         parallel: {{env: local, n_workers: 2, shard_size: 10}}",
        faults.join(", ")
    ));
    recipe.run(&[]).expect_code(3).expect_says("more than max_failed_items: 3");
    assert_eq!(claimed(&recipe.root), [""; 0]);
    recipe.run(&["--set", "max_failed_items=10"]).expect_code(1);
    assert_eq!(recorded(&recipe.root).len(), 90);
}

/// Failed items of shards that were given back are tried again too.
#[test]
fn what_failed_before_a_stop_is_tried_again() {
    let recipe = Recipe::new("toy: {n: 60}\nparallel: {env: local, shard_size: 30}");
    let faults = recipe.path("faults.json");
    let set = format!("toy.faults_file={}", faults.display());
    std::fs::write(&faults, r#"{"1": "error", "3": "error"}"#).expect("writes");
    recipe.run(&["--set", &set, "--set", "max_failed_items=1"]).expect_code(3);
    std::fs::write(&faults, "{}").expect("writes");
    recipe.run(&["--set", &set, "--set", "max_failed_items=1", "--retry-failed"]).expect_code(0);
    recipe.compare();
}

/// A run that computed nothing makes way for the config that was set right.
#[test]
fn a_config_that_was_set_right_needs_no_restart() {
    let recipe = Recipe::new("toy: {n: 20}\nparallel: {env: local}");
    recipe.run(&["--set", "toy.env=error"]).expect_code(3);
    recipe.run(&[]).expect_code(0);
    recipe.compare();
    // One that computed something does not.
    recipe.run(&["--set", "toy.salt=sea"]).expect_code(2);
}

#[test]
fn another_config_is_refused_and_changes_nothing() {
    let recipe = Recipe::new("toy: {n: 20}\nparallel: {env: local}");
    recipe.run(&[]).expect_code(0);
    let before = snapshot(&recipe.root);
    let changed = ["--set", "toy.salt=sea"];
    recipe.run(&changed).expect_code(2).expect_says("toy.salt").expect_says("--restart");
    assert!(snapshot(&recipe.root) == before, "a refused run changed the run directory");
}

/// `--restart` plans first and throws away afterwards.
#[test]
fn a_restart_that_cannot_be_planned_changes_nothing() {
    let recipe = Recipe::new("toy: {n: 20}\nparallel: {env: local}");
    recipe.run(&[]).expect_code(0);
    let before = snapshot(&recipe.root);
    recipe.run(&["--restart", "--indices", "0-99"]).expect_code(2).expect_says("item 99");
    assert!(snapshot(&recipe.root) == before, "the old records are gone");
}

#[test]
fn restart_starts_anew() {
    let recipe = Recipe::new("toy: {n: 20}\nparallel: {env: local}");
    recipe.run(&[]).expect_code(0);
    recipe.run(&["--restart", "--set", "toy.n=10"]).expect_code(0);
    assert_eq!(recipe.results().lines().count(), 10);
}
