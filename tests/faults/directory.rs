//! Run directories that cannot be made, were cut off, removed or replaced under somebody's feet.

use std::fs;

use nix::sys::signal::Signal;

use crate::common::disk::{claimed, recorded, said};
use crate::common::processes::{of_run, send, state, tasks, workers};
use crate::common::recipe::{Recipe, assert_same};
use crate::common::until::wait_until;

#[test]
fn one_that_cannot_be_made() {
    let recipe = Recipe::new("toy: {n: 4}\nparallel: {env: local}");
    fs::write(recipe.path("file"), "").expect("writes");
    let below_a_file = recipe.path("file/run").display().to_string();
    for (output_dir, code) in [("/proc/nowhere/run".to_owned(), 5), (below_a_file, 2)] {
        let set = format!("output_dir={output_dir}");
        recipe.run(&["--set", &set]).expect_code(code).expect_says(&output_dir);
    }
}

/// A driver killed between the two steps of a plan leaves a run with nothing done.
#[test]
fn a_plan_that_was_cut_off() {
    let recipe = Recipe::new("toy: {n: 4}\nparallel: {env: local}");
    recipe.run(&[]).expect_code(0);
    fs::remove_dir_all(recipe.root.join("shards")).expect("removes");
    fs::remove_file(recipe.root.join("results.jsonl")).expect("removes");
    let root = recipe.root_text();
    let codes = ["status", "collect"].map(|command| recipe.call(&[command, root]).status.code());
    recipe.finish_and_compare(&[]);
    assert_eq!(codes, [Some(3); 2], "status and collect call it something else");
}

/// A worker of a run that was removed claims nothing of the one made in its place.
#[test]
fn one_removed_and_made_anew_under_a_worker() {
    let recipe = Recipe::held_at(
        12,
        "toy: {n: 60, sleep_ms: 10, salt: old}\nparallel: {env: local, shard_size: 5}",
    );
    recipe.run(&["--detach"]).expect_code(0);
    wait_until("records", || recorded(&recipe.root).len() >= 7);
    let worker = workers(&recipe.root).remove(0);
    send(worker.pid, Signal::SIGSTOP);
    fs::remove_dir_all(&recipe.root).expect("removes");
    recipe.hold(59);
    let driver = recipe.start_run(&["--set", "toy.salt=new"]);
    wait_until("new records", || recorded(&recipe.root).len() >= 7);
    send(worker.pid, Signal::SIGCONT);
    recipe.release();
    driver.wait().expect_code(0);
    wait_until("all to end", || of_run(&recipe.root).is_empty());
    let results = recipe.results();
    let old = results.lines().filter(|line| line.contains("old")).count();
    assert_eq!(old, 0, "records of the old run are in the new one");
}

/// A driver whose run was replaced while it waited does not take the other one's records for its own.
#[test]
fn one_restarted_under_a_driver() {
    let recipe = Recipe::held_at(
        39,
        "toy: {n: 40, sleep_ms: 10, salt: old}\nparallel: {env: local, shard_size: 5}",
    );
    let driver = recipe.start_run(&[]);
    wait_until("records", || recorded(&recipe.root).len() >= 7);
    let task = tasks(&recipe.root).remove(0);
    for pid in [driver.pid(), task.pid] {
        send(pid, Signal::SIGSTOP);
        wait_until("it to stop", || state(pid) == Some('T'));
    }
    send(workers(&recipe.root).remove(0).pid, Signal::SIGKILL);
    wait_until("the worker's end", || workers(&recipe.root).is_empty());
    recipe.release();
    fs::remove_dir_all(&recipe.root).expect("removes the run");
    recipe.run(&["--set", "toy.salt=new"]).expect_code(0);
    let results = recipe.results();
    assert_eq!(results.lines().filter(|line| line.contains("new")).count(), 40);
    send(task.pid, Signal::SIGCONT);
    send(driver.pid(), Signal::SIGCONT);
    let ended = driver.wait();
    wait_until("all to end", || of_run(&recipe.root).is_empty());
    assert_same(&recipe.results(), &results);
    assert_ne!(ended.status.code(), Some(0), "it got another run's records: {ended:?}");
}

/// A request to stop that nobody heard does not stop the next run.
#[test]
fn a_stale_stop_request() {
    let recipe = Recipe::new("toy: {n: 40}\nparallel: {env: local}");
    recipe.run(&["--set", "on_item_error=stop"]).expect_code(0);
    fs::write(recipe.root.join("stop.json"), r#"{"why":"cancelled"}"#).expect("writes");
    fs::rename(recipe.root.join("shards/split.3"), recipe.root.join("shards/split.3.todo"))
        .expect("opens a shard again");
    recipe.finish_and_compare(&[]);
    assert_eq!(said(&recipe.root, "cancelled"), 0);
}

/// A worker that is asked to end by itself gives back, and the run goes on without it.
#[test]
fn a_worker_that_alone_is_asked_to_end() {
    let recipe = Recipe::new(
        "toy: {n: 100, sleep_ms: 5}\nparallel: {env: local, n_workers: 2, shard_size: 10}",
    );
    let driver = recipe.start_run(&[]);
    wait_until("records", || recorded(&recipe.root).len() >= 7);
    send(workers(&recipe.root).remove(0).pid, Signal::SIGTERM);
    driver.wait().expect_code(0);
    assert_eq!(claimed(&recipe.root), [""; 0]);
    recipe.compare();
}
