//! Links in place of what a run directory holds.

use std::fs;
use std::os::unix::fs::symlink;

use crate::place::Place;

/// What a link leads to is not the run's: nothing is done there, and nothing goes from there.
#[test]
fn in_place_of_a_folder_or_the_spec() {
    for name in ["shards", "workers", "jobs", "logs", "spec.json", "jobs/001", "jobs/001/job.json"]
    {
        let place = Place::with_a_run();
        place.lead_out(name);
        let before = place.outside();
        let root = place.root().display();
        let message = format!(
            "error: {root}/{name} is a link, and a run directory has none\n\n\
             hint: move what it leads to into its place, and link the whole directory\n"
        );
        for args in
            [&["collect", place.recipe.root_text()][..], &["cancel", place.recipe.root_text()]]
        {
            // Nobody can read what is to be collected.
            let spec = name == "spec.json" && args[0] == "collect";
            let (code, message) = match spec {
                true => (
                    5,
                    format!(
                        "error: failed to read the spec of {root}: {root}/{name} is a link, and no file\n"
                    ),
                ),
                false => (2, message.clone()),
            };
            assert_eq!(place.call(args).expect_code(code).err, message);
        }
        place.call_all();
        assert_eq!(place.outside(), before, "{name}");
        place.call(&["run", "conf.yaml", "--restart"]).expect_code(0);
        place.expect_complete();
        assert!(!place.root().join(name).is_symlink(), "{name}");
        assert_eq!(place.outside(), before, "{name}");
    }
}

#[test]
fn in_place_of_a_shards_folder() {
    let (place, todo) = Place::with_work_to_do();
    fs::remove_dir(&todo).expect("removes");
    symlink(place.recipe.path("outside"), &todo).expect("links");
    let before = place.outside();
    let message = format!("{} is no folder", todo.display());
    place.call(&["run", "conf.yaml"]).expect_code(5).expect_says(&message);
    place.call_all();
    assert_eq!(place.outside(), before);
    place.call(&["run", "conf.yaml", "--restart"]).expect_code(0);
    assert_eq!(place.outside(), before);
}

#[test]
fn in_place_of_what_a_shard_holds() {
    for name in ["results.jsonl", "errors.jsonl", "extents.jsonl", "trying.json", "found.json"] {
        for target in ["outside/file", "outside/new"] {
            let (place, todo) = Place::with_work_to_do();
            symlink(place.recipe.path(target), todo.join(name)).expect("links");
            // It is opened, too.
            let results = todo.join("results.jsonl");
            if name != "results.jsonl" {
                fs::write(results, "{\"idx\":0,\"utt_id\":\"utt0\",\"square\":0}\n")
                    .expect("writes");
            }
            let before = place.outside();
            place.call(&["run", "conf.yaml"]);
            place.call(&["collect", place.recipe.root_text()]);
            assert_eq!(place.outside(), before, "{name} -> {target}");
        }
    }
}

#[test]
fn in_place_of_what_is_collected() {
    for name in ["results.jsonl", "errors.jsonl", "square.scp", "results.partial.jsonl"] {
        let place = Place::with_a_run();
        let path = place.root().join(name);
        let _ = fs::remove_file(&path);
        symlink(place.recipe.path("outside/file"), &path).expect("links");
        let before = place.outside();
        place.call_all();
        let scp = ["--format", "scp", "--key", "utt_id", "--field", "square"];
        place.call(&[&["collect", place.recipe.root_text()], &scp[..]].concat()).expect_code(0);
        place.call(&["collect", place.recipe.root_text(), "--partial"]).expect_code(0);
        assert_eq!(place.outside(), before, "{name}");
        assert!(!path.is_symlink(), "{name} is still a link");
    }
}

/// Links that stand for the files in `workers/`, `jobs/` and `logs/`.
#[test]
fn in_place_of_notes() {
    for name in ["workers/*.json", "workers/.clock", "jobs/inquiry.json", "stop.json", "logs/*.log"]
    {
        let place = Place::with_a_run();
        let path = place.file(name);
        let _ = fs::remove_file(&path);
        symlink(place.recipe.path("outside/new"), &path).expect("links");
        let before = place.outside();
        place.call_all();
        place.call(&["run", "conf.yaml", "--restart"]).expect_code(0);
        assert_eq!(place.outside(), before, "{name}");
    }
}

/// The directory itself may be one: that is how it is put on another disk.
#[test]
fn to_the_whole_directory() {
    let place = Place::with_a_run();
    let moved = place.recipe.path("elsewhere");
    fs::rename(place.root(), &moved).expect("moves it");
    symlink(&moved, place.root()).expect("links");
    for ended in place.call_all() {
        ended.expect_code(0);
    }
}
