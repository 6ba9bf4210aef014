//! `queue` on a real Slurm, with a conf/slurm.conf of Kaldi's kind.

use std::fs;

use nix::sys::signal::Signal;

use crate::common::recipe::Recipe;
use crate::common::until::{until, wait_until};
use crate::slurm::tasks_in;
use crate::spy::Spy;

const CONF: &str = "\
command sbatch --export=PATH
option time=* --time $0
option mem=* --mem-per-cpu $0
option num_threads=* --cpus-per-task $0
default gpu=0
option gpu=0 -p main
option gpu=* -p main --gres=gpu:$0
";

fn recipe() -> Recipe {
    let recipe = Recipe::new("");
    fs::create_dir_all(recipe.path("conf")).expect("makes the folder");
    fs::write(recipe.path("conf/slurm.conf"), CONF).expect("writes");
    fs::write(recipe.path("path.sh"), "export WHO=path.sh\n").expect("writes");
    recipe
}

#[test]
#[ignore = "needs a real Slurm"]
fn jobs_get_what_the_conf_says() {
    let recipe = recipe();
    let spy = Spy::on(&recipe, &["sbatch"]);
    let options = ["--mem", "50M", "--num-threads", "2", "--gpu", "1", "--time", "10:00"];
    let job = "echo $WHO $SLURM_CPUS_ON_NODE $SLURM_MEM_PER_CPU $CUDA_VISIBLE_DEVICES | wc -w; exit $((JOB == 5))";
    fs::write(recipe.path("job.sh"), job.replace("JOB", "$1")).expect("writes");
    let words = ["JOB=1:8", "exp/log/x.JOB.log", "bash", "job.sh", "JOB"];
    let words = [&["queue", "--backend", "slurm"], &options[..], &words].concat();
    let ended = recipe.start_with(&words, |command| spy.watch(command)).wait().expect_code(1);
    assert!(ended.err.contains("1 / 8 failed, log is in exp/log/x.*.log"), "{ended:?}");
    assert_eq!(spy.calls("sbatch").len(), 1);
    for number in 1..=8 {
        let log =
            fs::read_to_string(recipe.path(&format!("exp/log/x.{number}.log"))).expect("is there");
        assert!(log.contains("\n4\n"), "{log}");
        assert!(log.contains("# Running on n"), "{log}");
        assert!(log.contains("threads=2\n"), "{log}");
    }
}

#[test]
#[ignore = "needs a real Slurm"]
fn max_jobs_run_throttles_the_array_and_ctrl_c_empties_the_queue() {
    let recipe = recipe();
    let words = ["queue", "--backend", "slurm", "--max-jobs-run", "2", "JOB=1:6"];
    let call =
        recipe.start(&[&words[..], &["x.JOB.log", ":", ">on.JOB;", "sleep", "1000"]].concat());
    let on = || (1..=6).filter(|n| recipe.path(&format!("on.{n}")).exists()).count();
    wait_until("two jobs to run", || on() == 2);
    let job = until("the job's id", || {
        let text = fs::read(recipe.path("q/x.JOB/jobs/001/submission.json")).ok()?;
        let submitted: serde_json::Value = serde_json::from_slice(&text).ok()?;
        submitted["id"].as_str().map(str::to_owned)
    });
    assert_eq!(tasks_in(&job, "running").len(), 2);
    assert_eq!(tasks_in(&job, "pending").len(), 4);
    call.signal(Signal::SIGINT);
    call.wait().expect_code(130);
    wait_until("an empty queue", || tasks_in(&job, "pending,running,completing").is_empty());
    assert_eq!(on(), 2);
}
