//! `dataset.test`: one run over all test sets, the results of each in a folder of its own.

use std::fs;

use serde_json::Value;

use crate::common::disk::errors;
use crate::recipe::{PythonRecipe, recipe};

fn sets(runner: &str, more: &str) -> Option<PythonRecipe> {
    let config = format!(
        "dataset:\n  test:\n    - {{name: clean, n: 7}}\n    - {{name: other, n: 5}}\n{more}\n\
         parallel: {{env: local, n_workers: 1, shard_size: 4}}"
    );
    recipe("sets.Provider", &format!("sets.{runner}"), &config)
}

fn read(recipe: &PythonRecipe, path: &str) -> String {
    fs::read_to_string(recipe.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The second of three shards holds the border between the sets.
#[test]
fn records_of_two_sets() {
    let Some(recipe) = sets("Runner", "") else { return };
    recipe.run(&[]).expect_code(0);
    let fields = |set: &str, idx: u64| {
        let n = (1_u128 << 70) + u128::from(idx);
        format!("\"utt_id\":\"{set}-{idx}\",\"n\":{n},\"score\":1e+22")
    };
    let (mut all, mut own) = (String::new(), [String::new(), String::new()]);
    for (nth, (set, begin, length)) in [("clean", 0, 7), ("other", 7, 5)].into_iter().enumerate() {
        for idx in 0..length {
            let fields = fields(set, idx);
            all += &format!(
                "{{\"idx\":{},\"test_set\":\"{set}\",\"test_idx\":{idx},{fields}}}\n",
                begin + idx
            );
            own[nth] += &format!("{{\"idx\":{idx},{fields}}}\n");
        }
    }
    assert_eq!(recipe.results(), all);
    assert_eq!(read(&recipe, "clean/results.jsonl"), own[0]);
    assert_eq!(read(&recipe, "other/results.jsonl"), own[1]);
    // One process: its env is built again where the next set begins, and not for a shard.
    assert_eq!(recipe.noted("env built for clean"), 1);
    assert_eq!(recipe.noted("env built for other"), 1);
}

#[test]
fn files_of_two_sets() {
    let Some(recipe) = sets("Writes", "faults: {clean-6: raise, other-0: exit}") else { return };
    recipe.run(&[]).expect_code(1);
    let lines = |set: &str, items: std::ops::Range<u64>| -> String {
        items.map(|idx| format!("{set}-{idx} run/{set}\n")).collect()
    };
    assert_eq!(read(&recipe, "clean/text"), lines("clean", 0..6));
    assert_eq!(read(&recipe, "other/text"), lines("other", 1..5));
    let merged: Value = serde_json::from_str(&read(&recipe, "merged.json")).expect("JSON");
    assert_eq!(merged, serde_json::json!({"clean": {"lines": 6}, "other": {"lines": 4}}));
    let failed: Vec<_> = errors(&recipe.root)
        .iter()
        .map(|error| (error["idx"].as_u64(), error["kind"].as_str().map(str::to_owned)))
        .collect();
    let expected = [(6, "error"), (7, "died")];
    assert_eq!(failed, expected.map(|(idx, kind)| (Some(idx), Some(kind.to_owned()))));
}

#[test]
fn an_item_is_called_by_its_set() {
    let Some(recipe) = sets("Runner", "faults: {other-1: raise, other-3: exit}") else { return };
    recipe
        .run(&[])
        .expect_code(1)
        .expect_says("item 8 other[1]: ValueError: corrupt audio: other-1");
    let [raised, died] = &errors(&recipe.root)[..] else { panic!("two") };
    assert_eq!((&raised["idx"], &raised["item"]), (&8.into(), &"other[1]".into()));
    assert_eq!((&died["idx"], &died["kind"]), (&10.into(), &"died".into()));
    assert_eq!(read(&recipe, "other/results.jsonl").lines().count(), 3);
}

#[test]
fn a_batch_is_of_one_set() {
    let Some(recipe) = sets("Lists", "batch_size: 3") else { return };
    recipe.run(&["--set", "parallel.shard_size=12"]).expect_code(0);
    for batch in ["clean-0,clean-1,clean-2", "clean-6", "other-0,other-1,other-2"] {
        assert_eq!(recipe.noted(&format!("batch {batch}")), 1, "{:?}", recipe.notes());
    }
    assert_eq!(read(&recipe, "other/results.jsonl").lines().count(), 5);
}

#[test]
fn a_set_of_another_length_is_another_run() {
    let Some(recipe) = sets("Runner", "") else { return };
    recipe.run(&[]).expect_code(0);
    let longer = ["--set", "dataset.test=[{name: clean, n: 8}, {name: other, n: 4}]"];
    recipe.run(&longer).expect_code(2).expect_says("holds a run with another config");
}

#[test]
fn names_that_no_folder_can_have() {
    for (sets, words) in [
        ("[{name: ../x}]", "names a test set \"../x\""),
        ("[{name: a}, {name: \"\"}]", "names a test set \"\", which no folder here can be called"),
        ("[{name: a/b}]", "\"a/b\""),
        ("[{name: .}]", "\".\""),
        (
            "[{name: a}, {n: 3}]",
            "must name each test set, by the folder for its results, but entry 1",
        ),
        ("[{name: shards}]", "\"shards\""),
        ("[{name: results.jsonl}]", "\"results.jsonl\""),
        ("[{name: a}, {name: a}]", "names the test set `a` twice"),
    ] {
        let config = format!("dataset:\n  test: {sets}\nnum_items: 3");
        let Some(recipe) = recipe("sets.Provider", "sets.Runner", &config) else { return };
        let ended = recipe.run(&[]).expect_code(2).expect_says(words);
        // Its file and its line.
        let ended = ended.expect_says("conf.yaml:6");
        assert!(ended.err.contains("dataset.test"), "{ended:?}");
        assert!(!recipe.root.exists());
    }
}
