//! What a run asks of a real Slurm, and what it leaves.

use std::fs;
use std::process::Command;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::common::recipe::{Call, Recipe};
use crate::common::until::{until, wait_until};
use crate::spy::Spy;

/// A `parallel:` section.
pub(crate) fn section(n_workers: u32, more: &str) -> String {
    format!(
        "parallel: {{env: slurm, n_workers: {n_workers}, {more}\
         options: {{cores: 1, memory: 100MB, walltime: \"00:10:00\"}}}}"
    )
}

/// What a command of Slurm says.
pub(crate) fn say(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output().expect("is Slurm up?");
    assert!(output.status.success(), "{command} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The id of the run's latest job, when Slurm has taken it.
pub(crate) fn job_id(recipe: &Recipe) -> String {
    until("a job id", || {
        let jobs = recipe.root.join("jobs");
        let last = (1..).take_while(|n| jobs.join(format!("{n:03}")).is_dir()).last()?;
        let path = jobs.join(format!("{last:03}/submission.json"));
        let submitted: serde_json::Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        submitted["id"].as_str().map(str::to_owned)
    })
}

/// The tasks of a job that Slurm has in one of these states, by index.
pub(crate) fn tasks_in(job: &str, states: &str) -> Vec<String> {
    let said = say("squeue", &["-h", "-r", "-t", states, "-o", "%i"]);
    let of_job = |line: &str| Some(line.trim().strip_prefix(job)?.strip_prefix('_')?.to_owned());
    said.lines().filter_map(of_job).collect()
}

#[test]
#[ignore = "needs a real Slurm"]
fn one_submission_and_few_questions() {
    let config = format!("toy: {{n: 2048, sleep_ms: 250}}\n{}", section(32, "shards: 512, "));
    let recipe = Recipe::new(&config);
    let spy = Spy::on(&recipe, &["sbatch", "squeue", "scancel"]);
    let since = Instant::now();
    let run = recipe.start_with(&["run", "conf.yaml"], |command| spy.watch(command));
    let job = job_id(&recipe);
    let kept = fs::read_to_string(recipe.root.join("jobs/001/job.sh")).expect("is there");
    assert_eq!(say("scontrol", &["write", "batch_script", &job, "-"]).trim(), kept.trim());
    run.wait().expect_code(0);
    recipe.compare();
    assert_eq!(spy.calls("sbatch").len(), 1);
    let asked = spy.calls("squeue");
    assert!(asked.len() as u64 <= since.elapsed().as_secs() / 30 + 1, "{asked:?}");
    assert!(asked.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 29), "{asked:?}");
}

#[test]
#[ignore = "needs a real Slurm"]
fn however_often_status_is_called_slurm_is_asked_rarely() {
    let recipe = Recipe::held_at(5, &format!("toy: {{n: 10}}\n{}", section(2, "")));
    let spy = Spy::on(&recipe, &["squeue"]);
    recipe.run(&["--detach"]).expect_code(0);
    for _ in 0..5 {
        let arguments = ["status", "--json", recipe.root_text()];
        recipe.start_with(&arguments, |command| spy.watch(command)).wait().expect_code(3);
    }
    assert_eq!(spy.calls("squeue").len(), 1);
    recipe.release();
    wait_until("the run", || recipe.status()["state"] == "done");
}

#[test]
#[ignore = "needs a real Slurm"]
fn status_tells_who_works_and_what_waits() {
    let recipe = Recipe::held_at(5, &format!("toy: {{n: 300, sleep_ms: 50}}\n{}", section(3, "")));
    recipe.run(&["--detach"]).expect_code(0);
    let job = job_id(&recipe);
    let status = until("shards in hand", || {
        let status = recipe.status();
        let shards = status["unfinished"].as_array()?.clone();
        let of = |state: &str| shards.iter().filter(|shard| shard["state"] == state).count();
        (of("running") == 3 && of("waiting") > 0).then_some(status)
    });
    assert_eq!(status["state"], "running");
    assert_eq!(status["jobs"][0]["id"], *job);
    let shards = status["unfinished"].as_array().expect("a list");
    for shard in shards.iter().filter(|shard| shard["state"] == "running") {
        assert!(shard["host"].as_str().is_some_and(|host| host.starts_with('n')), "{shard}");
        assert!(shard["task"].as_u64().is_some_and(|task| task < 3), "{shard}");
        assert!(shard["seen"].as_u64().is_some_and(|seen| seen < 30), "{shard}");
    }
    recipe.call(&["cancel", recipe.root_text()]).expect_code(0);
    wait_until("an empty queue", || tasks_in(&job, "pending,running").is_empty());
    assert_eq!(recipe.status()["state"], "stopped");
    recipe.release();
    recipe.run(&[]).expect_code(0);
    recipe.compare();
}

#[test]
#[ignore = "needs a real Slurm"]
fn three_of_eight_tasks_held_for_ever() {
    let recipe = Recipe::new(&format!("toy: {{n: 400, sleep_ms: 10}}\n{}", held(8)));
    let run = recipe.start_run(&[]);
    let job = job_id(&recipe);
    say("scontrol", &["release", &format!("{job}_[0-4]")]);
    run.wait().expect_code(0);
    recipe.compare();
    wait_until("the held ones to go", || tasks_in(&job, "pending,running").is_empty());
}

#[test]
#[ignore = "needs a real Slurm"]
fn an_array_that_is_too_large_becomes_several() {
    let config = format!("toy: {{n: 200}}\n{}", section(7, "max_array_size: 3, "));
    let recipe = Recipe::new(&config);
    recipe.run(&[]).expect_code(0);
    recipe.compare();
    let status = recipe.status();
    let jobs = status["jobs"].as_array().expect("a list");
    let sizes: Vec<_> = jobs.iter().map(|job| job["tasks"].as_u64().expect("a number")).collect();
    assert_eq!(sizes, [3, 3, 1]);
}

/// `tests/clusters/run.sh` gives Slurm a MaxArraySize of 40.
#[test]
#[ignore = "needs a real Slurm"]
fn the_sites_largest_array_is_found_out() {
    let recipe = Recipe::new(&format!("toy: {{n: 200}}\n{}", section(50, "")));
    recipe.run(&[]).expect_code(0);
    recipe.compare();
    let status = recipe.status();
    let jobs = status["jobs"].as_array().expect("a list");
    let sizes: Vec<_> = jobs.iter().map(|job| job["tasks"].as_u64().expect("a number")).collect();
    assert_eq!(sizes, [40, 10]);
}

#[test]
#[ignore = "needs a real Slurm"]
fn at_most_so_many_run_at_a_time() {
    let config = format!("toy: {{n: 100}}\n{}", section(6, "max_running: 2, "));
    let recipe = Recipe::held_at(1, &config);
    recipe.run(&["--detach"]).expect_code(0);
    let job = job_id(&recipe);
    wait_until("two to run", || tasks_in(&job, "running").len() == 2);
    assert_eq!(tasks_in(&job, "pending").len(), 4);
    let told = say("scontrol", &["show", "job", &job]);
    assert!(told.contains("ArrayTaskThrottle=2"), "{told}");
    recipe.release();
    wait_until("the run", || recipe.status()["state"] == "done");
}

#[test]
#[ignore = "needs a real Slurm"]
fn the_environment_of_workers() {
    let tell =
        "[WORLD_SIZE, WORLD_RANK, OMP_NUM_THREADS, CUDA_VISIBLE_DEVICES, FROM_PROLOGUE, PWD]";
    let recipe = Recipe::new(&format!(
        "toy: {{n: 8, tell: {tell}}}\n\
         parallel: {{env: slurm, n_workers: 4, shards: 8, options: {{cores: 4, processes: 2, \
         memory: 100MB, job_script_prologue: [\"export FROM_PROLOGUE='it is $5'\"], \
         job_extra_directives: [\"--gres=gpu:2\"]}}}}"
    ));
    recipe.run(&[]).expect_code(0);
    let mut ranks = Vec::new();
    for entry in fs::read_dir(recipe.root.join("logs")).expect("lists").flatten() {
        let log = fs::read_to_string(entry.path()).expect("reads");
        let find = |name: &str| {
            let line = log.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
            line.map(str::to_owned)
        };
        let Some(rank) = find("WORLD_RANK") else { continue };
        ranks.push(rank);
        assert_eq!(find("WORLD_SIZE").as_deref(), Some("4"));
        assert_eq!(find("OMP_NUM_THREADS").as_deref(), Some("2"));
        assert_eq!(find("FROM_PROLOGUE").as_deref(), Some("it is $5"));
        // Slurm gives the task both, for its two workers.
        let slot = ranks[ranks.len() - 1].parse::<u32>().expect("a number") % 2;
        assert_eq!(find("CUDA_VISIBLE_DEVICES"), Some(slot.to_string()));
    }
    ranks.sort();
    ranks.dedup();
    assert!(
        !ranks.is_empty() && ranks.iter().all(|rank| ["0", "1", "2", "3"].contains(&rank.as_str()))
    );
}

#[test]
#[ignore = "needs a real Slurm"]
fn odd_names_of_folders_and_jobs() {
    let recipe = Recipe::new(&format!(
        "toy: {{n: 40}}\n{}",
        section(2, "").replace("cores: 1", "cores: 1, job_name: \"it's $HOME; `id` ü\"")
    ));
    let output_dir = recipe.path("my run; echo $HOME 'ü' 50%");
    let set = format!("output_dir={}", output_dir.display());
    recipe.run(&["--set", &set]).expect_code(0);
    let results = fs::read_to_string(output_dir.join("results.jsonl")).expect("was collected");
    assert_eq!(results, recipe.undisturbed());
}

#[test]
#[ignore = "needs a real Slurm"]
fn interrupted_it_cancels_its_jobs_and_resumes() {
    let config = format!("toy: {{n: 400, sleep_ms: 20}}\n{}", section(4, ""));
    let recipe = Recipe::held_at(399, &config);
    let run = recipe.start_run(&[]);
    let job = job_id(&recipe);
    wait_until("records", || crate::common::disk::recorded(&recipe.root).len() > 20);
    run.signal(Signal::SIGINT);
    // A busy slurmctld may let scancel wait for longer than a test usually does.
    run.wait_within(std::time::Duration::from_secs(150)).expect_code(130);
    wait_until("an empty queue", || tasks_in(&job, "pending,running").is_empty());
    // Tasks that are completing count as out of the queue.
    wait_until("shards given back", || crate::common::disk::claimed(&recipe.root).is_empty());
    recipe.finish_and_compare(&[]);
}

#[test]
#[ignore = "needs a real Slurm"]
fn a_second_run_joins_the_jobs_of_the_first() {
    let config = format!("toy: {{n: 400, sleep_ms: 10}}\n{}", section(4, ""));
    let recipe = Recipe::held_at(399, &config);
    let first = recipe.start_run(&[]);
    job_id(&recipe);
    first.signal(Signal::SIGKILL);
    first.wait().expect_signal(Signal::SIGKILL);
    recipe.run(&["--detach"]).expect_code(0).expect_says("has it already");
    let second = recipe.start_run(&[]);
    recipe.release();
    second.wait().expect_code(0).expect_says("waiting for it");
    recipe.compare();
    assert_eq!(recipe.status()["jobs"].as_array().expect("a list").len(), 1);
}

#[test]
#[ignore = "needs a real Slurm"]
fn what_slurm_refuses_is_told_in_its_words() {
    let config = format!("toy: {{n: 4}}\n{}", section(2, ""));
    let recipe = Recipe::new(&config.replace("cores: 1", "cores: 1, queue: nosuch"));
    let refused = recipe.run(&[]).expect_code(4);
    let refused =
        refused.expect_says("failed to submit with `sbatch --parsable ../jobs/001/job.sh`");
    refused.expect_says("invalid partition specified: nosuch");
    let checked = recipe.call(&["check", "conf.yaml"]).expect_code(4);
    checked.expect_says("invalid partition specified: nosuch");
    recipe.run(&["--set", "parallel.options.queue=main"]).expect_code(0);
    recipe.compare();
}

/// The same, and no task starts before `scontrol release`.
fn held(n_workers: u32) -> String {
    let hold = "cores: 1, job_extra_directives: [--hold]";
    section(n_workers, "").replace("cores: 1", hold)
}

/// Starts a run, and is there when Slurm has the job and sbatch has not yet said so.
fn while_it_submits(recipe: &Recipe) -> Call {
    let folder = recipe.path("slow");
    fs::create_dir(&folder).expect("makes the folder");
    let script =
        "#!/bin/bash\nid=$(PATH=${PATH#*:} sbatch \"$@\"); touch slow.asked; sleep 2; echo $id\n";
    fs::write(folder.join("sbatch"), script).expect("writes");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.join("sbatch"), mode).expect("sets the mode");
    let run = recipe.start_with(&["run", "conf.yaml"], |command| {
        let path = std::env::var("PATH").expect("there is a PATH");
        command.env("PATH", format!("{}:{path}", folder.display()));
    });
    wait_until("sbatch", || recipe.root.join("logs/slow.asked").exists());
    run
}

/// Ctrl-C at a terminal reaches sbatch too, were it in the driver's process group.
#[test]
#[ignore = "needs a real Slurm"]
fn interrupted_while_it_submits_it_leaves_no_job() {
    let recipe = Recipe::new(&format!("toy: {{n: 40}}\n{}", held(2)));
    let run = while_it_submits(&recipe);
    run.signal_group(Signal::SIGINT);
    run.wait().expect_code(130);
    let job = job_id(&recipe);
    wait_until("an empty queue", || tasks_in(&job, "pending,running").is_empty());
}

#[test]
#[ignore = "needs a real Slurm"]
fn killed_while_it_submits_its_job_is_known() {
    let recipe = Recipe::new(&format!("toy: {{n: 40}}\n{}", held(2)));
    let run = while_it_submits(&recipe);
    run.signal(Signal::SIGKILL);
    run.wait().expect_signal(Signal::SIGKILL);
    wait_until("the job's id", || recipe.status()["jobs"][0]["id"].is_string());
    let job = recipe.status()["jobs"][0]["id"].as_str().expect("a text").to_owned();
    let second = recipe.start_run(&[]);
    say("scontrol", &["release", &job]);
    second
        .wait_within(std::time::Duration::from_secs(150))
        .expect_code(0)
        .expect_says("waiting for it");
    recipe.compare();
    assert_eq!(recipe.status()["jobs"].as_array().expect("a list").len(), 1);
}

#[test]
#[ignore = "needs a real Slurm"]
fn a_failed_item_that_stops_the_run_empties_the_queue() {
    let config = format!(
        "toy: {{n: 40, sleep_ms: 50, faults: {{3: error}}}}\non_item_error: stop\n{}",
        held(3)
    );
    let recipe = Recipe::new(&config);
    let run = recipe.start_run(&[]);
    let job = job_id(&recipe);
    say("scontrol", &["release", &format!("{job}_0")]);
    run.wait().expect_code(3).expect_says("no such luck");
    wait_until("an empty queue", || tasks_in(&job, "pending,running").is_empty());
}

#[test]
#[ignore = "needs a real Slurm"]
fn finished_elsewhere_it_leaves_nothing_in_the_queue() {
    let recipe = Recipe::new(&format!("toy: {{n: 40}}\n{}", held(2)));
    recipe.run(&["--detach"]).expect_code(0);
    let job = job_id(&recipe);
    recipe.run(&["--set", "parallel.env=local"]).expect_code(0);
    recipe.compare();
    wait_until("an empty queue", || tasks_in(&job, "pending,running").is_empty());
}
