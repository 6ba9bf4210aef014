//! Items and files with names that a shell, a path or a line of text would take for something else.

use std::fs;

use serde_json::{Value, json};

use crate::common::disk::{errors, snapshot};
use crate::common::recipe::Recipe;
use crate::place::BOUND;

const IDS: [&str; 14] = [
    "../x",
    "/tmp/../x",
    "-rf",
    "--output=x",
    "$(touch x)",
    "`touch x`",
    "'; touch x; '",
    "\" && touch x #",
    "a b\tc",
    "a\nb",
    "\u{1b}[2J\u{1b}]0;x\u{7}",
    "{utt_id}",
    "%s%n",
    "*",
];

fn recipe(ids: &[&str], argv: &str) -> Recipe {
    let config =
        format!("command: {{manifest: items.jsonl, argv: {argv}}}\nparallel: {{shards: 2}}");
    let recipe = Recipe::of_product("command", &config);
    let lines = ids.iter().map(|id| format!("{}\n", json!({"utt_id": id})));
    fs::write(recipe.path("items.jsonl"), lines.collect::<String>()).expect("writes");
    recipe
}

fn outside(recipe: &Recipe) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = snapshot(&recipe.path(".")).into_keys().collect();
    let kinds = ["out", "err"];
    paths.retain(|path| {
        let calls = path.extension().is_some_and(|kind| kinds.iter().any(|other| kind == *other));
        !path.starts_with(recipe.path("./run")) && !calls
    });
    paths
}

#[test]
fn as_arguments_of_a_program() {
    let long = "x".repeat(5000);
    let ids = [&IDS[..], &[&long]].concat();
    let recipe = recipe(&ids, "[printf, \"%s|\", \"{utt_id}\"]");
    let before = outside(&recipe);
    recipe.start_run(&[]).wait_within(BOUND).expect_code(0);
    let records: Vec<Value> =
        recipe.results().lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    for (record, id) in records.iter().zip(&ids) {
        assert_eq!(record["utt_id"], *id);
        assert_eq!(record["stdout"], format!("{id}|"));
    }
    assert_eq!(records.len(), ids.len());
    assert_eq!(outside(&recipe), before);
}

/// No argument can have one.
#[test]
fn a_nought_byte_costs_the_item() {
    let recipe = recipe(&["a\0b", "good"], "[printf, \"%s|\", \"{utt_id}\"]");
    recipe.start_run(&[]).wait_within(BOUND).expect_code(1);
    assert_eq!(recipe.results().lines().count(), 1);
    let error = errors(&recipe.root).remove(0);
    assert!(error["error"].as_str().is_some_and(|error| error.contains("nul byte")), "{error}");
}

/// What a program calls its files is checked, and costs no more than the item.
#[test]
fn of_files_of_a_record() {
    let long = "x".repeat(250);
    let ids = ["-rf", "$(touch x)", ".hidden", "a\nb", "results.jsonl", &long, "last"];
    let recipe = recipe(&ids, "[sh, -c, 'echo > \"$1/$2\"', sh, \"{out}\", \"{utt_id}\"]");
    let before = outside(&recipe);
    recipe.start_run(&[]).wait_within(BOUND).expect_code(1);
    let errors: Vec<String> = errors(&recipe.root)
        .iter()
        .map(|error| error["error"].as_str().expect("a text").to_owned())
        .collect();
    let own = ": the shard has its own";
    let cannot = |name: &str, why: &str| format!("a record's file cannot be called {name:?}{why}");
    assert_eq!(
        errors,
        [
            cannot(".hidden", ""),
            cannot("a\nb", ""),
            cannot("results.jsonl", own),
            cannot(&long, ": the name is too long"),
        ]
    );
    assert_eq!(recipe.results().lines().count(), 3);
    assert_eq!(outside(&recipe), before);
}

/// An scp has a word and the rest of a line.
#[test]
fn in_an_scp() {
    for (id, message) in [
        ("a b", "`utt_id` is \"a b\", which cannot be the first word of a line"),
        ("a\nb", "`utt_id` has more than one line: \"a\\nb\""),
        ("", "`utt_id` is \"\", which cannot be the first word of a line"),
    ] {
        let recipe = recipe(&["good", id], "[printf, x]");
        recipe.start_run(&[]).wait_within(BOUND).expect_code(0);
        let scp = ["--format", "scp", "--key", "utt_id", "--field", "stdout"];
        let ended = recipe.call(&[&["collect", recipe.root_text()], &scp[..]].concat());
        let ended = ended.expect_code(2);
        assert!(ended.err.contains(message), "{ended:?}");
        assert!(!recipe.root.join("stdout.scp").exists());
    }
}
