//! kill -9 of driver, task and workers at one moment, again and again.

use std::collections::BTreeSet;

use crate::common::disk::{check_files, forwards, recorded};
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
        kept.check(recipe);
    }
    recipe.release();
    recipe.run(&[]).expect_code(0);
    kept.check(recipe);
    recipe.compare();
}

/// What was on disk after the last kill, and who had worked until then.
#[derive(Default)]
struct Kept {
    items: BTreeSet<u64>,
    workers: BTreeSet<String>,
}

impl Kept {
    /// What was on disk is still there, and nobody who came later computed it again.
    fn check(&mut self, recipe: &Recipe) {
        let items = recorded(&recipe.root);
        let lost: Vec<_> = self.items.difference(&items).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
        let forwards = forwards(&recipe.root);
        for (worker, computed) in &forwards {
            let again: Vec<_> = computed.iter().filter(|idx| self.items.contains(idx)).collect();
            assert!(
                self.workers.contains(worker) || again.is_empty(),
                "{worker} computed {again:?} again"
            );
        }
        self.items = items;
        self.workers = forwards.into_keys().collect();
    }
}
