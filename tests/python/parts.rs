//! A run that ends while the records of a part are written: what is merged has each item once.

use std::fs;
use std::io::BufRead;

use crate::common::disk::{claimed, recorded};
use crate::common::processes::kill_all;
use crate::common::recipe::Call;
use crate::common::until::wait_until;
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

/// So many records of one part that they are not written at once.
const MANY: u64 = 100_000;

/// Starts a run, ends it when some records of its one part are on disk, and runs again.
fn ended_amid_a_part(end: impl FnOnce(&PythonRecipe, Call)) {
    let config = format!("n: {MANY}\nparallel: {{env: local, n_workers: 1, shards: 1}}");
    let Some(recipe) = hooked(&config) else { return };
    let call = recipe.start_run(&[]);
    let lines = || {
        let folders = claimed(&recipe.root).into_iter();
        let files = folders.map(|name| recipe.root.join("shards").join(name).join("results.jsonl"));
        files.filter_map(|file| fs::read(file).ok()).map(|text| text.lines().count()).sum::<usize>()
    };
    wait_until("records of the part to be there", || lines() > 0);
    end(&recipe, call);
    wait_until("the Python processes to be gone", || recipe.pythons().is_empty());
    let there = recorded(&recipe.root).len() as u64;
    assert!(there > 0 && there < MANY, "{there} items: it did not end amid the part");
    recipe.run(&[]).expect_code(0);
    assert_merged(&recipe, 0..MANY);
}

#[test]
fn killed_amid_a_part() {
    ended_amid_a_part(|recipe, call| kill_all(&recipe.root, Some(call.pid())));
}

#[test]
fn interrupted_amid_a_part() {
    ended_amid_a_part(|_, call| {
        call.signal_group(nix::sys::signal::Signal::SIGINT);
        call.wait().expect_code(130);
    });
}
