//! Items that never return, in the worker's own process: they fail, all others are done.

use serde_json::Value;

use crate::common::disk::{errors, recorded, said, times_computed};
use crate::common::recipe::Recipe;

/// Two of thirty items hang; `how` is the rest of the config.
fn the_late_fail(how: &str) -> Recipe {
    let recipe = Recipe::new(&format!(
        "item_timeout: 1\ntoy: {{n: 30, faults: {{4: hang, 17: hang}}}}\n{how}"
    ));
    recipe.run(&[]).expect_code(1);
    let late: Vec<Value> = errors(&recipe.root);
    assert_eq!(late.len(), 2, "{late:?}");
    for (error, idx) in late.iter().zip([4, 17]) {
        assert_eq!((&error["idx"], &error["kind"]), (&idx.into(), &"timeout".into()), "{error}");
        assert_eq!(error["item"], format!("utt{idx}"));
        assert_eq!(error["error"], "took longer than item_timeout, 1 s; its worker ended");
    }
    assert_eq!(recorded(&recipe.root).len(), 28);
    recipe
}

#[test]
fn one_at_a_time() {
    let recipe = the_late_fail("parallel: {env: local, n_workers: 2, shard_size: 10}");
    let times = times_computed(&recipe.root);
    // What was recorded stays, and who was late is not tried again.
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}

#[test]
fn on_many_threads() {
    let options = "options: {threads_per_worker: 3}";
    let recipe = the_late_fail(&format!("parallel: {{env: local, shard_size: 10, {options}}}"));
    let times = times_computed(&recipe.root);
    assert_eq!((times[&4], times[&17]), (1, 1));
}

/// Which item of a batch is late shows when they are tried one by one.
#[test]
fn in_batches() {
    let recipe = the_late_fail("batch_size: 5\nparallel: {env: local, shard_size: 10}");
    assert_eq!(said(&recipe.root, "a batch takes longer than item_timeout, 1 s"), 2);
}

#[test]
fn stops_the_run_where_errors_do() {
    let recipe = Recipe::new(
        "item_timeout: 1\non_item_error: stop\ntoy: {n: 3, faults: {1: hang}}\nparallel: {env: local, shards: 1}",
    );
    let ended = recipe.run(&[]).expect_code(3);
    assert!(ended.err.contains("took longer than item_timeout"), "{ended:?}");
}

/// A debugging run ends with its process; the next one knows.
#[test]
fn in_this_process() {
    let config = "item_timeout: 1\ntoy: {n: 3, faults: {1: hang}}\nparallel: {shards: 1}";
    let recipe = Recipe::new(config);
    recipe.run(&["--in-process"]).expect_code(3).expect_says("item 1 takes longer");
    recipe.run(&["--in-process"]).expect_code(1);
    assert_eq!(errors(&recipe.root)[0]["kind"], "timeout");
    assert_eq!(recorded(&recipe.root).len(), 2);
}

/// A limit that nothing reaches changes nothing.
#[test]
fn the_quick_are_left_alone() {
    let config = "item_timeout: 1\ntoy: {n: 40, sleep_ms: 40}\nparallel: {env: local, shards: 1}";
    let recipe = Recipe::new(config);
    recipe.run(&[]).expect_code(0);
    recipe.compare();
}
