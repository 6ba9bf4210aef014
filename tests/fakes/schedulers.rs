//! What a run asks of a scheduler, and what comes of it: the same on each of them.

use std::fs;
use std::process::Command;
use std::sync::LazyLock;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::common::disk::{claimed, logs, recorded, said};
use crate::common::processes::{kill_all, tasks};
use crate::common::recipe::{Recipe, assert_same};
use crate::common::until::{until, wait_until};

struct Scheduler {
    env: &'static str,
    script: &'static str,
    commands: &'static [&'static str],
    /// What the command begins with that submits.
    submits: &'static str,
    /// What it says of a task that runs, one that waits for a free place, one that ended with exit
    /// code 7 before it had left word of itself.
    running: &'static str,
    queued: &'static str,
    exit_7: &'static str,
    /// What it says when it cannot be asked.
    down: &'static str,
    /// What it refuses: by a key and value of the config or a variable; and its words.
    refuses: (&'static str, &'static str),
    words: &'static str,
    /// Whether the number of tasks at a time can be limited, and it says how many an array may have.
    throttles: bool,
    has_limit: bool,
}

const ALL: [Scheduler; 5] = [
    Scheduler {
        env: "lsf",
        script: "lsf.sh",
        commands: &["bsub", "bjobs", "bkill", "bparams"],
        submits: "bsub",
        running: "RUN",
        queued: "PEND",
        exit_7: "EXIT 7",
        down: "`bjobs`: LSF is down. Please wait ...; Cannot connect to LSF. Please wait ...",
        refuses: ("parallel.options.queue", "nosuch"),
        words: "exit code 255: nosuch: No such queue. Job not submitted.",
        throttles: true,
        has_limit: true,
    },
    Scheduler {
        env: "pbs",
        script: "pbs.sh",
        commands: &["qsub", "qstat", "qdel"],
        submits: "qsub",
        running: "R fakepbs/",
        queued: "Q Not Running: Not enough free nodes available",
        exit_7: "F Exit_status 7, failed",
        down: "cannot connect to server fakepbs",
        refuses: ("parallel.options.queue", "nosuch"),
        words: "exit code 170: qsub: Unknown queue",
        throttles: true,
        has_limit: true,
    },
    Scheduler {
        env: "oar",
        script: "oar.sh",
        commands: &["oarsub", "oarstat", "oardel"],
        submits: "oarsub",
        running: "Running fake-1",
        queued: "Waiting",
        exit_7: "Terminated fake-1",
        down: "`oarstat`: DB connection error, exiting.",
        refuses: ("parallel.options.cores", "1000"),
        words: "There are not enough resources for your request",
        throttles: false,
        has_limit: false,
    },
    Scheduler {
        env: "moab",
        script: "moab.sh",
        commands: &["msub", "showq", "canceljob"],
        submits: "msub",
        running: "Running n1",
        queued: "Idle",
        exit_7: "Completed CompletionCode 7",
        down: "ERROR:    lost connection to server; ERROR:    cannot request service (status)",
        refuses: ("FAKE_NO_ARRAYS", "1"),
        words: "exit code 1: ERROR:    cannot submit job - job arrays are disabled",
        throttles: true,
        has_limit: false,
    },
    Scheduler {
        env: "kube",
        script: "kube.sh",
        commands: &["kubectl"],
        submits: "kubectl create",
        running: "Running, node1",
        queued: "Pending, Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.",
        exit_7: "Failed, Error, exit code 7",
        down: "`kubectl`: The connection to the server 10.0.0.1:6443 was refused",
        refuses: ("parallel.options.namespace", "nosuch"),
        words: "namespaces \"nosuch\" not found",
        throttles: true,
        has_limit: false,
    },
];

/// Three workers, and 120 items in three shards. The first item of each shard does not end before
/// it is released: three tasks, if as many run, each hold a shard.
const HELD: [u64; 3] = [0, 40, 80];
const TOY: &str = "toy: {n: 120, sleep_ms: 2, files: true, tell: [FAKE_CLUSTER, WORLD_RANK]}";

/// What a run of it gives here, undisturbed.
static UNDISTURBED: LazyLock<String> = LazyLock::new(|| {
    Recipe::new(&format!("{TOY}\nparallel: {{env: local, n_workers: 3, shards: 3}}")).undisturbed()
});

impl Scheduler {
    /// `parallel` and `options` are more of these sections.
    fn cluster(&self, parallel: &str, options: &str) -> Cluster {
        let volume = std::env::temp_dir().display().to_string();
        let recipe = Recipe::held_at(
            0,
            &format!(
                "{TOY}\nparallel: {{env: {}, n_workers: 3, shards: 3, {parallel} options: {{cores: 1, \
                 memory: 100MB, walltime: \"00:10:00\", image: \"fake:1\", \
                 volumes: {{\"{volume}\": shared}}, {options}}}}}",
                self.env
            ),
        );
        recipe.release();
        Cluster::new(recipe, self.script, self.commands)
    }

    fn held(&self, parallel: &str) -> Cluster {
        let cluster = self.cluster(parallel, "");
        let faults: Value = HELD.iter().map(|item| (item.to_string(), json!("hang"))).collect();
        fs::write(cluster.recipe.path("faults.json"), faults.to_string()).expect("writes");
        cluster
    }

    /// The same, submitted and at work on `n` shards.
    fn held_and_detached(&self, slots: usize) -> Cluster {
        let mut cluster = self.held("");
        cluster.env.push(("FAKE_SLOTS", slots.to_string()));
        cluster.run(&["--detach"]).expect_code(0);
        wait_until("all to work", || claimed(&cluster.recipe.root).len() == slots);
        cluster
    }
}

fn compare(cluster: &Cluster) {
    assert_same(&cluster.recipe.results(), &UNDISTURBED);
}

/// One after another would take long: each mostly waits.
fn on_each(test: impl Fn(&Scheduler) + Sync) {
    std::thread::scope(|scope| {
        let test = &test;
        for scheduler in &ALL {
            let thread = std::thread::Builder::new().name(scheduler.env.to_owned());
            thread.spawn_scoped(scope, move || test(scheduler)).expect("starts");
        }
    });
}

#[test]
fn waiting() {
    on_each(|scheduler| {
        let cluster = scheduler.cluster("", "");
        cluster.run(&[]).expect_code(0);
        compare(&cluster);
        assert_eq!(cluster.calls(scheduler.submits), 1);
        // Nothing of our environment goes there.
        let logs = logs(&cluster.recipe.root);
        let lines = || logs.values().flat_map(|log| log.lines());
        let told = lines().filter(|line| line.starts_with("FAKE_CLUSTER=")).count();
        let empty = lines().filter(|line| *line == "FAKE_CLUSTER=").count();
        assert!(told > 0 && told == empty);
        cluster.wait_for_nobody();
    });
}

#[test]
fn detached_and_asked() {
    on_each(|scheduler| {
        let cluster = scheduler.held_and_detached(2);
        let status = cluster.status();
        assert_eq!(status["state"], "running");
        let job = &status["jobs"][0];
        assert_eq!((&job["running"], &job["queued"]), (&json!(2), &json!(1)), "{job}");
        let words = job["words"].as_object().expect("words");
        let times = |wanted: &str| {
            let found = words.iter().filter(|(word, _)| word.starts_with(wanted));
            found.map(|(_, times)| times.as_u64().expect("a number")).sum::<u64>()
        };
        assert_eq!((times(scheduler.running), times(scheduler.queued)), (2, 1), "{job}");
        cluster.recipe.release();
        cluster.wait_for_nobody();
        assert_eq!(cluster.status()["state"], "done");
        cluster.call(&["collect", cluster.recipe.root_text()]).expect_code(0);
        compare(&cluster);
        assert_eq!(cluster.calls(scheduler.submits), 1);
    });
}

#[test]
fn a_dry_run_asks_nobody_and_check_only_how_large_arrays_may_be() {
    on_each(|scheduler| {
        let cluster = scheduler.cluster("", "");
        cluster.run(&["--dry-run"]).expect_code(0).expect_says("espnet3-par-task");
        assert_eq!(cluster.calls(""), 0);
        cluster.call(&["check", "conf.yaml"]);
        assert_eq!(cluster.calls("") > 0, scheduler.has_limit || scheduler.env == "kube");
        assert_eq!(cluster.calls("kubectl create -o"), 0);
        assert!(!cluster.recipe.root.exists());
    });
}

#[test]
fn status_is_told_where_the_answer_cannot_be_kept() {
    let cluster = ALL[0].held_and_detached(1);
    // A directory that only others may write to is like this; root may write everywhere.
    let answer = cluster.recipe.root.join("jobs/inquiry.json");
    fs::create_dir_all(answer.join("in the way")).expect("makes the folder");
    assert_eq!(cluster.status()["state"], "running");
    assert_eq!(cluster.calls("bjobs"), 0);
    cluster.recipe.release();
    cluster.wait_for_nobody();
    assert_eq!(cluster.status()["state"], "done");
}

#[test]
fn cancelled_and_resumed() {
    on_each(|scheduler| {
        let cluster = scheduler.held_and_detached(2);
        cluster.call(&["cancel", cluster.recipe.root_text()]).expect_code(0);
        cluster.wait_for_nobody();
        assert_eq!(claimed(&cluster.recipe.root), [""; 0]);
        assert_eq!(cluster.status()["state"], "stopped");
        cluster.recipe.release();
        cluster.run(&[]).expect_code(0);
        compare(&cluster);
        assert_eq!(cluster.calls(scheduler.submits), 2);
    });
}

#[test]
fn interrupted_and_resumed() {
    on_each(|scheduler| {
        let cluster = scheduler.held("");
        let run = cluster.start(&["run", "conf.yaml"]);
        wait_until("all to work", || claimed(&cluster.recipe.root).len() == 3);
        run.signal(Signal::SIGINT);
        run.wait().expect_code(130);
        cluster.wait_for_nobody();
        assert_eq!(claimed(&cluster.recipe.root), [""; 0]);
        cluster.recipe.release();
        cluster.run(&[]).expect_code(0);
        compare(&cluster);
    });
}

#[test]
fn the_scheduler_does_not_answer() {
    on_each(|scheduler| {
        let cluster = scheduler.held("");
        let run = cluster.start(&["run", "conf.yaml"]);
        wait_until("all to work", || claimed(&cluster.recipe.root).len() == 3);
        let status = cluster.status_while_down();
        let error = status["scheduler_error"].as_str().unwrap_or_default();
        assert!(error.contains(scheduler.down), "{status}");
        assert_eq!(status["state"], "running");
        cluster.recipe.release();
        run.wait().expect_code(0);
        compare(&cluster);
        assert_eq!(cluster.calls(scheduler.submits), 1);
    });
}

#[test]
fn refused() {
    on_each(|scheduler| {
        let cluster = scheduler.cluster("", "");
        let (key, value) = scheduler.refuses;
        let set = format!("{key}={value}");
        for more in [&[][..], &["--detach"]] {
            let config = if key.contains('.') { &["--set", &set][..] } else { &[] };
            let args = [&["run", "conf.yaml"], config, more].concat();
            let change = |command: &mut Command| {
                command.env(key, value);
            };
            let ended = cluster.start_with(&args, change).wait();
            let submit = format!("failed to submit with `{}", scheduler.submits);
            ended.expect_code(4).expect_says(&submit).expect_says(scheduler.words);
        }
        assert_eq!(recorded(&cluster.recipe.root).len(), 0);
        cluster.wait_for_nobody();
        cluster.run(&[]).expect_code(0);
        compare(&cluster);
    });
}

#[test]
fn at_most_so_many_at_a_time() {
    on_each(|scheduler| {
        if !scheduler.throttles {
            return;
        }
        let cluster = scheduler.held("");
        let root = &cluster.recipe.root;
        cluster.run(&["--detach", "--set", "parallel.max_running=1"]).expect_code(0);
        wait_until("one to work", || claimed(root).len() == 1);
        let job = &cluster.status()["jobs"][0];
        assert_eq!((&job["running"], &job["queued"]), (&json!(1), &json!(2)), "{job}");
        cluster.recipe.release();
        until("the run", || {
            assert!(tasks(root).len() <= 1);
            (recorded(root).len() == 120).then_some(())
        });
        cluster.wait_for_nobody();
        cluster.call(&["collect", cluster.recipe.root_text()]).expect_code(0);
        compare(&cluster);
    });
}

/// An array of two and one of one, which is no array.
#[test]
fn in_pieces() {
    on_each(|scheduler| {
        let mut cluster =
            scheduler.held(if scheduler.has_limit { "" } else { "max_array_size: 2," });
        cluster.env.push(("FAKE_MAX_ARRAY", "2".to_owned()));
        let run = cluster.start(&["run", "conf.yaml"]);
        wait_until("all to work", || claimed(&cluster.recipe.root).len() == 3);
        cluster.recipe.release();
        run.wait().expect_code(0);
        compare(&cluster);
        assert_eq!(cluster.calls(scheduler.submits), 2);
        for rank in 0..3 {
            assert_eq!(said(&cluster.recipe.root, &format!("WORLD_RANK={rank}")), 1);
        }
        let jobs = cluster.status()["jobs"].as_array().expect("a list").clone();
        assert_eq!(jobs.iter().map(|job| &job["tasks"]).collect::<Vec<_>>(), [2, 1]);
        cluster.wait_for_nobody();
    });
}

#[test]
fn killed_without_a_word() {
    on_each(|scheduler| {
        let cluster = scheduler.held_and_detached(3);
        kill_all(&cluster.recipe.root, None);
        cluster.wait_for_nobody();
        assert_eq!(cluster.status()["state"], "incomplete");
        cluster.recipe.release();
        cluster.run(&[]).expect_code(0);
        compare(&cluster);
    });
}

/// What the disk cannot know: that nothing is to come.
#[test]
fn ended_before_they_began() {
    on_each(|scheduler| {
        let cluster = scheduler.cluster("", "job_script_prologue: [\"test -e go || exit 7\"]");
        cluster.run(&["--detach"]).expect_code(0);
        cluster.wait_for_nobody();
        let status = cluster.status();
        let words = &status["jobs"][0]["words"];
        assert_eq!(words[scheduler.exit_7], 3, "{words}");
        assert_eq!(status["state"], "incomplete");
        fs::write(cluster.recipe.path("go"), "").expect("writes");
        cluster.run(&[]).expect_code(0);
        compare(&cluster);
        assert_eq!(cluster.calls(scheduler.submits), 2);
    });
}
