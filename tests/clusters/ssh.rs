//! Real hosts, reached by ssh, that die, are cut off, refuse; and what a driver's end means there.

use std::fs;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::disk::{claimed, recorded};
use crate::common::processes::{of_run, workers};
use crate::common::recipe::Recipe;
use crate::common::until::{until, wait_until};

/// ssh notices a host that went silent within half a minute.
const LONG: Duration = Duration::from_secs(120);

pub(crate) fn section(hosts: &str, n_workers: u32) -> String {
    let config = std::env::var("PAR_SSH_CONFIG").expect("are the hosts up?");
    format!(
        "parallel: {{env: ssh, n_workers: {n_workers}, \
         options: {{hosts: {hosts}, connect_options: {{config: {config}}}}}}}"
    )
}

fn recipe(hosts: &str, n_workers: u32) -> Recipe {
    let section = section(hosts, n_workers);
    Recipe::held_at(599, &format!("toy: {{n: 600, sleep_ms: 20, files: true}}\n{section}"))
}

/// The folder of the hosts, as ssh.sh knows it.
pub(crate) fn site() -> String {
    let config = std::env::var("PAR_SSH_CONFIG").expect("are the hosts up?");
    config.trim_end_matches("/ssh_config").to_owned()
}

pub(crate) fn hosts(action: &str, more: &[&str]) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clusters/ssh.sh");
    let status = Command::new(script).arg(action).arg(site()).args(more).status();
    assert!(status.expect("ssh.sh starts").success(), "ssh.sh {action}");
}

/// A host that is cut off, until this is dropped: tests after a failed one need it.
struct Cut<'a>(&'a str);

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        hosts("heal", &[self.0]);
    }
}

fn wait_for_records(recipe: &Recipe) {
    wait_until("records", || recorded(&recipe.root).len() >= 40);
}

/// The host that works at the item that does not end.
fn last_host(recipe: &Recipe) -> String {
    wait_until("all but one", || recorded(&recipe.root).len() == 599);
    // The others' shards are theirs until they are committed.
    until("one shard in hand", || {
        let status = recipe.status();
        match status["unfinished"].as_array()?.as_slice() {
            [shard] if shard["state"] == "running" => Some(shard["host"].as_str()?.to_owned()),
            _ => None,
        }
    })
}

#[test]
#[ignore = "needs real hosts of its own"]
fn a_host_that_dies_costs_its_own_workers_only() {
    let recipe = recipe("[h1, h2, h3]", 6);
    let run = recipe.start_run(&[]);
    wait_for_records(&recipe);
    hosts("kill", &["h2"]);
    recipe.release();
    run.wait_within(LONG).expect_code(0).expect_says("warning: h2: ");
    recipe.compare();
    hosts("up", &[]);
}

#[test]
#[ignore = "needs real hosts of its own"]
fn a_host_that_is_cut_off_loses_its_shard_and_finds_out() {
    let recipe = recipe("[h1, h2, h3]", 3);
    let run = recipe.start_run(&[]);
    let host = last_host(&recipe);
    // The others end: there is nothing left for them.
    let cut_off = until("one worker", || match &workers(&recipe.root)[..] {
        [last] => Some(last.pid),
        _ => None,
    });
    let cut = Cut(&host);
    hosts("cut", &[cut.0]);
    // The driver starts others; the worker that is cut off leaves when it sees that.
    wait_until("the other workers", || {
        let living = workers(&recipe.root);
        living.iter().all(|worker| worker.pid != cut_off) && !living.is_empty()
    });
    recipe.release();
    run.wait_within(LONG).expect_code(0).expect_says(&format!("warning: {host}: "));
    recipe.compare();
}

#[test]
#[ignore = "needs real hosts of its own"]
fn a_host_that_refuses_is_told_and_done_without() {
    let recipe = recipe("[h1, 127.0.0.1]", 4);
    recipe.release();
    recipe.run(&[]).expect_code(0).expect_says("warning: 127.0.0.1: ");
    recipe.compare();
    recipe.run(&["--restart", "--detach"]).expect_code(0).expect_says("warning: 127.0.0.1: ");
    wait_until("the detached run", || recipe.status()["state"] == "done");
}

#[test]
#[ignore = "needs real hosts"]
fn no_host_at_all() {
    let recipe = recipe("[127.0.0.1, nosuch.invalid]", 2);
    recipe.run(&[]).expect_code(4).expect_says("failed to start workers on any host");
    recipe.run(&["--detach"]).expect_code(4).expect_says("127.0.0.1: ");
}

#[test]
#[ignore = "needs real hosts"]
fn workers_end_with_their_driver() {
    let recipe = recipe("[h1, h3]", 4);
    let run = recipe.start_run(&[]);
    wait_for_records(&recipe);
    run.signal(Signal::SIGKILL);
    run.wait().expect_signal(Signal::SIGKILL);
    wait_until("the workers to end", || of_run(&recipe.root).is_empty());
    assert_eq!(claimed(&recipe.root), [""; 0]);
    let run = recipe.start_run(&[]);
    wait_until("more records", || recorded(&recipe.root).len() >= 200);
    run.signal(Signal::SIGINT);
    run.wait().expect_code(130);
    wait_until("the workers to end", || of_run(&recipe.root).is_empty());
    assert_eq!(claimed(&recipe.root), [""; 0]);
    recipe.finish_and_compare(&[]);
}

#[test]
#[ignore = "needs real hosts of its own"]
fn forty_workers_on_a_host_are_one_login() {
    let logins = || {
        let log = fs::read_to_string(format!("{}/log/h1", site())).expect("sshd writes it");
        log.matches("Accepted publickey").count()
    };
    let recipe = recipe("[\"h1*40\"]", 40);
    let before = logins();
    let run = recipe.start_run(&[]);
    wait_until("forty workers", || workers(&recipe.root).len() == 40);
    assert_eq!(logins(), before + 1);
    recipe.release();
    run.wait().expect_code(0);
    recipe.compare();
}
