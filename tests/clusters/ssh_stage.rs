//! `stage: true`: hosts that share no file system with this one. What they share in these tests is
//! not used: all of theirs goes to a directory that is another one on each of them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::disk::{check_files, claimed, recorded};
use crate::common::recipe::Recipe;
use crate::common::until::wait_until;
use crate::ssh::{hosts, site};

const LONG: Duration = Duration::from_secs(120);

fn recipe(toy: &str, n_workers: u32) -> Recipe {
    let site = site();
    Recipe::new(&format!(
        "toy: {{{toy}}}\nparallel: {{env: ssh, n_workers: {n_workers}, options: {{hosts: [h1, h2], \
         stage: true, stage_directory: \"{site}/scratch/it's here\", \
         connect_options: {{config: {site}/ssh_config}}}}}}"
    ))
}

#[test]
#[ignore = "needs real hosts"]
fn the_same_bytes() {
    let recipe = recipe("n: 300, sleep_ms: 5, files: true, faults: {17: error}", 4);
    let wanted = recipe.undisturbed_with_code(1);
    recipe.start_run(&[]).wait_within(LONG).expect_code(1);
    assert_eq!(recipe.results(), wanted);
    check_files(&recipe.root);
    // It was there, and not here.
    for host in ["h1", "h2"] {
        let folder = format!("{}/private/{host}/it's here", site());
        assert!(Path::new(&folder).is_dir(), "{folder}");
    }
    assert_eq!(fs::read_dir(format!("{}/scratch", site())).expect("lists").count(), 0);
    recipe.run(&["--restart", "--detach"]).expect_code(0);
    wait_until("the detached run", || recipe.status()["state"] == "some_failed");
    recipe.call(&["collect", recipe.root_text()]).expect_code(1);
    assert_eq!(recipe.results(), wanted, "detached");
}

#[test]
#[ignore = "needs real hosts of its own"]
fn a_host_that_dies_costs_its_own_workers_only() {
    let recipe = recipe("n: 600, sleep_ms: 20, files: true", 4);
    let run = recipe.start_run(&[]);
    wait_until("records", || recorded(&recipe.root).len() >= 40);
    hosts("kill", &["h2"]);
    run.wait_within(LONG).expect_code(0);
    recipe.compare();
    check_files(&recipe.root);
    hosts("up", &[]);
}

#[test]
#[ignore = "needs real hosts"]
fn killed_interrupted_cancelled_and_resumed() {
    let recipe = recipe("n: 1200, sleep_ms: 20, files: true", 4);
    let run = recipe.start_run(&[]);
    wait_until("records", || recorded(&recipe.root).len() >= 40);
    run.signal(Signal::SIGKILL);
    run.wait().expect_signal(Signal::SIGKILL);
    wait_until("the couriers to give back", || claimed(&recipe.root).is_empty());
    let run = recipe.start_run(&[]);
    let before = recorded(&recipe.root).len();
    wait_until("more records", || recorded(&recipe.root).len() >= before + 40);
    run.signal(Signal::SIGINT);
    run.wait_within(LONG).expect_code(130);
    assert_eq!(claimed(&recipe.root), [""; 0]);
    recipe.run(&["--detach"]).expect_code(0);
    let before = recorded(&recipe.root).len();
    wait_until("more records", || recorded(&recipe.root).len() >= before + 40);
    recipe.call(&["cancel", recipe.root_text()]).expect_code(0);
    assert_eq!(claimed(&recipe.root), [""; 0]);
    recipe.start_run(&[]).wait_within(LONG).expect_code(0);
    recipe.compare();
    check_files(&recipe.root);
}
