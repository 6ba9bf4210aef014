//! A worker that was only believed dead wakes up: its shard is somebody else's, and stays so.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::disk::{check_files, claimed, logs, recorded, snapshot};
use crate::common::processes::{Process, of_run, send, state, workers};
use crate::common::recipe::{Call, Recipe};
use crate::common::until::wait_until;

/// Longer than any lease.
const AGE: Duration = Duration::from_secs(600);

/// A driver whose only worker was stopped at work, and seems to be on a host long gone.
fn zombie(files: bool) -> (Recipe, Call, Process) {
    let config = format!(
        "toy: {{n: 40, sleep_ms: 15, files: {files}}}\nparallel: {{env: local, shard_size: 20}}"
    );
    let recipe = Recipe::held_at(7, &config);
    let driver = recipe.start_run(&[]);
    wait_until("records", || recorded(&recipe.root).len() == 7);
    let zombie = workers(&recipe.root).remove(0);
    send(zombie.pid, Signal::SIGSTOP);
    wait_until("it to stop", || state(zombie.pid) == Some('T'));
    recipe.release();
    assert!(claimed(&recipe.root)[0].ends_with(&zombie.name));
    let path = recipe.root.join("workers").join(format!("{}.json", zombie.name));
    let mut worker: Value =
        serde_json::from_slice(&fs::read(&path).expect("is there")).expect("is JSON");
    worker["process"]["host"] = "elsewhere".into();
    fs::write(&path, worker.to_string()).expect("writes");
    File::open(&path).and_then(|file| file.set_modified(SystemTime::now() - AGE)).expect("ages");
    (recipe, driver, zombie)
}

fn wakes_up_after_the_end(files: bool) {
    let (recipe, driver, zombie) = zombie(files);
    recipe.run(&[]).expect_code(0);
    let shards = snapshot(&recipe.root.join("shards"));
    let results = recipe.results();
    send(zombie.pid, Signal::SIGCONT);
    driver.wait().expect_code(0);
    assert!(of_run(&recipe.root).is_empty());
    assert!(snapshot(&recipe.root.join("shards")) == shards, "the zombie wrote");
    assert_eq!(recipe.results(), results);
    recipe.compare();
    if files {
        check_files(&recipe.root);
    }
}

#[test]
fn after_the_end() {
    wakes_up_after_the_end(false);
}

#[test]
fn after_the_end_with_files() {
    wakes_up_after_the_end(true);
}

fn wakes_up_beside_its_heir(files: bool) {
    let (recipe, driver, zombie) = zombie(files);
    let heir = recipe.start_run(&[]);
    let seen = recorded(&recipe.root).len();
    wait_until("the heir's records", || recorded(&recipe.root).len() > seen + 2);
    send(zombie.pid, Signal::SIGCONT);
    heir.wait().expect_code(0);
    driver.wait().expect_code(0);
    recipe.compare();
    if files {
        check_files(&recipe.root);
    }
}

#[test]
fn beside_its_heir() {
    wakes_up_beside_its_heir(false);
}

#[test]
fn beside_its_heir_with_files() {
    wakes_up_beside_its_heir(true);
}

/// The heir gives the shard back, and the zombie claims it anew: the folder has the name it had
/// when the zombie first held it.
#[test]
fn claims_its_own_shard_again() {
    let (recipe, driver, zombie) = zombie(true);
    recipe.hold(15);
    let heir = recipe.start_run(&[]);
    let taken = || claimed(&recipe.root).iter().any(|shard| shard.contains(".2."));
    wait_until("the heir to take over", taken);
    wait_until("a record of the heir", || {
        logs(&recipe.root).values().any(|log| log.contains("attempt 2") && log.contains("forward"))
    });
    heir.signal(Signal::SIGINT);
    heir.wait().expect_code(130);
    assert_eq!(claimed(&recipe.root), [""; 0]);
    send(zombie.pid, Signal::SIGCONT);
    driver.wait().expect_code(0);
    recipe.compare();
    check_files(&recipe.root);
}
