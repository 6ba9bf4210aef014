//! kill -9 of one process of the tree: the others cope.

use nix::sys::signal::Signal;

use crate::common::disk::{check_files, claimed, recorded};
use crate::common::processes::{of_run, send, tasks, workers};
use crate::common::recipe::Recipe;
use crate::common::until::{until, wait_until};

fn recipe() -> Recipe {
    Recipe::held_at(
        299,
        "toy: {n: 300, sleep_ms: 5, files: true}\nparallel: {env: local, n_workers: 2, shard_size: 30}",
    )
}

fn wait_for_records(recipe: &Recipe, more: usize) {
    let wanted = recorded(&recipe.root).len() + more;
    wait_until("records", || recorded(&recipe.root).len() >= wanted.min(299));
}

#[test]
fn killed_workers_are_replaced_and_the_run_completes() {
    let recipe = recipe();
    let driver = recipe.start_run(&[]);
    for _ in 0..6 {
        wait_for_records(&recipe, 10);
        // One that holds a shard has entered the run: its parent knows it for a death.
        let victim = until("a worker at work", || {
            let held = claimed(&recipe.root);
            let holds = |name: &str| held.iter().any(|shard| shard.ends_with(name));
            workers(&recipe.root).into_iter().find(|worker| holds(&worker.name))
        });
        send(victim.pid, Signal::SIGKILL);
    }
    recipe.release();
    driver.wait().expect_code(0);
    recipe.compare();
    check_files(&recipe.root);
}

#[test]
fn a_killed_task_is_submitted_again() {
    let recipe = recipe();
    let driver = recipe.start_run(&[]);
    wait_for_records(&recipe, 10);
    let task = tasks(&recipe.root).remove(0);
    send(task.pid, Signal::SIGKILL);
    recipe.release();
    driver.wait().expect_code(0);
    recipe.compare();
    check_files(&recipe.root);
}

#[test]
fn without_a_driver_workers_give_back_and_end() {
    let recipe = recipe();
    let driver = recipe.start_run(&[]);
    wait_for_records(&recipe, 10);
    driver.signal(Signal::SIGKILL);
    driver.wait().expect_signal(Signal::SIGKILL);
    wait_until("the workers to end", || of_run(&recipe.root).is_empty());
    assert_eq!(claimed(&recipe.root), [""; 0]);
    recipe.finish_and_compare(&[]);
    check_files(&recipe.root);
}
