//! `batch_size`: `forward` gets a list and gives one; a bad item is found in it.

use crate::common::disk::errors;
use crate::recipe::{PythonRecipe, recipe, squares};

fn batches(runner: &str, faults: &str) -> Option<PythonRecipe> {
    let config = format!(
        "n: 14\nnum_items: 14\nbatch_size: 4\nfaults: {{{faults}}}\n\
         parallel: {{env: local, n_workers: 1, shard_size: 7}}"
    );
    recipe("batch.Provider", runner, &config)
}

#[test]
fn lists_of_items_clear_of_the_next_shard() {
    let Some(recipe) = batches("batch.Runner", "") else { return };
    recipe.run(&[]).expect_code(0);
    assert_eq!(recipe.results(), squares(0..14));
    for batch in ["0,1,2,3", "4,5,6", "7,8,9,10", "11,12,13"] {
        assert_eq!(recipe.noted(&format!("batch {batch}")), 1, "{:?}", recipe.notes());
    }
}

#[test]
fn a_batch_of_one_is_a_list() {
    let Some(recipe) = batches("batch.Runner", "") else { return };
    recipe.run(&["--set", "batch_size=1"]).expect_code(0);
    assert_eq!(recipe.results(), squares(0..14));
    assert_eq!(recipe.noted("batch 3"), 1);
}

#[test]
fn tuples_of_scalars() {
    let Some(recipe) = batches("batch.Tuples", "") else { return };
    recipe.run(&[]).expect_code(0);
    let line = |idx: u64| format!("{{\"idx\":{idx},\"value\":{}}}\n", idx * idx);
    assert_eq!(recipe.results(), (0..14).map(line).collect::<String>());
}

#[test]
fn batch_forward_of_the_first_generation() {
    let Some(recipe) = batches("batch.Batched", "") else { return };
    recipe.run(&[]).expect_code(0);
    assert_eq!(recipe.results(), squares(0..14));
    assert_eq!(recipe.noted("batch 0,1,2,3"), 1);
    assert!(recipe.computed().is_empty());
}

#[test]
fn a_bad_item_among_good_ones() {
    let Some(recipe) = batches("batch.Runner", "2: raise, 9: exit, 13: raise") else { return };
    recipe.run(&[]).expect_code(1);
    assert_eq!(recipe.results(), squares((0..13).filter(|idx| ![2, 9].contains(idx))));
    let errors = errors(&recipe.root);
    let found: Vec<_> = errors.iter().map(|error| (&error["idx"], &error["kind"])).collect();
    let expected = [(2, "error"), (9, "died"), (13, "error")];
    let expected: Vec<_> = expected.map(|(idx, kind)| (idx.into(), kind.into())).into();
    let expected: Vec<_> = expected.iter().map(|(idx, kind)| (idx, kind)).collect();
    assert_eq!(found, expected, "{errors:?}");
    let error = errors[0]["error"].as_str().expect("a text");
    assert!(error.starts_with("ValueError: no audio in 2\nTraceback"), "{error}");
    // In its batch, and twice alone: three deaths, three more processes.
    assert_eq!(recipe.noted("forward 9"), 3, "{:?}", recipe.notes());
    assert_eq!(recipe.noted("env built here"), 4);
    // A batch that was done is not done again.
    assert_eq!(recipe.computed()[&6], 1);
}

#[test]
fn other_than_one_result_an_item() {
    for (fault, what) in [("few", "a list of 3"), ("many", "a list of 5"), ("one", "a dict of 1")] {
        let Some(recipe) = batches("batch.Runner", &format!("0: {fault}")) else { return };
        let ended = recipe.run(&[]);
        assert!(recipe.log().contains(&format!("`forward` got 4 items and returned {what}")));
        // Alone, one result is what it should be; none or two are not.
        if fault == "one" {
            ended.expect_code(0);
            assert!(recipe.results().starts_with("{\"idx\":0,\"square\":0}\n"));
            continue;
        }
        ended.expect_code(1);
        assert_eq!(recipe.results(), squares(1..14));
        let errors = errors(&recipe.root);
        let error = errors[0]["error"].as_str().expect("a text");
        let alone = if fault == "few" { "a list of 0" } else { "a list of 2" };
        let expected = format!(
            "TypeError: `forward` got 1 items and returned {alone}; a list of one result for each \
             item is expected"
        );
        assert_eq!((errors.len(), error), (1, expected.as_str()));
    }
}

#[test]
fn resumed_with_other_batches() {
    let Some(recipe) = batches("batch.Runner", "5: raise") else { return };
    recipe.run(&["--set", "on_item_error=stop"]).expect_code(3).expect_says("no audio in 5");
    let before = recipe.computed();
    recipe.run(&["--set", "batch_size=3"]).expect_code(1);
    assert_eq!(recipe.results(), squares((0..14).filter(|idx| *idx != 5)));
    // Batches that were recorded before are not computed again.
    assert_eq!((before[&0], recipe.computed()[&0]), (1, 1), "{:?}", recipe.notes());
    let none: [&str; 0] = [];
    recipe.forget_notes();
    recipe.run(&["--set", "batch_size=2"]).expect_code(1);
    assert_eq!(recipe.notes().into_keys().collect::<Vec<_>>(), none);
}
