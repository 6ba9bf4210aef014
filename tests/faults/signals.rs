//! Asked to stop: shards are given back, the user is told how to resume.

use nix::sys::signal::Signal;

use crate::common::disk::{claimed, recorded};
use crate::common::processes::of_run;
use crate::common::recipe::Recipe;
use crate::common::until::wait_until;

fn stopped_by(signal: Signal) {
    let recipe = Recipe::held_at(
        299,
        "toy: {n: 300, sleep_ms: 5}\nparallel: {env: local, n_workers: 2, shard_size: 30}",
    );
    let driver = recipe.start_run(&[]);
    wait_until("records", || recorded(&recipe.root).len() >= 10);
    driver.signal(signal);
    driver.wait().expect_code(130).expect_says("resume");
    assert_eq!(claimed(&recipe.root), [""; 0]);
    assert!(of_run(&recipe.root).is_empty());
    assert_eq!(recipe.status()["state"], "incomplete");
    recipe.finish_and_compare(&[]);
}

#[test]
fn sigint_gives_back() {
    stopped_by(Signal::SIGINT);
}

#[test]
fn sigterm_gives_back() {
    stopped_by(Signal::SIGTERM);
}

#[test]
fn sighup_gives_back() {
    stopped_by(Signal::SIGHUP);
}

/// A stage that hangs does not keep its worker from giving back.
#[test]
fn sigint_ends_hanging_items() {
    let recipe = Recipe::new(
        "toy: {n: 20, faults: {5: hang, 15: hang}}\nparallel: {env: local, n_workers: 2, shard_size: 10}",
    );
    let driver = recipe.start_run(&[]);
    wait_until("records", || recorded(&recipe.root).len() == 10);
    driver.signal(Signal::SIGINT);
    driver.wait().expect_code(130);
    assert_eq!(claimed(&recipe.root), [""; 0]);
}

#[test]
fn sigint_of_a_run_in_this_process() {
    let recipe =
        Recipe::held_at(299, "toy: {n: 300, sleep_ms: 5}\nparallel: {env: local, shard_size: 30}");
    let driver = recipe.start_run(&["--in-process"]);
    wait_until("records", || recorded(&recipe.root).len() >= 10);
    driver.signal(Signal::SIGINT);
    driver.wait().expect_code(130);
    assert_eq!(claimed(&recipe.root), [""; 0]);
    recipe.finish_and_compare(&["--in-process"]);
}

/// A worker that is stopped hears nothing: the second SIGINT kills it.
#[test]
fn a_second_sigint_kills() {
    let recipe = Recipe::new(
        "toy: {n: 20, sleep_ms: 20}\nparallel: {env: local, n_workers: 2, shard_size: 10}",
    );
    let mut driver = recipe.start_run(&[]);
    wait_until("records", || recorded(&recipe.root).len() >= 2);
    for worker in crate::common::processes::workers(&recipe.root) {
        crate::common::processes::send(worker.pid, Signal::SIGSTOP);
    }
    driver.signal(Signal::SIGINT);
    let err = recipe.path("0.err");
    let told = || std::fs::read_to_string(&err).unwrap_or_default().contains("once more");
    wait_until("the driver to say what a second one does", told);
    assert!(driver.running(), "nobody gave back, and it did not wait");
    driver.signal(Signal::SIGINT);
    driver.wait().expect_code(130);
    wait_until("the workers to be gone", || of_run(&recipe.root).is_empty());
    recipe.finish_and_compare(&[]);
}

/// The terminal is gone: nobody reads what the driver says any more.
#[test]
fn sighup_of_a_closed_terminal() {
    let recipe = Recipe::held_at(
        299,
        "toy: {n: 300, sleep_ms: 5}\nparallel: {env: local, n_workers: 2, shard_size: 30}",
    );
    let (reader, writer) = std::io::pipe().expect("makes a pipe");
    let driver = recipe.start_with(&["run", "conf.yaml"], |command| {
        command.stderr(writer);
    });
    wait_until("records", || recorded(&recipe.root).len() >= 10);
    drop(reader);
    driver.signal(Signal::SIGHUP);
    driver.wait().expect_code(130);
    wait_until("the workers to be gone", || of_run(&recipe.root).is_empty());
    assert_eq!(claimed(&recipe.root), [""; 0]);
    recipe.finish_and_compare(&[]);
}

/// `nohup` means that the end of the terminal is not the run's.
#[test]
fn sighup_that_is_ignored() {
    let recipe = Recipe::held_at(
        299,
        "toy: {n: 300, sleep_ms: 1}\nparallel: {env: local, n_workers: 2, shard_size: 30}",
    );
    let toy = crate::common::recipe::toy();
    let driver = recipe.start_with(&[], |command| {
        *command = std::process::Command::new("nohup");
        command.arg(toy).args(["run", "conf.yaml"]).current_dir(recipe.path(""));
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
    });
    wait_until("records", || recorded(&recipe.root).len() >= 10);
    driver.signal(Signal::SIGHUP);
    recipe.release();
    driver.wait().expect_code(0);
    recipe.finish_and_compare(&[]);
}
