//! A run that ends while the records of a part are written: what is merged has each item once.

use std::fs;

use crate::recipe::{PythonRecipe, recipe};

fn hooked(config: &str) -> Option<PythonRecipe> {
    recipe("parts.Provider", "parts.Runner", config)
}

fn assert_merged(recipe: &PythonRecipe, items: impl IntoIterator<Item = u64>) {
    let merged = fs::read_to_string(recipe.root.join("squares.txt")).expect("merged");
    let wanted: String = items.into_iter().map(|idx| format!("{}\n", idx * idx)).collect();
    // Whole files in a message help nobody.
    assert!(merged == wanted, "{} lines are merged: {merged:.200}…", merged.lines().count());
}

/// The part has been closed when the failed item is met among its items: those behind it are in the
/// part's file too, and come again.
#[test]
fn stopped_amid_a_part() {
    let Some(recipe) =
        hooked("n: 10\nfaults: {5: raise}\nparallel: {env: local, n_workers: 1, shards: 1}")
    else {
        return;
    };
    recipe.run(&["--set", "on_item_error=stop"]).expect_code(3).expect_says("item 5 failed");
    recipe.run(&[]).expect_code(1).expect_says("9 of 10 items, 1 failed");
    assert_merged(&recipe, (0..10).filter(|idx| *idx != 5));
}

/// What a kill leaves while the records of a part are written: some of them, and the part whole.
#[test]
fn killed_amid_a_part() {
    let config = "n: 100\nparallel: {env: local, n_workers: 1, shards: 1}";
    let Some(recipe) = hooked(config) else { return };
    recipe.run(&[]).expect_code(0);
    let worker = fs::read_dir(recipe.root.join("workers")).expect("is there").next();
    let worker = worker.expect("one worked").expect("can be read").path();
    let worker = worker.file_stem().expect("its name").to_str().expect("is UTF-8").to_owned();
    for kept in [1, 60, 99] {
        let done = recipe.root.join("shards/split.0");
        let text = fs::read_to_string(done.join("results.jsonl")).expect("is there");
        let some: String = text.split_inclusive('\n').take(kept).collect();
        fs::write(done.join("results.jsonl"), some).expect("writes");
        let under_way = recipe.root.join(format!("shards/split.0.1.{worker}"));
        fs::rename(done, under_way).expect("renames");
        recipe.run(&[]).expect_code(0);
        assert_merged(&recipe, 0..100);
    }
}
