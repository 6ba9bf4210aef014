//! Two containers on one host can have the same host name and each its own pids.
//!
//! Needs root, for a pid namespace of its own.

use std::process::Command;

use crate::common::disk::{recorded, times_computed};
use crate::common::recipe::{Recipe, toy};
use crate::common::until::wait_until;

const UNSHARE: [&str; 4] = ["--pid", "--fork", "--mount-proc", "--kill-child"];

/// A living worker in another pid namespace of this host is not taken for dead.
#[test]
fn workers_in_another_container_are_not_taken_for_dead() {
    let possible = Command::new("unshare").args(UNSHARE).arg("true").status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this user may not make a pid namespace");
        return;
    }
    let recipe = Recipe::new("toy: {n: 60, sleep_ms: 10}\nparallel: {env: local, shard_size: 30}");
    let driver = recipe.start_run(&[]);
    wait_until("records", || recorded(&recipe.root).len() >= 5);
    let status = Command::new("unshare")
        .args(UNSHARE)
        .arg(toy())
        .args(["run", "conf.yaml"])
        .current_dir(recipe.path(""))
        .output()
        .expect("unshare starts");
    driver.wait().expect_code(0);
    assert!(status.status.success(), "{status:?}");
    recipe.compare();
    let twice = times_computed(&recipe.root).into_iter().filter(|(_, times)| *times > 1).count();
    assert_eq!(twice, 0, "items were computed twice");
}
