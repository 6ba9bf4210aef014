//! An env that cannot be built: said once, and nobody tries for ever.

use crate::common::disk::{claimed, said};
use crate::common::processes::of_run;
use crate::common::recipe::Recipe;

#[test]
fn an_error_is_told_once_and_shards_are_given_back() {
    let recipe = Recipe::new(
        "toy: {n: 40, env: error}\nparallel: {env: local, n_workers: 2, shard_size: 10}",
    );
    let ended = recipe.run(&[]).expect_code(3);
    assert_eq!(ended.err.matches("no such luck").count(), 1, "{ended:?}");
    assert_eq!(claimed(&recipe.root), [""; 0]);
    let submissions = std::fs::read_dir(recipe.root.join("jobs")).expect("is there").count();
    let built = said(&recipe.root, "building the env");
    assert!(submissions <= 2 && built <= 2 * submissions, "built {built} times in {submissions}");
}

/// A submission whose driver was killed before job.json was there does not hide later ones.
#[test]
fn an_error_is_told_after_a_submission_that_was_cut_off() {
    let recipe = Recipe::new("toy: {n: 40, env: error}\nparallel: {env: local}");
    std::fs::create_dir_all(recipe.root.join("jobs/001")).expect("makes the folder");
    recipe.run(&[]).expect_code(3).expect_says("no such luck");
}

#[test]
fn a_panic_is_told_as_an_error_is() {
    let recipe = Recipe::new("toy: {n: 40, env: panic}\nparallel: {env: local}");
    let ended = recipe.run(&[]);
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert_eq!(ended.err.matches("out of cheese").count(), 1, "{ended:?}");
    assert_eq!(claimed(&recipe.root), [""; 0]);
}

#[test]
fn an_abort_is_given_up_in_bounded_time() {
    for fault in ["abort", "exit"] {
        let recipe = Recipe::new(&format!(
            "toy: {{n: 400, env: {fault}}}\nparallel: {{env: local, n_workers: 2, shard_size: 10}}"
        ));
        recipe.run(&[]).expect_code(3).expect_says("died:");
        assert!(of_run(&recipe.root).is_empty());
        let built = said(&recipe.root, "building the env");
        assert!(built <= 20, "built {built} times");
    }
}

#[test]
fn a_worker_that_finds_nothing_builds_no_env() {
    let recipe = Recipe::new("toy: {n: 1}\nparallel: {env: local, n_workers: 3}");
    recipe.run(&[]).expect_code(0);
    assert_eq!(said(&recipe.root, "building the env"), 1);
    recipe.run(&[]).expect_code(0);
    assert_eq!(said(&recipe.root, "building the env"), 1);
}
