//! The same recipe, on another cluster by `parallel.env` alone, gives the same bytes: waiting and
//! detached.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nix::sys::stat::{Mode, umask};

use crate::common::disk::{claimed, recorded};
use crate::common::processes::of_run;
use crate::common::recipe::Recipe;
use crate::common::until::{until_within, wait_until};

/// A scheduler that was just started takes its time for the first job.
const LONG: Duration = Duration::from_secs(150);

/// One section for all clusters: what one of them has no use for it passes by.
const SECTION: &str = "\
parallel:
  env: local
  n_workers: 3
  shards: 24
  options:
    cores: 1
    memory: 100MB
    disk: 10MB
    walltime: \"00:10:00\"
    hosts: [h1, h2, h3]
    connect_options: {config: \"SSH_CONFIG\"}
";

fn section() -> String {
    SECTION.replace("SSH_CONFIG", &std::env::var("PAR_SSH_CONFIG").unwrap_or_default())
}

fn recipe() -> Recipe {
    let toy = "toy: {n: 300, sleep_ms: 5, files: true, faults: {17: error}}";
    Recipe::new(&format!("{toy}\n{}", section()))
}

/// A recipe in a folder where others may write: HTCondor refuses root's jobs, and runs them as
/// another user.
fn for_all_users(recipe: Recipe) -> Recipe {
    umask(Mode::empty());
    let folder = recipe.path("");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("sets the mode");
    recipe
}

fn same_bytes_on(env: &str) {
    let recipe = for_all_users(recipe());
    let wanted = recipe.undisturbed_with_code(1);
    let env = format!("parallel.env={env}");
    recipe.start_run(&["--set", &env]).wait_within(LONG).expect_code(1);
    assert_eq!(recipe.results(), wanted, "waiting");
    recipe.run(&["--set", &env, "--restart", "--detach"]).expect_code(0);
    until_within("the detached run", LONG, || {
        (recipe.status()["state"] == "some_failed").then_some(())
    });
    recipe.call(&["collect", recipe.root_text()]).expect_code(1);
    assert_eq!(recipe.results(), wanted, "detached");
}

fn cancelled_and_resumed_on(env: &str) {
    let recipe = Recipe::held_at(99, &format!("toy: {{n: 100, sleep_ms: 20}}\n{}", section()));
    let recipe = for_all_users(recipe);
    let env = format!("parallel.env={env}");
    recipe.run(&["--set", &env, "--detach"]).expect_code(0);
    until_within("records", LONG, || (recorded(&recipe.root).len() >= 30).then_some(()));
    let status = recipe.status();
    assert_eq!(status["state"], "running", "{status:#}");
    recipe.call(&["cancel", recipe.root_text()]).expect_code(0);
    assert_eq!(recipe.status()["state"], "stopped");
    assert_eq!(claimed(&recipe.root), [""; 0]);
    wait_until("the tasks to end", || of_run(&recipe.root).is_empty());
    recipe.release();
    recipe.start_run(&["--set", &env]).wait_within(LONG).expect_code(0);
    recipe.compare();
}

/// Classes in Python that write their results themselves.
fn python_on(env: &str) {
    let classes = "provider: {_target_: squares.Provider}\nrunner: {_target_: squares.Runner}";
    let program = env!("CARGO_BIN_EXE_espnet3-par").into();
    let python = "python: /usr/bin/python3\nsize: 100";
    let config = format!("{classes}\n{python}\n{}", section());
    let recipe = for_all_users(Recipe::of(program, &config));
    fs::write(recipe.path("squares.py"), include_str!("squares.py")).expect("writes");
    let env = format!("parallel.env={env}");
    recipe.start_run(&["--set", &env]).wait_within(LONG).expect_code(1);
    let wanted = (0..100).filter(|idx| *idx != 17).map(|idx| format!("{idx} {}\n", idx * idx));
    let squares = fs::read_to_string(recipe.root.join("squares")).expect("was merged");
    assert_eq!(squares, wanted.collect::<String>());
    let errors = fs::read_to_string(recipe.root.join("errors.jsonl")).expect("one failed");
    assert!(errors.starts_with("{\"idx\":17,\"kind\":\"error\",\"error\":\"ValueError: seventeen"));
}

fn whole_run_on(env: &str) {
    same_bytes_on(env);
    python_on(env);
    cancelled_and_resumed_on(env);
}

#[test]
#[ignore = "needs a real Slurm"]
fn slurm() {
    whole_run_on("slurm");
}

#[test]
#[ignore = "needs real hosts"]
fn ssh() {
    whole_run_on("ssh");
}

#[test]
#[ignore = "needs a real Grid Engine"]
fn sge() {
    whole_run_on("sge");
}

#[test]
#[ignore = "needs a real HTCondor"]
fn htcondor() {
    whole_run_on("htcondor");
}

#[test]
#[ignore = "needs the PBS commands over Slurm"]
fn torque_commands_over_slurm() {
    whole_run_on("torque");
}

#[test]
#[ignore = "needs the PBS commands over Slurm"]
fn pbs_commands_over_slurm() {
    whole_run_on("pbs");
}
