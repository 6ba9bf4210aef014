//! Two drivers on one run directory.

use std::fs;

use nix::sys::signal::Signal;

use crate::common::disk::{check_files, times_computed};
use crate::common::recipe::{Recipe, assert_same};
use crate::common::until::wait_until;

#[test]
fn started_together_they_share_the_work() {
    for round in 0..5 {
        let files = round == 0;
        let recipe = Recipe::new(&format!(
            "toy: {{n: 120, sleep_ms: 1, files: {files}}}\n\
             parallel: {{env: local, n_workers: 2, shard_size: 6}}"
        ));
        let drivers = [recipe.start_run(&[]), recipe.start_run(&[])];
        for driver in drivers {
            driver.wait().expect_code(0);
        }
        let times = times_computed(&recipe.root);
        let twice: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
        assert!(times.len() == 120 && twice.is_empty(), "{twice:?}");
        recipe.compare();
        if files {
            check_files(&recipe.root);
        }
    }
}

/// Of two drivers with two configs one plans and the other is refused.
#[test]
fn with_two_configs_one_is_refused() {
    let recipe = Recipe::new("toy: {n: 20}\nparallel: {env: local}");
    let gate = format!("toy.gate={}", recipe.path("gate").display());
    let second = recipe.start_run(&["--set", "toy.salt=second", "--set", &gate]);
    // It has seen that there is no run yet when it counts the items.
    wait_until("the second driver to plan", || recipe.path("gate.asked").exists());
    recipe.run(&[]).expect_code(0);
    let results = recipe.results();
    fs::write(recipe.path("gate"), "").expect("opens the gate");
    second.wait().expect_code(2).expect_says("toy.salt");
    assert_same(&recipe.results(), &results);
}

/// The second one waits for what the first one's workers hold, and goes on where they gave back.
#[test]
fn one_goes_on_when_the_other_is_stopped() {
    let recipe = Recipe::new("toy: {n: 4}\nparallel: {env: local, n_workers: 4, shard_size: 1}");
    let faults = recipe.path("faults.json");
    let set = format!("toy.faults_file={}", faults.display());
    fs::write(&faults, r#"{"0": "hang", "1": "hang", "2": "hang", "3": "hang"}"#).expect("writes");
    let first = recipe.start_run(&["--set", &set]);
    wait_until("all to hang", || times_computed(&recipe.root).len() == 4);
    let mut second = recipe.start_run(&["--set", &set]);
    first.signal(Signal::SIGINT);
    first.wait().expect_code(130);
    assert!(second.running());
    fs::write(&faults, "{}").expect("writes");
    second.wait().expect_code(0);
    assert_eq!(recipe.results().lines().count(), 4);
}
