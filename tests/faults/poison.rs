//! Items that fail, in every way an item can: all others are done, and each is named.

use std::collections::BTreeMap;

use crate::common::disk::{errors, recorded, said};
use crate::common::recipe::Recipe;

/// Runs `n` items with these faults, ten to a shard; exit code 1, all others done.
fn others_are_done(n: u64, faults: &[(u64, &str)], more: &str) {
    let list: Vec<String> = faults.iter().map(|(idx, fault)| format!("{idx}: {fault}")).collect();
    let recipe = Recipe::new(&format!(
        "toy: {{n: {n}, faults: {{{}}}}}\nparallel: {{env: local, n_workers: 2, shard_size: 10{more}}}",
        list.join(", ")
    ));
    recipe.run(&[]).expect_code(1);
    let faults: BTreeMap<u64, &str> = faults.iter().copied().collect();
    let errors = errors(&recipe.root);
    assert_eq!(errors.len(), faults.len(), "{errors:?}");
    for (error, (idx, fault)) in errors.iter().zip(&faults) {
        let (kind, words) = match *fault {
            "error" => ("error", "no such luck"),
            "panic" => ("panic", "out of cheese"),
            "conflict" => ("error", "argument conflict: `idx`"),
            "abort" => ("died", "SIGABRT"),
            "exit" => ("died", "exit code 0"),
            other => panic!("no such fault: {other}"),
        };
        assert_eq!(error["idx"], *idx, "{error}");
        assert_eq!(error["item"], format!("utt{idx}"), "{error}");
        assert_eq!(error["kind"], kind, "{error}");
        assert!(error["error"].as_str().expect("a text").contains(words), "{error}");
    }
    let done: Vec<u64> = recorded(&recipe.root).into_iter().collect();
    let expected: Vec<u64> = (0..n).filter(|idx| !faults.contains_key(idx)).collect();
    assert_eq!(done, expected);
    let lines =
        |idx: &u64| format!("{{\"idx\":{idx},\"utt_id\":\"utt{idx}\",\"square\":{}}}\n", idx * idx);
    assert_eq!(recipe.results(), expected.iter().map(lines).collect::<String>());
}

#[test]
fn one_of_each() {
    let faults = [(3, "error"), (14, "panic"), (25, "abort"), (36, "exit"), (47, "conflict")];
    others_are_done(60, &faults, "");
}

#[test]
fn one_of_each_with_threads() {
    let faults = [(3, "error"), (14, "panic"), (25, "abort"), (36, "exit"), (47, "conflict")];
    others_are_done(60, &faults, ", options: {threads_per_worker: 3}");
}

#[test]
fn two_in_one_shard() {
    others_are_done(20, &[(4, "abort"), (5, "exit"), (8, "abort")], "");
}

#[test]
fn the_first_and_the_last() {
    others_are_done(30, &[(0, "abort"), (29, "abort")], "");
}

/// A successor goes on with the shard its predecessor died in, so that poison at the first item of
/// every shard is found.
#[test]
fn the_first_of_every_shard() {
    let faults: Vec<_> = (0..12).map(|shard| (shard * 10, "abort")).collect();
    others_are_done(120, &faults, "");
}

/// A file that two records claim fails the second one.
#[test]
fn two_records_with_one_file() {
    let recipe = Recipe::new(
        "toy: {n: 20, files: true, faults: {3: clash}}\nparallel: {env: local, shard_size: 10}",
    );
    recipe.run(&[]).expect_code(1).expect_says("utt0.txt");
    assert_eq!(errors(&recipe.root)[0]["idx"], 3);
    crate::common::disk::check_places(&recipe.root);
}

/// A stage that always dies is given up, though each poison item found is something new.
#[test]
fn all_of_them() {
    let faults: Vec<String> = (0..400).map(|idx| format!("{idx}: abort")).collect();
    let recipe = Recipe::new(&format!(
        "toy: {{n: 400, faults: {{{}}}}}\nparallel: {{env: local, n_workers: 2, shard_size: 50}}",
        faults.join(", ")
    ));
    recipe.run(&[]).expect_code(3).expect_says("SIGABRT");
    // Four submissions of two workers, each given up after 20 deaths without a record.
    let deaths = said(&recipe.root, "died: signal");
    assert!(deaths <= 160, "{deaths} deaths until it gave up");
}
