//! kill -9 of driver, task and workers at one moment, again and again.

use crate::common::disk::{check_files, recorded};
use crate::common::kept::Kept;
use crate::common::processes::kill_all;
use crate::common::recipe::Recipe;
use crate::common::until::wait_until;

const KILLS: usize = 20;

#[test]
fn twenty_kills_of_everything_lose_and_double_nothing() {
    killed_and_resumed(&Recipe::held_at(
        599,
        "toy: {n: 600, sleep_ms: 3}\nparallel: {env: local, n_workers: 2, shard_size: 60}",
    ));
}

#[test]
fn twenty_kills_of_everything_leave_shared_files_right() {
    let recipe = Recipe::held_at(
        599,
        "toy: {n: 600, sleep_ms: 3, files: true}\nparallel: {env: local, n_workers: 2, shard_size: 60}",
    );
    killed_and_resumed(&recipe);
    check_files(&recipe.root);
}

fn killed_and_resumed(recipe: &Recipe) {
    let mut kept = Kept::default();
    for kill in 0..KILLS {
        let driver = recipe.start_run(&[]);
        // Some new records, a few more or less each time.
        let wanted = recorded(&recipe.root).len() + 2 + 7 * (kill % 3);
        wait_until("records", || recorded(&recipe.root).len() >= wanted.min(599));
        kill_all(&recipe.root, Some(driver.pid()));
        drop(driver);
        kept.check(&recipe.root);
    }
    recipe.release();
    recipe.run(&[]).expect_code(0);
    kept.check(&recipe.root);
    recipe.compare();
}
