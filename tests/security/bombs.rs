//! Files that are small and mean much, or large and mean nothing: bounded memory, and soon an answer.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use crate::common::recipe::{Recipe, toy};
use crate::place::{BOUND, Place};

/// Larger than the memory that commands get here; what is read to its end to find a good line in it.
const LARGE: u64 = 512 << 20;

/// Calls a program that may have 450 MB of addresses.
fn bounded(program: &Path, folder: &Path, args: &[&str]) -> Output {
    let since = Instant::now();
    let mut shell = Command::new("timeout");
    shell.args(["30", "sh", "-c", "ulimit -v 450000; exec \"$@\"", "sh"]).arg(program).args(args);
    let output = shell.current_dir(folder).output().expect("sh starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    let sound = code.is_some_and(|code| code < 6) && !said.contains("panicked");
    assert!(sound && since.elapsed() < BOUND, "{args:?}: {code:?} {said}");
    output
}

fn said(output: &Output, code: i32, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "no {words:?} in {said}");
}

/// A file that is nothing but a hole.
fn hole(path: &Path, length: u64) {
    let _ = fs::remove_file(path);
    File::create(path).and_then(|file| file.set_len(length)).expect("makes it");
}

#[test]
fn a_config_that_grows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.yaml");
    let tens = |n: usize| vec![format!("*a{}", n - 1); 10].join(", ");
    let anchors: String = (1..12).map(|n| format!("a{n}: &a{n} [{}]\n", tens(n))).collect();
    let doubled = |n: usize| format!("r{n}: \"${{r{0}}}${{r{0}}}\"\n", n - 1);
    let pairs = |n: usize| format!("r{n}: [\"${{r{0}}}\", \"${{r{0}}}\"]\n", n - 1);
    let next = |n: usize| format!("r{n}: ${{r{}}}\n", n + 1);
    let over = |what: &str| format!("references make over {what} of this config");
    for (text, message) in [
        (
            format!("a0: &a0 [x]\n{anchors}"),
            "error: a.yaml:7:30: this YAML is too large or too deep for a config".to_owned(),
        ),
        (format!("r0: xxxxxxxxxx\n{}", (1..40).map(doubled).collect::<String>()), over("4 MB")),
        (format!("r0: xxxxxxxxxx\n{}", (1..40).map(pairs).collect::<String>()), over("4 MB")),
        ((0..3_000).map(next).collect(), "this is a chain of over 200 references".to_owned()),
        (
            format!("a: \"{}\"\n", "${".repeat(100_000)),
            "more than 50 `${` inside each other".to_owned(),
        ),
        (format!("a: {}\n", "[".repeat(100_000)), "error: a.yaml:1:".to_owned()),
        (format!("a: {}\n", "{a: ".repeat(100_000)), "error: a.yaml:1:".to_owned()),
        ("- ".repeat(100_000), "error: a.yaml:1:".to_owned()),
    ] {
        // What only stands there is not the run's, and no more than a note.
        fs::write(&path, text + "output_dir: ${r39}${r0}${a}\n").expect("writes");
        said(&bounded(&toy(), folder.path(), &["check", "a.yaml"]), 2, &message);
    }
    let deep = format!("toy.n={}", "[".repeat(100_000));
    fs::write(&path, "stage: toy\noutput_dir: exp\n").expect("writes");
    said(&bounded(&toy(), folder.path(), &["check", "a.yaml", "--set", &deep]), 2, "error: --set");
    hole(&path, 2 << 30);
    let message = "error: a.yaml: cannot read this config file: it has more than 64 MB";
    said(&bounded(&toy(), folder.path(), &["check", "a.yaml"]), 2, message);
}

#[test]
fn a_manifest_of_one_line() {
    for name in ["wav.scp", "wav.jsonl"] {
        let config = format!("command: {{manifest: {name}, argv: [cat, '{{wav}}']}}");
        let recipe = Recipe::of_product("command", &config);
        hole(&recipe.path(name), LARGE);
        let program = Path::new(env!("CARGO_BIN_EXE_espnet3-par"));
        let output = bounded(program, &recipe.path("."), &["check", "conf.yaml"]);
        said(
            &output,
            2,
            &format!("{name}:1: the line has 536870912 bytes, which is no line of a text"),
        );
    }
    let recipe =
        Recipe::of_product("command", "command: {manifest: a.jsonl, argv: [cat, '{wav}']}");
    fs::write(recipe.path("a.jsonl"), "[".repeat(1_000_000)).expect("writes");
    let program = Path::new(env!("CARGO_BIN_EXE_espnet3-par"));
    let output = bounded(program, &recipe.path("."), &["check", "conf.yaml"]);
    said(&output, 2, "a.jsonl:1: recursion limit exceeded");
}

#[test]
fn files_of_a_run() {
    for name in [
        "spec.json",
        "stop.json",
        "workers/*.json",
        "jobs/001/job.json",
        "jobs/001/task.0.ended.json",
        "jobs/inquiry.json",
        "shards/split.0/results.jsonl",
        "shards/split.0/errors.jsonl",
        "logs/*.log",
    ] {
        let place = Place::with_a_run();
        hole(&place.file(name), if name.starts_with("shards") { LARGE } else { 2 << 30 });
        let root = place.recipe.root_text();
        for args in [["status", root], ["run", "conf.yaml"]] {
            bounded(&toy(), &place.recipe.path("."), &args);
        }
    }
}

/// What a dead worker left, or somebody for it: the good is kept, and the rest is computed.
#[test]
fn files_of_a_shard_to_be_opened() {
    let good = "{\"idx\":0,\"utt_id\":\"utt0\",\"square\":0}\n";
    for name in ["results.jsonl", "errors.jsonl", "extents.jsonl"] {
        let (place, todo) = Place::with_work_to_do();
        let before = place.recipe.results();
        fs::write(todo.join("results.jsonl"), good).expect("writes");
        let file = File::options().create(true).append(true).open(todo.join(name));
        file.and_then(|file| file.set_len(LARGE)).expect("a file with a hole at its end");
        let output = bounded(&toy(), &place.recipe.path("."), &["run", "conf.yaml"]);
        said(&output, 0, "done, 4 of 4 items");
        assert_eq!(place.recipe.results(), before);
    }
}

#[test]
fn a_record_without_a_bottom() {
    let (place, todo) = Place::with_work_to_do();
    let before = place.recipe.results();
    let deep = "[".repeat(1_000_000);
    fs::write(todo.join("results.jsonl"), format!("{{\"idx\":0,\"a\":{deep}\n")).expect("writes");
    said(&bounded(&toy(), &place.recipe.path("."), &["run", "conf.yaml"]), 0, "done, 4 of 4 items");
    assert_eq!(place.recipe.results(), before);
    fs::write(place.file("spec.json"), deep).expect("writes");
    let output = bounded(&toy(), &place.recipe.path("."), &["status", place.recipe.root_text()]);
    said(&output, 5, "spec.json is damaged: recursion limit exceeded");
}

/// A record that would not be read again is not written: the item has failed.
#[test]
fn a_record_that_is_too_large() {
    let recipe = Recipe::new("toy: {n: 1, pad: 67108864}\nparallel: {env: local}");
    recipe
        .run(&[])
        .expect_code(1)
        .expect_says("and a line at most 67108864: put what is large into a file");
}
