//! A run directory that another user made. Needs root, to play two users.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::common::disk::snapshot;
use crate::common::processes::state;
use crate::common::recipe::toy;
use crate::common::until::wait_until;
use crate::place::Place;

const STRANGER: u32 = 54_321;
const USER: u32 = 65_534;

fn is_root() -> bool {
    let root = fs::metadata("/proc/self").expect("is there").uid() == 0;
    if !root {
        eprintln!("skipped: only root can be another user");
    }
    root
}

fn give(path: &Path, uid: u32) {
    for path in snapshot(path).into_keys().chain([path.to_owned()]) {
        chown(path, Some(uid), Some(uid)).expect("root may");
    }
}

fn refusal(run: &Path, path: &str, me: u32) -> String {
    let run = run.display();
    format!(
        "error: {run}{path} belongs to another user (uid {STRANGER}, you are {me})\n\n\
         hint: `status`, `logs` and `collect --stdout` only read; to work on it, copy it (`cp -r {run} MINE`), \
         look what it holds, and set `output_dir=MINE`\n"
    )
}

#[test]
fn it_can_be_read_and_not_worked_in() {
    if !is_root() {
        return;
    }
    let place = Place::with_a_run();
    give(place.root(), STRANGER);
    let (root, before) = (place.recipe.root_text(), snapshot(place.root()));
    let refusal = refusal(place.root(), "/spec.json", 0);
    for args in [
        &["run", "conf.yaml"][..],
        &["run", "conf.yaml", "--restart"],
        &["run", "conf.yaml", "--retry-failed"],
        &["run", "conf.yaml", "--detach"],
        &["collect", root],
        &["collect", root, "--partial"],
        &["cancel", root],
    ] {
        assert_eq!(place.call(args).expect_code(2).err, refusal, "{args:?}");
    }
    for args in [&["status", root][..], &["logs", root], &["collect", root, "--stdout"]] {
        assert_eq!(place.call(args).expect_code(0).err, "", "{args:?}");
    }
    assert_eq!(snapshot(place.root()), before);
}

/// One file is enough.
#[test]
fn a_job_that_another_user_put_there() {
    if !is_root() {
        return;
    }
    let place = Place::with_a_run();
    give(&place.file("jobs/001/job.json"), STRANGER);
    let refusal = refusal(place.root(), "/jobs/001/job.json", 0);
    assert_eq!(place.call(&["run", "conf.yaml"]).expect_code(2).err, refusal);
}

struct Bystander(Child);

impl Bystander {
    fn new() -> Self {
        Self(Command::new("sleep").arg("60").process_group(0).spawn().expect("sleeps"))
    }

    fn lives(&self) -> bool {
        !matches!(state(self.0.id()), None | Some('Z' | 'X'))
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A worker's file that names some process of this user.
fn plant_worker(place: &Place, bystander: &Bystander) {
    let (path, pid) = (place.file("workers/*.json"), bystander.0.id());
    let mut worker: Value =
        serde_json::from_slice(&fs::read(&path).expect("is there")).expect("is JSON");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("lives");
    let start: u64 = stat.split(' ').nth(21).expect("a field").parse().expect("a number");
    worker.as_object_mut().expect("an object").remove("ended");
    worker["process"]["pid"] = json!(pid);
    worker["process"]["start"] = json!(start);
    fs::write(path, worker.to_string()).expect("writes");
}

#[test]
fn a_process_that_it_names_is_not_signalled() {
    if !is_root() {
        return;
    }
    let (place, bystander) = (Place::with_a_run(), Bystander::new());
    plant_worker(&place, &bystander);
    give(place.root(), STRANGER);
    place.call(&["cancel", place.recipe.root_text()]).expect_code(2);
    assert!(bystander.lives());
    // In the user's own run it is a worker that does not end.
    give(place.root(), 0);
    place.call(&["cancel", place.recipe.root_text()]).expect_code(0);
    wait_until("the signal to arrive", || !bystander.lives());
}

/// A job that a scheduler seems to have, and commands of the scheduler's that leave a trace.
#[test]
fn a_scheduler_is_not_asked_at_its_word() {
    if !is_root() {
        return;
    }
    let (place, _) = Place::with_work_to_do();
    let (job, bin) = (place.file("jobs/001/job.json"), place.recipe.path("bin"));
    let text = fs::read_to_string(&job).expect("is there");
    fs::write(&job, text.replace("\"cluster\": \"local\"", "\"cluster\": \"slurm\""))
        .expect("writes");
    fs::remove_file(place.file("jobs/001/task.0.ended.json")).expect("removes");
    let submitted = json!({"id": "--all", "argv": [], "code": 0, "stdout": "", "stderr": ""});
    fs::write(place.file("jobs/001/submission.json"), submitted.to_string()).expect("writes");
    fs::create_dir(&bin).expect("makes it");
    let asked = place.recipe.path("asked");
    for name in ["squeue", "scancel"] {
        fs::write(bin.join(name), format!("#!/bin/sh\ntouch {}\n", asked.display()))
            .expect("writes");
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).expect("root may");
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let call = |command: &str| {
        let args = [command, place.recipe.root_text()];
        place.recipe.start_with(&args, |program| _ = program.env("PATH", &path)).wait()
    };
    give(place.root(), STRANGER);
    call("status").expect_code(3);
    call("cancel").expect_code(2);
    assert!(!asked.exists());
    // What is the user's own is believed.
    give(place.root(), 0);
    call("status").expect_code(3);
    assert!(asked.exists());
}

/// Whoever owns the directory could put another job there at any time.
#[test]
fn a_directory_that_another_user_made_ready() {
    if !is_root() {
        return;
    }
    let place = Place::with_a_run();
    let folder = place.recipe.path(".");
    // Wherever the program was built, this user can start it.
    let program = place.recipe.path("program");
    fs::copy(toy(), &program).expect("copies");
    give(&folder, USER);
    let run = |root: &Path| {
        let output_dir = format!("output_dir={}", root.display());
        let mut command = Command::new(&program);
        command.args(["run", "conf.yaml", "--set", &output_dir]).current_dir(&folder);
        let output = command.uid(USER).gid(USER).output().expect("starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let ready = place.recipe.path("ready");
    fs::create_dir(&ready).expect("makes it");
    fs::set_permissions(&ready, fs::Permissions::from_mode(0o777)).expect("root may");
    give(&ready, STRANGER);
    assert_eq!(run(&ready), (Some(2), refusal(&ready, "", USER)));
    assert_eq!(snapshot(&ready).len(), 0);
    // One that root made, or the user.
    give(&ready, 0);
    assert_eq!(run(&ready).0, Some(0));
    assert_eq!(run(&place.recipe.path("own")).0, Some(0));
}
