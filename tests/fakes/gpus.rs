//! `env: local_gpu` on a machine whose nvidia-smi is a fake.

use crate::cluster::Cluster;
use crate::common::disk::logs;
use crate::common::recipe::{Ended, Recipe};

/// A machine with so many GPUs, for so many workers. `None`: it has no nvidia-smi.
fn machine(gpus: Option<u32>, n_workers: u32) -> Cluster {
    let recipe = Recipe::new(&format!(
        "toy: {{n: 40, sleep_ms: 5, tell: [CUDA_VISIBLE_DEVICES]}}\n\
         parallel: {{env: local_gpu, n_workers: {n_workers}, shards: 20}}"
    ));
    let commands: &[&str] = if gpus.is_some() { &["nvidia-smi"] } else { &[] };
    let mut cluster = Cluster::new(recipe, "nvidia_smi.sh", commands);
    cluster.env.push(("FAKE_GPUS", gpus.unwrap_or(0).to_string()));
    cluster
}

/// Runs with `CUDA_VISIBLE_DEVICES` as given, and not as this process has it.
fn run(cluster: &Cluster, more: &[&str], visible: Option<&str>) -> Ended {
    let change = |command: &mut std::process::Command| {
        command.env_remove("CUDA_VISIBLE_DEVICES");
        command.envs(visible.map(|visible| ("CUDA_VISIBLE_DEVICES", visible)));
    };
    cluster.start_with(&[&["run", "conf.yaml"], more].concat(), change).wait()
}

/// What each worker had for `CUDA_VISIBLE_DEVICES`.
fn devices(cluster: &Cluster) -> Vec<String> {
    let logs = logs(&cluster.recipe.root);
    let told = logs.values().flat_map(|log| log.lines());
    let told = told.filter_map(|line| line.strip_prefix("CUDA_VISIBLE_DEVICES="));
    let mut told: Vec<String> = told.map(str::to_owned).collect();
    told.sort();
    told
}

#[test]
fn one_gpu_for_each_worker() {
    let cluster = machine(Some(2), 2);
    run(&cluster, &[], None).expect_code(0);
    let gpus = [0, 1].map(|n| format!("GPU-0000000{n}-aaaa-bbbb-cccc-0123456789ab"));
    assert_eq!(devices(&cluster), gpus);
    cluster.recipe.compare();
}

#[test]
fn cuda_visible_devices_wins() {
    let cluster = machine(Some(8), 2);
    run(&cluster, &[], Some("5,3")).expect_code(0);
    assert_eq!(devices(&cluster), ["3", "5"]);
    let cluster = machine(None, 1);
    run(&cluster, &[], Some("GPU-ab,x,1")).expect_code(0);
    assert_eq!(devices(&cluster), ["GPU-ab"]);
}

#[test]
fn more_workers_than_gpus() {
    for (gpus, visible) in [(2, None), (8, Some("0,1"))] {
        let cluster = machine(Some(gpus), 3);
        let refused = run(&cluster, &[], visible).expect_code(2);
        refused.expect_says("error: n_workers=3 > num_gpus=2");
        assert!(!cluster.recipe.root.exists());
    }
}

#[test]
fn a_run_that_cannot_start_throws_no_records_away() {
    let cluster = machine(Some(2), 2);
    run(&cluster, &[], None).expect_code(0);
    let before = cluster.recipe.results();
    let more = ["--restart", "--set", "parallel.n_workers=3"];
    run(&cluster, &more, None).expect_code(2);
    run(&cluster, &[&more[..], &["--detach"]].concat(), None).expect_code(2);
    assert_eq!(cluster.recipe.results(), before);
    // What is complete needs no GPU.
    run(&cluster, &["--detach"], Some("")).expect_code(0).expect_says("already complete");
}

#[test]
fn fewer_workers_than_gpus() {
    let cluster = machine(Some(2), 1);
    let ended = run(&cluster, &[], None).expect_code(0);
    let warning = ended.err.lines().find(|line| line.starts_with("warning: "));
    assert!(warning.is_some_and(|line| line.contains("GPU")), "{ended:?}");
    assert_eq!(devices(&cluster).len(), 1);
}

#[test]
fn no_gpus() {
    for (gpus, visible, words) in [
        (None, None, "this machine's GPUs cannot be found"),
        (Some(0), None, "nvidia-smi names no GPUs: No devices were found"),
        (Some(2), Some(""), "n_workers=1 > num_gpus=0"),
    ] {
        let cluster = machine(gpus, 1);
        run(&cluster, &[], visible).expect_code(2).expect_says(words).expect_says("hint: ");
    }
}
