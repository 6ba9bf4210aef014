//! How jobs end, and what is said of it; what becomes of them when others end.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::processes::{kill_all, of_run, send, tasks, workers};
use crate::common::until::{until, wait_until};
use crate::steps::Steps;

#[test]
fn exit_codes_and_messages_of_run_pl() {
    let steps = Steps::new();
    let ended =
        steps.call(&["JOB=1:4", "exp/x.JOB.log", "[", "JOB", "-lt", "3", "]"]).expect_code(1);
    let first = ended.err.lines().next();
    assert_eq!(first, Some("espnet3-par queue: 2 / 4 failed, log is in exp/x.*.log"), "{ended:?}");
    assert!(steps.read("exp/x.2.log").contains("# Ended (code 0) at "));
    assert!(steps.read("exp/x.4.log").contains("# Ended (code 1) at "));
    let ended = steps.call(&["JOB=2", "exp/y.JOB.log", "false"]).expect_code(1);
    let first = ended.err.lines().next();
    assert_eq!(first, Some("espnet3-par queue: job failed, log is in exp/y.2.log"), "{ended:?}");
    let ended = steps.call(&["exp/z.JOB.log", "no-such-command"]).expect_code(1);
    assert!(
        ended.err.contains("log is in exp/z.JOB.log") && ended.err.contains("missing"),
        "{ended:?}"
    );
    assert!(steps.read("exp/z.JOB.log").contains("(code 127)"));
}

#[test]
fn a_signal_in_a_job_is_that_jobs_affair() {
    let steps = Steps::new();
    let script = "case $1 in 1) sh -c 'kill -9 $$' || exit;; 2) kill -9 $$;; 3) kill $$;; esac";
    steps.write("job.sh", script);
    let ended = steps.call(&["JOB=1:4", "x.JOB.log", "bash", "job.sh", "JOB"]).expect_code(1);
    assert!(ended.err.contains("3 / 4 failed"), "{ended:?}");
    for (number, code, signal) in [(1, 137, "SIGKILL"), (2, 137, "SIGKILL"), (3, 143, "SIGTERM")] {
        let told = format!("JOB={number}: exit code {code}: {signal}");
        assert!(ended.err.contains(&told), "{ended:?}");
        let log = steps.read(&format!("x.{number}.log"));
        assert!(log.contains(&format!("# Ended (code {code}) at ")), "{log}");
    }
    // Bash itself.
    steps.call(&["y.log", "kill", "-9", "$$"]).expect_code(1);
    assert!(
        steps.read("y.log").contains("# Ended (code 0; signal 9) at"),
        "{}",
        steps.read("y.log")
    );
}

/// No more than so many at the same time, by what the jobs themselves see.
#[test]
fn max_jobs_run_bounds_how_many_run() {
    let steps = Steps::new();
    // As many places as jobs, were there no limit: `n_workers` stands for the machine's cores.
    steps.write("wide.yaml", "parallel: {n_workers: 12}\n");
    steps.write("job.sh", "mkdir -p on; : > on/$1; ls on | wc -l; sleep 0.2; rm on/$1");
    let most_seen = |name: &str| {
        let seen = (1..=12).map(|n| steps.output(&format!("{name}.{n}.log")).trim().parse::<u32>());
        seen.map(|n| n.expect("a number")).max()
    };
    let words = |name| [name, "bash", "job.sh", "JOB"];
    steps
        .call(
            &[
                &["--parallel", "wide.yaml", "--max-jobs-run", "3", "JOB=1:12"],
                &words("a.JOB.log")[..],
            ]
            .concat(),
        )
        .expect_code(0);
    assert_eq!(most_seen("a"), Some(3));
    steps
        .call(&[&["--parallel", "wide.yaml", "JOB=1:12"], &words("b.JOB.log")[..]].concat())
        .expect_code(0);
    assert!(most_seen("b") > Some(3));
    // So many threads as no machine has: one at a time.
    steps
        .call(&[&["--num-threads", "4096", "JOB=1:12"], &words("c.JOB.log")[..]].concat())
        .expect_code(0);
    assert_eq!(most_seen("c"), Some(1));
}

#[test]
fn resume_does_what_failed_and_nothing_else() {
    let steps = Steps::new();
    let words = [
        "JOB=1:4",
        "x.JOB.log",
        "echo",
        "JOB",
        ">>",
        "ran",
        ";",
        "[",
        "-e",
        "good",
        "-o",
        "JOB",
        "-lt",
        "3",
        "]",
    ];
    steps.call(&words).expect_code(1).expect_says("2 / 4 failed");
    let first = steps.read("x.1.log");
    let ran = || {
        let text = steps.read("ran");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines.concat()
    };
    assert_eq!(ran(), "1234");
    // Another command is another run.
    let other = [&["--resume"], &words[..], &["-a", "x"]].concat();
    steps.call(&other).expect_code(2).expect_says("espnet3-par-queue.command");
    steps.write("good", "");
    steps.call(&[&["--resume"], &words[..]].concat()).expect_code(0);
    assert_eq!(ran(), "123344");
    assert_eq!(steps.read("x.1.log"), first);
    // Nothing is left; without `--resume` all of it is run, as a recipe's step is.
    steps.call(&[&["--resume"], &words[..]].concat()).expect_code(0);
    assert_eq!(ran(), "123344");
    steps.call(&words).expect_code(0);
    assert_eq!(ran(), "1122333444");
    let results = steps.read("q/x.JOB/results.jsonl");
    let jobs: Vec<Value> =
        results.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(
        jobs.iter().map(|job| job["job"].as_u64()).collect::<Vec<_>>(),
        [1, 2, 3, 4].map(Some)
    );
}

/// Jobs that wait for ever, two processes each; `running` has their pids.
fn hanging(steps: &Steps) -> Vec<u32> {
    let pids = || -> Option<Vec<u32>> {
        let file = fs::read_to_string(steps.path("running")).ok()?;
        file.lines()
            .map(|line| line.parse().ok())
            .collect::<Option<Vec<u32>>>()
            .filter(|all| all.len() == 4)
    };
    until("the jobs to run", pids)
}

/// A shell that does not heed signals, and its child.
const HANG: &str = "trap '' TERM INT HUP
sleep 1000 &
echo $$ >> running
echo $! >> running
wait
";

fn started() -> (Steps, crate::common::recipe::Call, Vec<u32>) {
    let steps = Steps::new();
    steps.write("two.yaml", "parallel: {n_workers: 2}\n");
    steps.write("hang.sh", HANG);
    let words = ["--parallel", "two.yaml", "JOB=1:2", "x.JOB.log", "bash", "hang.sh"];
    let call = steps.start(&words);
    let pids = hanging(&steps);
    (steps, call, pids)
}

fn lives(pid: &u32) -> bool {
    crate::common::processes::state(*pid).is_some_and(|state| state != 'Z')
}

#[test]
fn ctrl_c_ends_all_jobs() {
    let (steps, call, pids) = started();
    call.signal_group(Signal::SIGINT);
    call.wait().expect_code(130);
    wait_until("the jobs to end", || !pids.iter().any(lives));
    // A log without an end: this job was not done.
    let log = steps.read("x.1.log");
    assert!(!log.contains("# Ended"), "{log}");
}

#[test]
fn jobs_end_with_a_killed_driver() {
    let (steps, call, pids) = started();
    call.signal(Signal::SIGKILL);
    call.wait().expect_signal(Signal::SIGKILL);
    wait_until("the jobs to end", || !pids.iter().any(lives));
    wait_until("the rest to end", || of_run(&steps.path("q/x.JOB")).is_empty());
}

#[test]
fn jobs_end_when_everybody_is_killed_at_once() {
    let (steps, call, pids) = started();
    kill_all(&steps.path("q/x.JOB"), Some(call.pid()));
    wait_until("the jobs to end", || !pids.iter().any(lives));
}

/// As schedulers end a job: its processes get the signal one after another, the worker last.
#[test]
fn a_job_that_is_ended_with_its_worker_has_not_failed() {
    let steps = Steps::new();
    steps.write("job.sh", "[ -e good ] && exit; echo $$ > pid; exec sleep 1000");
    let words = ["x.log", "bash", "job.sh"];
    let call = steps.start(&words);
    let pid = until("the job to run", || {
        fs::read_to_string(steps.path("pid")).ok()?.strip_suffix('\n')?.parse().ok()
    });
    send(pid, Signal::SIGTERM);
    wait_until("the job to end", || !lives(&pid));
    workers(&steps.path("q/x")).iter().for_each(|worker| send(worker.pid, Signal::SIGTERM));
    let ended = call.wait().expect_code(3);
    assert!(!ended.err.contains("job failed"), "{ended:?}");
    assert!(!steps.read("x.log").contains("# Ended"));
    steps.write("good", "");
    steps.call(&[&["--resume"], &words[..]].concat()).expect_code(0);
    assert!(steps.read("x.log").contains("# Ended (code 0)"));
}

/// A worker that dies is replaced, and its job runs again, from its beginning.
#[test]
fn a_killed_worker_s_job_runs_again() {
    let (steps, mut call, pids) = started();
    let root = steps.path("q/x.JOB");
    assert_eq!(tasks(&root).len(), 1);
    fs::remove_file(steps.path("running")).expect("is there");
    workers(&root).iter().for_each(|worker| send(worker.pid, Signal::SIGKILL));
    let again = hanging(&steps);
    wait_until("the first ones to end", || !pids.iter().any(lives));
    assert!(again.iter().all(lives) && call.running());
    assert_eq!(steps.read("x.1.log").matches("# Started at").count(), 1);
    call.signal(Signal::SIGTERM);
    call.wait_within(Duration::from_secs(30)).expect_code(130);
    wait_until("all to end", || !again.iter().any(lives));
}

/// What a script leaves behind on purpose is not killed when it ends well.
#[test]
fn output_of_a_process_substitution_is_whole() {
    let steps = Steps::new();
    let job = "seq 1 100000 > >(sleep 0.3; gzip > x.gz)";
    steps.call(&["x.log", "eval", job]).expect_code(0);
    until("the file", || {
        let read =
            std::process::Command::new("zcat").arg(steps.path("x.gz")).output().expect("zcat");
        (read.status.success() && read.stdout.ends_with(b"\n100000\n")).then_some(())
    });
}

/// A folder that cannot be made is the job's failure, and said.
#[test]
fn a_log_that_cannot_be_written() {
    let steps = Steps::new();
    steps.write("exp/2", "a file");
    let ended = steps.call(&["JOB=1:3", "exp/JOB/x.log", "echo", "JOB"]).expect_code(1);
    assert!(
        ended.err.contains("1 / 3 failed") && ended.err.contains("JOB=2: cannot write the log"),
        "{ended:?}"
    );
    assert_eq!(steps.output("exp/3/x.log"), "3\n");
}
