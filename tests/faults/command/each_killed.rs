//! kill -9 of driver, task and workers, while programs run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use nix::sys::signal::Signal;

use super::{lines, pid_in, recipe, wait_until_gone};
use crate::common::disk::recorded;
use crate::common::processes::{kill_all, of_run, send, workers};
use crate::common::recipe::Recipe;
use crate::common::until::wait_until;

const KILLS: usize = 10;

/// How often each item's program began.
fn begun(recipe: &Recipe) -> BTreeMap<String, usize> {
    let mut begun = BTreeMap::new();
    for line in lines(recipe, "begun") {
        *begun.entry(line).or_default() += 1;
    }
    begun
}

#[test]
fn resumed_to_the_record_and_what_is_recorded_is_not_done_again() {
    let recipe = recipe(
        300,
        "echo $1 >> begun; sleep 0.01; echo $1 > $2/$1.txt",
        "command: {manifest: text, argv: [sh, serve, '{utt_id}', '{out}'], seconds: false}\n\
         parallel: {env: local, n_workers: 2, shard_size: 50}",
    );
    let tmp = recipe.path("tmp");
    fs::create_dir(&tmp).expect("makes the folder");
    let mut known: BTreeSet<u64> = BTreeSet::new();
    let mut counts = BTreeMap::new();
    for kill in 0..=KILLS {
        let driver = recipe.start_with(&["run", "conf.yaml"], |run| _ = run.env("TMPDIR", &tmp));
        if kill < KILLS {
            let wanted = known.len() + 3 + 5 * (kill % 3);
            wait_until("records", || recorded(&recipe.root).len() >= wanted);
            kill_all(&recipe.root, Some(driver.pid()));
            // The keepers see to the rest: nothing runs on, and no folder is left.
            wait_until("folders to go", || fs::read_dir(&tmp).expect("is there").count() == 0);
        } else {
            driver.wait().expect_code(0);
        }
        for idx in &known {
            let item = format!("utt{idx}");
            assert_eq!(begun(&recipe).get(&item), counts.get(&item), "{item} was done again");
        }
        let now = recorded(&recipe.root);
        assert!(known.is_subset(&now), "lost {:?}", known.difference(&now));
        (known, counts) = (now, begun(&recipe));
    }
    assert_eq!(known.len(), 300);
    assert_eq!(counts.len(), 300);
    recipe.compare();
    for idx in 0..300 {
        let place = recipe.root.join(format!("shards/split.{}/utt{idx}.txt", idx / 50));
        assert_eq!(fs::read_to_string(place).expect("is there"), format!("utt{idx}\n"));
    }
}

/// A recipe whose second program waits with a grandchild that does not hear SIGTERM.
fn held() -> Recipe {
    let serve = r#"
        [ "$1" = utt1 ] || exit 0
        trap '' TERM
        sh -c 'echo $$ > grandchild.new; mv grandchild.new grandchild; sleep 300' &
        echo $$ > child.new; mv child.new child
        wait; sleep 300"#;
    recipe(
        4,
        serve,
        "command: {manifest: text, argv: [sh, serve, '{utt_id}']}\nparallel: {env: local, shards: 1}",
    )
}

#[test]
fn nothing_outlives_a_killed_worker() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let recipe = held();
        let driver = recipe.start_run(&[]);
        let programs = ["child", "grandchild"].map(|name| pid_in(&recipe, name));
        if signal == Signal::SIGKILL {
            kill_all(&recipe.root, Some(driver.pid()));
        } else {
            driver.signal(Signal::SIGINT);
            driver.wait().expect_code(130);
        }
        programs.into_iter().for_each(wait_until_gone);
        assert!(of_run(&recipe.root).is_empty());
    }
}

/// The worker's death alone, its task lives: another worker goes on, and the item is done once more.
#[test]
fn a_killed_workers_items_are_done_by_the_next() {
    let recipe = held();
    let driver = recipe.start_run(&[]);
    let programs = ["child", "grandchild"].map(|name| pid_in(&recipe, name));
    fs::write(recipe.path("serve"), "exit 0").expect("writes");
    for worker in workers(&recipe.root) {
        send(worker.pid, Signal::SIGKILL);
    }
    driver.wait().expect_code(0);
    programs.into_iter().for_each(wait_until_gone);
    assert_eq!(recipe.results().lines().count(), 4);
}

/// The manifest is made anew while the run is at work, and a worker begins after that.
#[test]
fn a_worker_that_finds_another_manifest_computes_nothing() {
    let recipe = held();
    let driver = recipe.start_run(&[]);
    pid_in(&recipe, "child");
    fs::write(recipe.path("serve"), "exit 0").expect("writes");
    let text = fs::read_to_string(recipe.path("text")).expect("reads");
    fs::write(recipe.path("text"), format!("more word 1\n{text}")).expect("writes");
    workers(&recipe.root).iter().for_each(|worker| send(worker.pid, Signal::SIGKILL));
    driver
        .wait()
        .expect_code(3)
        .expect_says("`manifest` is not what it was when the run was planned");
    // utt0 is of before.
    assert!(recorded(&recipe.root).is_subset(&BTreeSet::from([0])));
    fs::write(recipe.path("text"), text).expect("writes");
    recipe.run(&[]).expect_code(0);
    assert_eq!(recipe.results().lines().count(), 4);
}

/// As schedulers end a job: its processes get the signal one after another, the worker last.
#[test]
fn an_item_that_is_ended_with_its_worker_has_not_failed() {
    let serve = "[ -e good ] || { echo $$ > child.new; mv child.new child; exec sleep 300; }";
    let config = "command: {manifest: text, argv: [sh, serve]}\nparallel: {env: local}";
    let recipe = recipe(1, serve, config);
    let driver = recipe.start_run(&[]);
    let child = pid_in(&recipe, "child");
    send(child, Signal::SIGKILL);
    wait_until_gone(child);
    workers(&recipe.root).iter().for_each(|worker| send(worker.pid, Signal::SIGTERM));
    driver.wait().expect_code(3);
    assert_eq!(recipe.status()["items"]["failed"], 0, "{}", recipe.status());
    fs::write(recipe.path("good"), "").expect("writes");
    recipe.run(&[]).expect_code(0);
}
