//! `queue` on schedulers: one submission, with what Kaldi's conf says of it.

use std::fs;

use nix::sys::signal::Signal;

use crate::cluster::Cluster;
use crate::common::recipe::Recipe;
use crate::common::until::wait_until;

fn on(script: &str, commands: &[&str]) -> Cluster {
    let cluster = Cluster::new(Recipe::new(""), script, commands);
    fs::create_dir_all(cluster.recipe.path("conf")).expect("makes the folder");
    cluster
}

fn pbs() -> Cluster {
    let cluster = on("pbs.sh", &["qsub", "qstat", "qdel"]);
    let conf = "command qsub -v PATH\noption mem=* -l select=1:mem=$0\ndefault queue=workq\n\
                option queue=* -q $0\n";
    fs::write(cluster.recipe.path("conf/pbs.conf"), conf).expect("writes");
    cluster
}

fn read(cluster: &Cluster, name: &str) -> String {
    fs::read_to_string(cluster.recipe.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Six jobs, two at a time, one array; the environment comes from path.sh, as in queue.pl.
#[test]
fn one_array_with_the_directives_of_the_conf() {
    let cluster = pbs();
    fs::write(cluster.recipe.path("path.sh"), "export WHO=path.sh\n").expect("writes");
    let words = ["queue", "--backend", "pbs", "--mem", "100mb", "--max-jobs-run", "2", "JOB=1:6"];
    let job = ["exp/x.JOB.log", "echo", "JOB", "$WHO", ";", "[", "JOB", "!=", "4", "]"];
    cluster.call(&[&words[..], &job].concat()).expect_code(1).expect_says("1 / 6 failed");
    assert_eq!(cluster.calls("qsub"), 1);
    for number in 1..=6 {
        let log = read(&cluster, &format!("exp/x.{number}.log"));
        assert!(log.contains(&format!("\n{number} path.sh\n")), "{log}");
        assert!(log.contains(&format!("# Ended (code {})", u32::from(number == 4))), "{log}");
    }
    let script = read(&cluster, "exp/q/x.JOB/jobs/001/job.sh");
    for line in ["-J 0-5%2", "-v PATH", "-q workq", "-l select=1:ncpus=1:mem=100mb"] {
        assert!(script.contains(&format!("#PBS {line}\n")), "{line}: {script}");
    }
    cluster.wait_for_nobody();
}

#[test]
fn ctrl_c_takes_the_jobs_out_of_the_queue() {
    let cluster = pbs();
    let words = ["queue", "--backend", "pbs", "JOB=1:3", "exp/x.JOB.log"];
    let job = [":", ">on.JOB;", "sleep", "1000"];
    let call = cluster.start(&[&words[..], &job].concat());
    wait_until("a job to run", || cluster.recipe.path("on.2").exists());
    call.signal(Signal::SIGINT);
    call.wait().expect_code(130);
    cluster.wait_for_nobody();
    let left = |line: &str| line.contains(&cluster.recipe.path("").display().to_string());
    let ps = std::process::Command::new("ps").args(["-eo", "args"]).output().expect("ps starts");
    assert!(!String::from_utf8_lossy(&ps.stdout).lines().any(left));
}

/// Two of four GPUs for each job, and none for more than two jobs at a time.
#[test]
fn gpus_of_this_machine_are_dealt_out() {
    let mut cluster = on("nvidia_smi.sh", &["nvidia-smi"]);
    cluster.env.push(("FAKE_GPUS", "4".to_owned()));
    let clean = |command: &mut std::process::Command| {
        command.env_remove("CUDA_VISIBLE_DEVICES");
    };
    let job =
        ["--gpu", "2", "JOB=1:8", "x.JOB.log", "sleep", "0.1;", "printenv", "CUDA_VISIBLE_DEVICES"];
    cluster.start_with(&[&["queue"], &job[..]].concat(), clean).wait().expect_code(0);
    let gpu = |n| format!("GPU-0000000{n}-aaaa-bbbb-cccc-0123456789ab");
    let sets = [format!("\n{},{}\n", gpu(0), gpu(1)), format!("\n{},{}\n", gpu(2), gpu(3))];
    let mut seen = [0, 0];
    for number in 1..=8 {
        let log = read(&cluster, &format!("x.{number}.log"));
        let set = sets.iter().position(|set| log.contains(set)).unwrap_or_else(|| panic!("{log}"));
        seen[set] += 1;
    }
    assert!(seen.iter().all(|n| *n > 0), "{seen:?}");
    let five = ["queue", "--gpu", "5", "x.log", "true"];
    cluster.start_with(&five, clean).wait().expect_code(2).expect_says("this machine has 4");
}
