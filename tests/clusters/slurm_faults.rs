//! A real Slurm in trouble: no record lost, none doubled, and the run completes by itself.

use std::fs;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::disk::{claimed, recorded};
use crate::common::processes::{send, tasks, workers};
use crate::common::recipe::{Call, Recipe};
use crate::common::until::{until, until_within, wait_until};
use crate::slurm::{job_id, say, section, tasks_in};

/// Slurm notices a lost node, and the driver asks, within this.
const LONG: Duration = Duration::from_secs(150);

fn recipe(n_workers: u32) -> Recipe {
    let config = format!("toy: {{n: 600, sleep_ms: 20, files: true}}\n{}", section(n_workers, ""));
    Recipe::held_at(599, &config)
}

/// A recipe that is run, and has records.
fn at_work(n_workers: u32) -> (Recipe, Call) {
    let recipe = recipe(n_workers);
    let run = recipe.start_run(&[]);
    wait_until("records", || recorded(&recipe.root).len() >= 40);
    (recipe, run)
}

/// The host of a worker that holds a shard.
fn busy_node(recipe: &Recipe) -> String {
    until("a worker at work", || {
        let status = recipe.status();
        let shards = status["unfinished"].as_array()?;
        let shard = shards.iter().find(|shard| shard["state"] == "running")?;
        Some(shard["host"].as_str()?.to_owned())
    })
}

fn cluster(action: &str, more: &[&str]) {
    let conf = std::env::var("SLURM_CONF").expect("is Slurm up?");
    let folder = conf.strip_suffix("/etc/slurm.conf").expect("as slurm.sh makes it");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clusters/slurm.sh");
    let mut command = Command::new(script);
    let status = command.args([action, folder]).args(more).status().expect("slurm.sh starts");
    assert!(status.success(), "slurm.sh {action}");
}

/// Runs to the end, however long the scheduler takes.
fn finish(recipe: &Recipe, run: Call) {
    recipe.release();
    run.wait_within(LONG).expect_code(0);
    recipe.compare();
}

#[test]
#[ignore = "needs a real Slurm of its own"]
fn a_node_set_down() {
    let (recipe, run) = at_work(6);
    let node = busy_node(&recipe);
    say("scontrol", &["update", &format!("nodename={node}"), "state=down", "reason=test"]);
    finish(&recipe, run);
    // Slurm takes a node that answers back by itself.
}

#[test]
#[ignore = "needs a real Slurm of its own"]
fn a_node_gone_with_all_that_ran_on_it() {
    let (recipe, run) = at_work(6);
    let node = busy_node(&recipe);
    cluster("kill", &[&node]);
    finish(&recipe, run);
    cluster("up", &[]);
}

#[test]
#[ignore = "needs a real Slurm of its own"]
fn one_task_cancelled() {
    let (recipe, run) = at_work(4);
    let job = job_id(&recipe);
    let task = tasks_in(&job, "running").remove(0);
    say("scancel", &[&format!("{job}_{task}")]);
    finish(&recipe, run);
}

#[test]
#[ignore = "needs a real Slurm of its own"]
fn all_tasks_killed_without_a_word() {
    let (recipe, run) = at_work(3);
    for process in tasks(&recipe.root).into_iter().chain(workers(&recipe.root)) {
        send(process.pid, Signal::SIGKILL);
    }
    // The driver learns it from Slurm, and submits again.
    finish(&recipe, run);
    assert!(recipe.status()["jobs"].as_array().expect("a list").len() >= 2);
}

#[test]
#[ignore = "needs a real Slurm of its own"]
fn past_its_time_limit() {
    let config = "toy: {n: 60, sleep_ms: 4000}\n\
        parallel: {env: slurm, n_workers: 2, shards: 2, options: {cores: 1, memory: 100MB, walltime: 1m}}";
    let recipe = Recipe::new(config);
    let run = recipe.start_run(&[]);
    run.wait_within(Duration::from_secs(300)).expect_code(0);
    recipe.compare();
    // Each worker stopped before Slurm had to kill it: no shard was ever taken from a dead one.
    let status = recipe.status();
    let workers = status["workers"].as_array().expect("a list");
    let ends: Vec<_> = workers.iter().map(|worker| &worker["ended"]["how"]).collect();
    assert!(ends.iter().all(|how| **how == "finished" || **how == "stopped"), "{ends:?}");
    assert!(ends.iter().filter(|how| **how == "stopped").count() >= 2, "{ends:?}");
    assert!(status["jobs"].as_array().expect("a list").len() >= 2);
    let job = job_id(&recipe);
    let killed = say("squeue", &["-h", "-r", "-t", "timeout", "-o", "%i"]);
    assert!(!killed.contains(&job), "{killed}");
}

#[test]
#[ignore = "needs a real Slurm of its own"]
fn requeued_beside_its_living_first_copy() {
    let recipe = recipe(3);
    let run = recipe.start_run(&[]);
    wait_until("all but one", || recorded(&recipe.root).len() == 599);
    wait_until("the others to end", || workers(&recipe.root).len() == 1);
    let first_copy = workers(&recipe.root).remove(0).pid;
    let job = job_id(&recipe);
    // Slurm believes the node lost, and what runs there lives on.
    let node = busy_node(&recipe);
    let conf = std::env::var("SLURM_CONF").expect("is Slurm up?");
    let pid = fs::read_to_string(conf.replace("etc/slurm.conf", &format!("pid/slurmd.{node}")));
    let slurmd: u32 = pid.expect("slurmd wrote it").trim().parse().expect("a pid");
    send(slurmd, Signal::SIGKILL);
    until_within("the requeue", LONG, || {
        let told = say("scontrol", &["show", "job", &job]);
        told.lines().any(|line| line.contains("Restarts=1")).then_some(())
    });
    assert!(workers(&recipe.root).iter().any(|worker| worker.pid == first_copy));
    until_within("the second copy", LONG, || {
        workers(&recipe.root).iter().any(|worker| worker.pid != first_copy).then_some(())
    });
    finish(&recipe, run);
    cluster("up", &[]);
}

#[test]
#[ignore = "needs a real Slurm of its own"]
fn slurmctld_stopped_for_a_while() {
    let (recipe, run) = at_work(3);
    let conf = std::env::var("SLURM_CONF").expect("is Slurm up?");
    let pid = fs::read_to_string(conf.replace("etc/slurm.conf", "pid/slurmctld"));
    let slurmctld: u32 = pid.expect("slurmctld wrote it").trim().parse().expect("a pid");
    // Not killed: Slurm itself takes minutes to find out about jobs that it could not save, and they are
    // run again then.
    send(slurmctld, Signal::SIGTERM);
    let before = recorded(&recipe.root).len();
    let status = until_within("the complaint", LONG, || {
        let status = recipe.status();
        status["scheduler_error"].is_string().then_some(status)
    });
    assert!(status["scheduler_error"].as_str().is_some_and(|error| error.contains("squeue")));
    assert_eq!(status["state"], "running");
    assert!(recorded(&recipe.root).len() > before, "the workers go on");
    std::thread::sleep(Duration::from_secs(5));
    cluster("up", &[]);
    finish(&recipe, run);
    assert_eq!(claimed(&recipe.root), [""; 0]);
}

/// Of two runs in the same directory, one after the other, each has a job 1.
#[test]
#[ignore = "needs a real Slurm"]
fn an_answer_about_the_run_before_is_not_taken_for_this_ones() {
    let config = format!("toy: {{n: 4}}\n{}", section(2, ""));
    let recipe =
        Recipe::new(&config.replace("cores: 1", "cores: 1, job_extra_directives: [--hold]"));
    recipe.run(&["--detach"]).expect_code(0);
    let before = job_id(&recipe);
    let folder = recipe.path("slow");
    fs::create_dir(&folder).expect("makes the folder");
    let script = "#!/bin/bash\ntouch slow.asked; sleep 3; PATH=${PATH#*:} exec squeue \"$@\"\n";
    fs::write(folder.join("squeue"), script).expect("writes");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.join("squeue"), mode).expect("sets the mode");
    let status = recipe.start_with(&["status", recipe.root_text()], |command| {
        let path = std::env::var("PATH").expect("there is a PATH");
        command.env("PATH", format!("{}:{path}", folder.display()));
    });
    wait_until("the question", || recipe.root.join("slow.asked").exists());
    recipe.run(&["--restart", "--detach"]).expect_code(0);
    assert_ne!(job_id(&recipe), before);
    status.wait();
    assert_eq!(recipe.status()["state"], "queued");
    recipe.call(&["cancel", recipe.root_text()]).expect_code(0);
}
