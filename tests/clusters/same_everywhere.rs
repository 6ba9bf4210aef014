//! The same recipe, on another cluster by `parallel.env` alone, gives the same bytes: waiting and
//! detached.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use crate::common::recipe::Recipe;
use crate::common::until::wait_until;

/// A scheduler that was just started takes its time for the first job.
const LONG: Duration = Duration::from_secs(150);

/// One section for all clusters: what one of them has no use for it passes by.
fn recipe() -> Recipe {
    let ssh = std::env::var("PAR_SSH_CONFIG").unwrap_or_default();
    Recipe::new(&format!(
        "toy: {{n: 300, sleep_ms: 5, files: true, faults: {{17: error}}}}\n\
         parallel:\n  env: local\n  n_workers: 3\n  shards: 24\n  options:\n    \
         cores: 1\n    memory: 100MB\n    disk: 10MB\n    walltime: \"00:10:00\"\n    \
         hosts: [h1, h2, h3]\n    connect_options: {{config: \"{ssh}\"}}"
    ))
}

fn same_on(env: &str) {
    same_as(env, |_| {});
}

/// The same with a change to how `run` is started.
fn same_as(env: &str, user: impl Fn(&mut Command)) {
    let recipe = recipe();
    let wanted = recipe.undisturbed_with_code(1);
    let env = format!("parallel.env={env}");
    let waiting = ["run", "conf.yaml", "--set", &env];
    recipe.start_with(&waiting, &user).wait_within(LONG).expect_code(1);
    assert_eq!(recipe.results(), wanted, "waiting");
    let hosts = recipe.status()["workers"].as_array().expect("a list").clone();
    assert!(!hosts.is_empty());
    let detached = [&waiting[..], &["--restart", "--detach"]].concat();
    recipe.start_with(&detached, &user).wait().expect_code(0);
    wait_until("the detached run", || recipe.status()["state"] == "some_failed");
    recipe.call(&["collect", recipe.root_text()]).expect_code(1);
    assert_eq!(recipe.results(), wanted, "detached");
}

#[test]
#[ignore = "needs a real Slurm"]
fn slurm() {
    same_on("slurm");
}

#[test]
#[ignore = "needs real hosts"]
fn ssh() {
    same_on("ssh");
}

#[test]
#[ignore = "needs a real Grid Engine"]
fn sge() {
    same_on("sge");
}

#[test]
#[ignore = "needs a real HTCondor"]
fn htcondor() {
    // It refuses root's jobs.
    let user = 12345;
    same_as("htcondor", |command| {
        let folder = command.get_current_dir().expect("the recipe's").to_owned();
        std::os::unix::fs::chown(&folder, Some(user), Some(user)).expect("root may");
        command.uid(user).gid(user);
    });
}

#[test]
#[ignore = "needs the PBS commands over Slurm"]
fn torque_commands_over_slurm() {
    same_on("torque");
}

#[test]
#[ignore = "needs the PBS commands over Slurm"]
fn pbs_commands_over_slurm() {
    same_on("pbs");
}
