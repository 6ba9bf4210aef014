//! Programs that fail, die, hang, print nonsense and leave others behind, as stage `command`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::processes::state;
use crate::common::recipe::{Ended, Recipe};
use crate::common::until::{until, wait_until};

mod each;
mod each_killed;
mod stream;
mod stream_broken;

/// A recipe with a program, `serve`, that `sh` runs, and items `utt0` to `utt{n-1}` in `text`.
fn recipe(n: usize, serve: &str, config: &str) -> Recipe {
    let recipe = Recipe::of_product("command", config);
    let items: String = (0..n).map(|idx| format!("utt{idx} word{idx} {idx}\n")).collect();
    fs::write(recipe.path("text"), items).expect("writes");
    fs::write(recipe.path("serve"), serve).expect("writes");
    recipe
}

/// The lines of a file of the recipe that programs append to.
fn lines(recipe: &Recipe, name: &str) -> Vec<String> {
    let text = fs::read_to_string(recipe.path(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn json_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("is there");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn records(recipe: &Recipe) -> Vec<Value> {
    json_lines(&recipe.root.join("results.jsonl"))
}

/// The failed items: index, kind and words.
fn failures(recipe: &Recipe) -> Vec<(u64, String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let failure = |line: Value| {
        assert_eq!(line["item"], json!(format!("utt{}", line["idx"])), "{line}");
        (line["idx"].as_u64().expect("an index"), text(&line["kind"]), text(&line["error"]))
    };
    json_lines(&recipe.root.join("errors.jsonl")).into_iter().map(failure).collect()
}

/// Waits for a pid that a program wrote.
fn pid_in(recipe: &Recipe, name: &str) -> u32 {
    until("a pid", || {
        let text = fs::read_to_string(recipe.path(name)).ok()?;
        text.strip_suffix('\n')?.parse().ok()
    })
}

/// Waits until a process has ended. Its parent may not care.
fn wait_until_gone(pid: u32) {
    wait_until("a process to end", || matches!(state(pid), None | Some('Z' | 'X')));
}

fn assert_one_error(ended: &Ended, words: &str) {
    assert_eq!(ended.err.matches(words).count(), 1, "{ended:?}");
}
