//! Pipes in place of files: nobody waits for what never comes.

use std::fs;
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::common::disk::snapshot;
use crate::place::Place;

fn pipe(path: &Path) {
    let _ = fs::remove_file(path);
    mkfifo(path, Mode::S_IRWXU).expect("makes a pipe");
}

#[test]
fn in_place_of_any_file() {
    for name in [
        "spec.json",
        "stop.json",
        "results.jsonl",
        "errors.jsonl",
        "workers/*.json",
        "workers/.clock",
        "jobs/001/job.json",
        "jobs/001/task.0.json",
        "jobs/001/task.0.ended.json",
        "jobs/001/submission.json",
        "jobs/001/reply.out",
        "jobs/inquiry.json",
        "logs/*.log",
        "shards/split.0/results.jsonl",
        "shards/split.0/errors.jsonl",
    ] {
        let place = Place::with_a_run();
        pipe(&place.file(name));
        place.call_all();
    }
}

#[test]
fn in_a_shard_to_be_opened() {
    for name in ["results.jsonl", "errors.jsonl", "extents.jsonl", "trying.json", "found.json"] {
        let (place, todo) = Place::with_work_to_do();
        if name != "results.jsonl" {
            let record = "{\"idx\":0,\"utt_id\":\"utt0\",\"square\":0}\n";
            fs::write(todo.join("results.jsonl"), record).expect("writes");
        }
        pipe(&todo.join(name));
        place.call_all();
    }
}

#[test]
fn what_is_said_of_one() {
    let place = Place::with_a_run();
    let (root, spec) = (place.root().display().to_string(), place.file("spec.json"));
    pipe(&spec);
    let message = format!(
        "error: failed to read the spec of {root}: {root}/spec.json is a pipe, and no file\n"
    );
    for args in [["status", &root], ["run", "conf.yaml"]] {
        assert_eq!(place.call(&args).expect_code(5).err, message);
    }
    let place = Place::with_a_run();
    let results = place.file("shards/split.0/results.jsonl");
    pipe(&results);
    let before = snapshot(&place.root().join("shards/split.1"));
    let (root, shard) = (place.recipe.root_text(), results.parent().expect("a folder").display());
    let message = format!(
        "error: failed to write {root}/results.jsonl: shard 0 is damaged: {shard}: {shard}/results.jsonl is a pipe, and no file\n\n\
         hint: `rm -r {shard} && mkdir {shard}.todo` has it computed anew by the next run\n"
    );
    assert_eq!(place.call(&["collect", root]).expect_code(5).err, message);
    assert_eq!(snapshot(&place.root().join("shards/split.1")), before);
}
