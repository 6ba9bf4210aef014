//! What goes wrong in ESPnet3's own runs, and must not here.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::common::disk::errors;
use crate::common::until::wait_until;
use crate::recipe::{PythonRecipe, recipe, squares};

fn faulty(n: u64, faults: &str, config: &str) -> Option<PythonRecipe> {
    let config = format!("n: {n}\nfaults: {{{faults}}}\n{config}");
    recipe("faults.Provider", "faults.Runner", &config)
}

/// Each item that fails, with its kind and a piece of why; and all others, computed once.
#[test]
fn each_fault_is_its_items_own() {
    let table = [
        ("raise", "error", "ValueError: corrupt audio: 3\nTraceback"),
        ("_exit", "died", "exit code 3"),
        ("segfault", "died", "SIGSEGV"),
        ("oom", "died", "SIGKILL"),
        ("abort", "died", "SIGABRT"),
        ("sys.exit", "error", "SystemExit: 4"),
        ("recursion", "error", "RecursionError: maximum recursion depth"),
        ("memory", "error", "MemoryError"),
        ("interrupt", "error", "KeyboardInterrupt"),
        ("exit in a thread", "died", "exit code 6"),
        ("hang", "timeout", "item_timeout, 2 s"),
        ("orphan", "died", "exit code 3"),
    ];
    for (fault, kind, words) in table {
        // Each item takes longer than results wait to be sent.
        let limit = if kind == "timeout" { 2 } else { 60 };
        let config = format!(
            "seconds: 0.02\nitem_timeout: {limit}\n\
             parallel: {{env: local, n_workers: 1, shard_size: 4}}"
        );
        let Some(recipe) = faulty(8, &format!("3: {fault}"), &config) else { return };
        recipe.run(&[]).expect_code(1).expect_says("7 of 8 items, 1 failed");
        assert_eq!(recipe.results(), squares((0..8).filter(|idx| *idx != 3)), "{fault}");
        let errors = errors(&recipe.root);
        assert_eq!(errors.len(), 1, "{fault}: {errors:?}");
        assert_eq!(
            (&errors[0]["idx"], &errors[0]["kind"]),
            (&3.into(), &kind.into()),
            "{errors:?}"
        );
        let error = errors[0]["error"].as_str().expect("a text");
        assert!(error.contains(words), "{fault}: {error}");
        // Who is killed gets a second chance, and no more; nobody else is computed again.
        let deaths = usize::from(kind == "died") * 2 + usize::from(kind == "timeout");
        let mut expected: BTreeMap<u64, usize> = (0..8).map(|idx| (idx, 1)).collect();
        expected.insert(3, deaths.max(1));
        assert_eq!(recipe.computed(), expected, "{fault}");
        // The driver asks the dataset only.
        assert_eq!(recipe.noted("env built here"), 1 + deaths, "{fault}");
        wait_until("no process to be left", || recipe.pythons().is_empty());
    }
}

/// Fast items go in chunks: those before the poison in its chunk may come again, but once.
#[test]
fn poison_among_fast_items() {
    let config = "parallel: {env: local, n_workers: 1, shards: 1}";
    let Some(recipe) = faulty(3000, "1500: _exit, 1600: oom, 2999: segfault", config) else {
        return;
    };
    recipe.run(&[]).expect_code(1);
    let good = (0..3000).filter(|idx| ![1500, 1600, 2999].contains(idx));
    assert_eq!(recipe.results(), squares(good));
    let computed = recipe.computed();
    assert_eq!(computed.len(), 3000);
    assert!(computed.values().all(|times| *times <= 2), "{computed:?}");
    // ESPnet3 does the whole shard four times.
    let calls: usize = computed.values().sum();
    assert!(calls < 6000, "{calls}");
    // After the last item no process is needed any more.
    assert_eq!(recipe.noted("env built here"), 6);
}

#[test]
fn the_first_and_the_last_and_neighbours() {
    let faults = "0: oom, 1: _exit, 2: raise, 8: segfault, 9: oom";
    let config = "parallel: {env: local, n_workers: 2, shard_size: 5}";
    let Some(recipe) = faulty(10, faults, config) else { return };
    recipe.run(&[]).expect_code(1);
    assert_eq!(recipe.results(), squares(3..8));
    let kinds: Vec<Value> =
        errors(&recipe.root).iter().map(|error| error["kind"].clone()).collect();
    assert_eq!(kinds, ["died", "died", "error", "died", "died"]);
}

/// One death may be the machine's: the item is tried again, and is fine.
#[test]
fn a_death_that_does_not_come_again() {
    let Some(recipe) = faulty(6, "2: once", "parallel: {env: local, n_workers: 1}") else { return };
    recipe.run(&[]).expect_code(0);
    assert_eq!(recipe.results(), squares(0..6));
    assert_eq!(recipe.computed()[&2], 2);
}

/// `--retry-failed` computes what failed and nothing else.
#[test]
fn what_is_done_stays_done() {
    let config = "parallel: {env: local, n_workers: 2, shard_size: 3}";
    let Some(recipe) = faulty(12, "4: raise, 11: raise", config) else { return };
    recipe.run(&[]).expect_code(1);
    recipe.forget_notes();
    recipe.run(&[]).expect_code(1);
    assert_eq!(recipe.computed(), BTreeMap::new());
    recipe.run(&["--retry-failed", "--set", "parallel.n_workers=5"]).expect_code(1);
    assert_eq!(recipe.computed(), [(4, 1), (11, 1)].into());
    assert_eq!(recipe.results(), squares((0..12).filter(|idx| ![4, 11].contains(idx))));
}

#[test]
fn another_config_is_refused() {
    let config = "seconds: 0\nparallel: {env: local, n_workers: 1}";
    let Some(recipe) = faulty(4, "", config) else { return };
    recipe.run(&[]).expect_code(0);
    for (set, key) in [
        ("seconds=0.001", "seconds: 0 before, 0.001 now"),
        ("provider.beam=3", "provider.beam: not set before, 3 now"),
        ("runner._target_=square.Runner", "runner._target_: \"faults.Runner\" before"),
        ("n=5", "n: 4 before, 5 now"),
    ] {
        recipe.run(&["--set", set]).expect_code(2).expect_says(key);
    }
    recipe.forget_notes();
    recipe.run(&["--set", "parallel.n_workers=3"]).expect_code(0);
    assert_eq!(recipe.computed(), BTreeMap::new());
}

/// The worker holds its lease, and says that it lives, while Python is busy in C code or asleep.
#[test]
fn a_long_build_of_the_env() {
    let config = "build_s: 13\nnum_items: 3\nparallel: {env: local, n_workers: 1}";
    let Some(recipe) = faulty(3, "", config) else { return };
    let call = recipe.start_run(&[]);
    wait_until("the env to be under way", || recipe.noted("env built here") == 1);
    let touched = || {
        let entries = std::fs::read_dir(recipe.root.join("workers")).ok()?;
        entries.flatten().filter_map(|entry| entry.metadata().ok()?.modified().ok()).max()
    };
    let first = touched().expect("there is a worker");
    wait_until("the lease to be renewed", || touched() > Some(first));
    let status = recipe.status();
    let life = &status["workers"][0]["life"];
    assert_eq!((&status["state"], life), (&"running".into(), &"alive".into()), "{status}");
    assert_eq!(recipe.noted("env built here"), 1);
    call.wait().expect_code(0);
    assert_eq!(recipe.results(), squares(0..3));
    assert_eq!(recipe.noted("env built here"), 1);
}

#[test]
fn one_call_at_a_time_whatever_the_threads() {
    let config =
        "seconds: 0.005\nparallel: {env: local, n_workers: 2, options: {threads_per_worker: 4}}";
    let Some(recipe) = faulty(60, "", config) else { return };
    recipe.run(&[]).expect_code(0);
    assert_eq!(recipe.results(), squares(0..60));
    assert!(recipe.noted("env built here") <= 2);
}

#[test]
fn libraries_may_have_the_threads() {
    let config = "n: 8\nparallel: {env: local, n_workers: 1, options: {threads_per_worker: 4}}";
    let Some(recipe) = recipe("faults.Provider", "faults.Threads", config) else { return };
    recipe.run(&[]).expect_code(0);
    let records = recipe.records();
    assert!(records.iter().all(|record| record["threads"] == "4"), "{records:?}");
    assert!(records.iter().all(|record| record["pid"] == records[0]["pid"]), "{records:?}");
}

#[test]
fn progress_before_a_shard_ends() {
    // Longer than results wait to be sent together.
    let config = "seconds: 0.02\nparallel: {env: local, n_workers: 1, shards: 1}";
    let Some(recipe) = faulty(10, "6: wait", config) else { return };
    let call = recipe.start_run(&[]);
    wait_until("item 6 to be at hand", || recipe.noted("forward 6") == 1);
    wait_until("six items to be seen", || recipe.status()["items"]["done"] == 6);
    let seen = recipe.status();
    assert_eq!(seen["shards"]["done"], 0, "{seen}");
    std::fs::write(recipe.path("notes.go"), "").expect("writes");
    call.wait().expect_code(0);
    assert_eq!(recipe.results(), squares(0..10));
}
