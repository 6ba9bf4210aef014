//! However many workers, threads and items a batch, before a kill and after it: the same bytes.

use crate::common::disk::{check_files, recorded};
use crate::common::processes::kill_all;
use crate::common::recipe::Recipe;
use crate::common::until::wait_until;

/// Workers, threads, batch size; the size of shards stays, since it is part of the plan.
type How = (u32, u32, u32);

fn settings((workers, threads, batch): How) -> [String; 6] {
    let set = || "--set".to_owned();
    [
        set(),
        format!("parallel.n_workers={workers}"),
        set(),
        format!("parallel.options.threads_per_worker={threads}"),
        set(),
        format!("batch_size={batch}"),
    ]
}

fn resumed(first: How, second: How) {
    let recipe = Recipe::held_at(
        100,
        "toy: {n: 150, sleep_ms: 4, files: true}\nparallel: {env: local, shard_size: 15}",
    );
    let first = settings(first);
    let second = settings(second);
    let driver = recipe.start_run(&first.each_ref().map(String::as_str));
    wait_until("records", || recorded(&recipe.root).len() >= 15);
    kill_all(&recipe.root, Some(driver.pid()));
    drop(driver);
    recipe.finish_and_compare(&second.each_ref().map(String::as_str));
    check_files(&recipe.root);
}

#[test]
fn more_workers() {
    resumed((1, 1, 1), (5, 3, 7));
}

#[test]
fn fewer_workers() {
    resumed((5, 1, 7), (1, 3, 1000));
}

#[test]
fn whole_shards_in_a_batch() {
    resumed((2, 3, 1000), (2, 1, 1));
}

#[test]
fn every_way_gives_the_same_bytes() {
    let config = "toy: {n: 80, files: true}\nparallel: {env: local, shard_size: 8}";
    let undisturbed = Recipe::new(config).undisturbed();
    for how in [(1, 1, 1), (2, 3, 1), (5, 1, 7), (2, 3, 7), (1, 3, 1000)] {
        let recipe = Recipe::new(config);
        recipe.run(&settings(how).each_ref().map(String::as_str)).expect_code(0);
        crate::common::recipe::assert_same(&recipe.results(), &undisturbed);
    }
}
