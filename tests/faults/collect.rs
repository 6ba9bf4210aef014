//! Collecting: only what is complete, whole or not at all, and each damage by its shard.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::common::disk::{claimed, recorded};
use crate::common::processes::kill_all;
use crate::common::recipe::Recipe;
use crate::common::until::wait_until;

fn killed() -> Recipe {
    let recipe = Recipe::held_at(33, "toy: {n: 60}\nparallel: {env: local, shard_size: 20}");
    let driver = recipe.start_run(&[]);
    wait_until("records", || recorded(&recipe.root).len() == 33);
    kill_all(&recipe.root, Some(driver.pid()));
    recipe
}

/// Ranges as `--indices` takes them.
fn ranges(items: impl Iterator<Item = u64>) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for item in items {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == item => *last = item,
            _ => ranges.push((item, item)),
        }
    }
    let text = |(first, last): &(u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

#[test]
fn an_incomplete_run_is_refused_or_said_to_be_partial() {
    let recipe = killed();
    let root = recipe.root_text();
    recipe.call(&["collect", root]).expect_code(3).expect_says("--partial");
    assert!(!recipe.root.join("results.jsonl").exists());
    let there = recorded(&recipe.root);
    let missing = (0..60).filter(|idx| !there.contains(idx));
    let says = format!("{} items are missing: {}", 60 - there.len(), ranges(missing));
    recipe.call(&["collect", root, "--partial"]).expect_code(3).expect_says(&says);
    let partial = fs::read_to_string(recipe.root.join("results.partial.jsonl")).expect("is there");
    assert_eq!(partial.lines().count(), there.len());
    assert!(!recipe.root.join("results.jsonl").exists());
}

/// A torn line in errors.jsonl of a shard under way is nothing unusual.
#[test]
fn partial_takes_a_torn_errors_file() {
    let recipe = killed();
    let folder = recipe.root.join("shards").join(&claimed(&recipe.root)[0]);
    fs::write(folder.join("errors.jsonl"), "{\"idx\":39,\"ki").expect("writes");
    let there = recorded(&recipe.root).len();
    let ended = recipe.call(&["collect", recipe.root_text(), "--partial"]).expect_code(3);
    ended.expect_says(&format!("{} items are missing", 60 - there));
}

/// Of a shard whose folder is not there `--partial` reads nothing, from nowhere.
#[test]
fn partial_reads_nothing_from_elsewhere() {
    let recipe = killed();
    let folder = recipe.root.join("shards").join(&claimed(&recipe.root)[0]);
    fs::rename(folder, recipe.path("gone")).expect("moves the folder away");
    let there = recorded(&recipe.root).len();
    let strangers: String =
        (20..40).map(|idx| format!("{{\"idx\":{idx},\"stranger\":true}}\n")).collect();
    fs::write(recipe.path("results.jsonl"), strangers).expect("writes");
    let ended = recipe.call(&["collect", recipe.root_text(), "--partial"]).expect_code(3);
    let partial = fs::read_to_string(recipe.root.join("results.partial.jsonl")).expect("is there");
    assert!(!partial.contains("stranger"), "records of another place were collected");
    ended.expect_says(&format!("{} items are missing", 60 - there));
}

#[test]
fn a_damaged_shard_is_named() {
    type Damage = fn(&mut Vec<&str>);
    let damages: &[(&str, Damage)] = &[
        ("a line lost", |lines| {
            lines.remove(3);
        }),
        ("the last line lost", |lines| {
            lines.pop();
        }),
        ("a line twice", |lines| lines.insert(4, lines[3])),
        ("two lines swapped", |lines| lines.swap(5, 6)),
        ("a torn line", |lines| lines[9] = &lines[9][..12]),
        ("a hole", |lines| lines[2] = "\0\0\0\0"),
    ];
    let recipe = Recipe::new("toy: {n: 60}\nparallel: {env: local, shard_size: 20}");
    recipe.run(&[]).expect_code(0);
    let whole = recipe.results();
    let path = recipe.root.join("shards/split.1/results.jsonl");
    let sound = fs::read_to_string(&path).expect("is there");
    for (what, damage) in damages {
        let mut lines: Vec<&str> = sound.lines().collect();
        damage(&mut lines);
        fs::write(&path, format!("{}\n", lines.join("\n"))).expect("writes");
        println!("{what}");
        let root = recipe.root_text();
        recipe.call(&["collect", root]).expect_code(5).expect_says("shard 1 is damaged");
        assert_eq!(recipe.results(), whole, "the old file stays");
    }
}

#[test]
fn killed_at_any_moment_the_old_file_stays_whole() {
    let recipe = Recipe::new(
        "toy: {n: 4000, pad: 2000}\nbatch_size: 100\nparallel: {env: local, n_workers: 2}",
    );
    recipe.run(&[]).expect_code(0);
    let whole = recipe.results();
    let arguments = ["collect", recipe.root_text()];
    let since = Instant::now();
    recipe.call(&arguments).expect_code(0);
    let took = since.elapsed();
    let mut killed = 0;
    for kill in 0..12 {
        let collect = recipe.start(&arguments);
        std::thread::sleep(took * kill / 12 + Duration::from_millis(1));
        collect.signal(Signal::SIGKILL);
        killed += u32::from(collect.wait().status.code().is_none());
        assert!(recipe.results() == whole, "results.jsonl changed at kill {kill}");
    }
    assert!(killed > 0, "no collect was killed before its end");
    recipe.call(&arguments).expect_code(0);
    assert!(recipe.results() == whole);
}
