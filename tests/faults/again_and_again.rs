//! Many small disturbances at moments that are hard to hit by aiming: planning, claiming,
//! committing, giving back, clearing.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::disk::{check_files, check_places, claimed, recorded, times_computed};
use crate::common::processes::kill_all;
use crate::common::recipe::Recipe;
use crate::common::until::wait_until;

/// Moments after a start, a millisecond apart.
fn moments(last: u64) -> impl Iterator<Item = Duration> {
    (0..last).map(Duration::from_millis)
}

fn killed_after(recipe: &Recipe, moment: Duration, more: &[&str]) {
    let driver = recipe.start_run(more);
    // The length of the sleep is the case, not a hope.
    std::thread::sleep(moment);
    kill_all(&recipe.root, Some(driver.pid()));
}

#[test]
fn killed_while_it_plans() {
    for moment in moments(24).step_by(2) {
        let recipe = Recipe::new("toy: {n: 30}\nparallel: {env: local, shard_size: 3}");
        killed_after(&recipe, moment, &[]);
        recipe.finish_and_compare(&[]);
    }
}

/// Items take nothing: nearly all the time goes into claims, commits and take-overs.
#[test]
fn killed_while_it_claims_and_commits() {
    let recipe = Recipe::new("toy: {n: 400}\nparallel: {env: local, n_workers: 2, shard_size: 1}");
    for moment in moments(40).step_by(2) {
        killed_after(&recipe, moment, &[]);
    }
    recipe.finish_and_compare(&[]);
}

#[test]
fn killed_while_it_clears() {
    let recipe = Recipe::new("toy: {n: 60}\nparallel: {env: local, shard_size: 2}");
    recipe.run(&[]).expect_code(0);
    for moment in moments(20) {
        killed_after(&recipe, moment, &["--restart"]);
    }
    recipe.run(&["--restart", "--set", "toy.salt=new"]).expect_code(0);
    assert_eq!(recipe.results().matches("new").count(), 60);
    recipe.run(&["--restart"]).expect_code(0);
    recipe.compare();
}

/// What a killed process was writing under another name does not stay.
#[test]
fn no_scratch_files_are_left() {
    let recipe = Recipe::new("toy: {n: 60, files: true}\nparallel: {env: local, shard_size: 20}");
    for moment in moments(30) {
        killed_after(&recipe, moment, &[]);
        if recorded(&recipe.root).len() > 40 {
            killed_after(&recipe, moment, &["--restart"]);
        }
    }
    recipe.run(&[]).expect_code(0);
    let scratch: Vec<_> = crate::common::disk::snapshot(&recipe.root)
        .into_keys()
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Those of jobs/ and workers/ are a line each, and nobody's results.
            name.starts_with('.') && path.components().any(|part| part.as_os_str() == "shards")
        })
        .collect();
    assert!(scratch.is_empty(), "{scratch:?}");
}

#[test]
fn interrupted_ten_times() {
    let recipe = Recipe::held_at(
        1999,
        "toy: {n: 2000, sleep_ms: 4, files: true}\nparallel: {env: local, n_workers: 3, shard_size: 50}",
    );
    for round in 0..10 {
        let before = recorded(&recipe.root).len();
        let driver = recipe.start_run(&[]);
        wait_until("records", || recorded(&recipe.root).len() > before + round);
        driver.signal([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP][round % 3]);
        driver.wait().expect_code(130);
        assert_eq!(claimed(&recipe.root), [""; 0]);
    }
    recipe.finish_and_compare(&[]);
    check_files(&recipe.root);
}

/// Failed items tried again come last in the shard's file; a kill in between changes nothing.
#[test]
fn killed_while_it_retries() {
    for files in [false, true] {
        let recipe = Recipe::new(&format!(
            "toy: {{n: 40, sleep_ms: 10, files: {files}}}\nparallel: {{env: local, shard_size: 20}}"
        ));
        let faults = recipe.path("faults.json");
        let set = format!("toy.faults_file={}", faults.display());
        let failing = [0, 3, 4, 11, 19, 20, 30, 39];
        let list: Vec<_> = failing.iter().map(|idx| format!("\"{idx}\": \"error\"")).collect();
        fs::write(&faults, format!("{{{}}}", list.join(","))).expect("writes");
        recipe.run(&["--set", &set]).expect_code(1);
        fs::write(&faults, "{}").expect("writes");
        for _ in 0..2 {
            let before = recorded(&recipe.root).len();
            let driver = recipe.start_run(&["--set", &set, "--retry-failed"]);
            wait_until("a record", || recorded(&recipe.root).len() > before);
            kill_all(&recipe.root, Some(driver.pid()));
        }
        recipe.run(&["--set", &set, "--retry-failed"]).expect_code(0);
        let times = times_computed(&recipe.root);
        assert!(times.iter().all(|(idx, times)| failing.contains(idx) || *times == 1), "{times:?}");
        let items = recipe.results().lines().count();
        assert_eq!(items, 40);
        if files {
            check_places(&recipe.root);
        } else {
            recipe.compare();
        }
    }
}
