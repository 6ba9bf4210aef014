//! What a provider and a runner may look like, and what is said to those that may not.

use crate::common::disk::said;
use crate::recipe::{PythonRecipe, recipe, squares};

const SIX: &str = "n: 6\nparallel: {env: local, n_workers: 1, shard_size: 2}";

fn shows_squares(recipe: &PythonRecipe) {
    recipe.run(&[]).expect_code(0);
    assert_eq!(recipe.results(), squares(0..6));
}

#[test]
fn env_once_a_worker_and_no_model_in_the_driver() {
    let config = "n: 40\nparallel: {env: local, n_workers: 2, shard_size: 1}";
    let Some(recipe) = recipe("square.Provider", "square.Runner", config) else { return };
    recipe.run(&[]).expect_code(0);
    assert_eq!(recipe.results(), squares(0..40));
    let built = recipe.noted("env built");
    // A worker that comes too late for a shard builds none.
    assert!((1..=2).contains(&built), "{:?}", recipe.notes());
    // The driver makes the dataset to count it, and no provider.
    assert_eq!(recipe.noted("provider made"), built);
    assert_eq!(recipe.noted("dataset built"), built + 1);
    assert_eq!(recipe.noted("env built here"), 0);
    assert!(recipe.computed().values().all(|times| *times == 1), "{:?}", recipe.notes());
}

#[test]
fn the_first_generation() {
    let Some(recipe) = recipe("square.FirstGeneration", "square.Runner", SIX) else { return };
    shows_squares(&recipe);
    // By the driver, to count; by the worker.
    assert_eq!(recipe.noted("env made"), 2);
    assert_eq!(recipe.noted("env built here"), 0);
}

#[test]
fn build_env_local_alone() {
    let config = format!("num_items: 6\n{SIX}");
    let Some(recipe) = recipe("square.OnlyLocal", "square.Runner", &config) else { return };
    shows_squares(&recipe);
    assert_eq!(recipe.noted("env built here"), 1);
}

#[test]
fn all_of_the_env() {
    let config = "n: 2\nprovider.params: {extra: 1}\nparallel: {env: local, n_workers: 1}";
    let config = config.replace("provider.params: {extra: 1}\n", "");
    let Some(recipe) = recipe("square.Provider", "square.Everything", &config) else { return };
    let params = ["--set", "provider.params={extra: 1}"];
    recipe.run(&params).expect_code(0);
    assert_eq!(
        recipe.results(),
        "{\"idx\":0,\"env\":[\"dataset\",\"extra\",\"output_dir\",\"power\"],\"class\":\"Everything\"}\n\
         {\"idx\":1,\"env\":[\"dataset\",\"extra\",\"output_dir\",\"power\"],\"class\":\"Everything\"}\n"
    );
}

#[test]
fn entries_of_the_provider_are_its_arguments() {
    let Some(recipe) = recipe("square.OwnKeyword", "square.Runner", SIX) else { return };
    let cubes = ["--set", "provider.power=3"];
    recipe.run(&cubes).expect_code(0);
    let cube = |idx: u64| format!("{{\"idx\":{idx},\"square\":{}}}\n", idx.pow(3));
    assert_eq!(recipe.results(), (0..6).map(cube).collect::<String>());
}

/// What the driver finds out, it says before anything is on disk.
fn refused(provider: &str, runner: &str, config: &str, words: &[&str]) {
    let Some(recipe) = recipe(provider, runner, config) else { return };
    let mut ended = recipe.run(&[]).expect_code(2);
    for word in words {
        ended = ended.expect_says(word);
    }
    assert!(!recipe.root.exists());
}

/// What only workers find out, each says once, with the way there.
fn unfit(provider: &str, runner: &str, words: &[&str]) {
    let config =
        "n: 200\nnum_items: 200\nparallel: {env: local, n_workers: 1, shards: 4, max_resubmits: 0}";
    let Some(recipe) = recipe(provider, runner, config) else { return };
    let mut ended = recipe.run(&[]).expect_code(3);
    for word in words {
        ended = ended.expect_says(word);
        assert_eq!(said(&recipe.root, word), 1, "{word}: {}", recipe.log());
    }
    assert!(crate::common::disk::recorded(&recipe.root).is_empty());
    assert!(recipe.noted("env built here") <= 1, "{:?}", recipe.notes());
}

#[test]
fn an_env_that_is_no_dict() {
    let words = ["the env must be a plain dict, but NoDict built a list"];
    refused("square.NoDict", "square.Runner", SIX, &words);
    unfit("square.NoDict", "square.Runner", &words);
}

#[test]
fn an_env_that_cannot_be_built() {
    let words = ["RuntimeError: no such checkpoint", "in build_env_local"];
    refused("square.Fails", "square.Runner", SIX, &words);
    unfit("square.Fails", "square.Runner", &words);
}

#[test]
fn an_env_that_kills() {
    refused("square.Dies", "square.Runner", SIX, &["exit code 7"]);
    unfit(
        "square.Dies",
        "square.Runner",
        &["could not be built: the Python process died: exit code 7"],
    );
}

#[test]
fn classes_that_do_not_exist() {
    let words = ["there is no module for `no_such.Class`"];
    refused("no_such.Class", "square.Runner", SIX, &words);
    unfit("no_such.Class", "square.Runner", &words);
    let words = ["AttributeError: module 'square' has no attribute 'Runer'"];
    refused("square.Provider", "square.Runer", SIX, &words);
    unfit("square.Provider", "square.Runer", &words);
}

#[test]
fn a_module_that_fails_at_import() {
    let words = ["No module named 'no_such_module_anywhere'", "import no_such_module_anywhere"];
    refused("square.Provider", "broken.Runner", SIX, &words);
    unfit("square.Provider", "broken.Runner", &words);
}

#[test]
fn a_forward_that_needs_self() {
    let words = ["`forward` of NeedsSelf needs `self`: make it a @staticmethod"];
    unfit("square.Provider", "square.NeedsSelf", &words);
    unfit("square.Provider", "square.NoForward", &["NoForward has no `forward`"]);
}

#[test]
fn a_name_given_twice() {
    unfit("square.Provider", "square.IndexInEnv", &["Argument conflict: {'dataset'}"]);
    let Some(recipe) = recipe("square.Provider", "square.Runner", SIX) else { return };
    let twice = ["--set", "provider.params={dataset: 1}", "--set", "parallel.max_resubmits=0"];
    recipe.run(&twice).expect_code(3).expect_says("Argument conflict: {'dataset'}");
}

#[test]
fn a_record_with_an_index_of_its_own() {
    let Some(recipe) = recipe("square.Provider", "square.OwnIdx", SIX) else { return };
    recipe.run(&[]).expect_code(1).expect_says("item 1: ValueError: Argument conflict: {'idx'}");
    assert_eq!(recipe.results(), squares([0, 2, 3, 4, 5]));
}

#[test]
fn nothing_to_count() {
    let words = ["give `num_items` in the config"];
    refused("square.NothingToCount", "square.Runner", SIX, &words);
}

#[test]
fn no_such_interpreter() {
    let Some(recipe) = recipe("square.Provider", "square.Runner", SIX) else { return };
    let elsewhere = ["--set", "python=/no/such/python"];
    recipe.run(&elsewhere).expect_code(2).expect_says("/no/such/python");
    assert!(!recipe.root.exists());
}

/// A script that starts Python is as good as Python, as long as nobody stands between.
#[test]
fn an_interpreter_in_a_script() {
    use std::os::unix::fs::PermissionsExt;

    let Some(recipe) = recipe("square.Provider", "square.Runner", SIX) else { return };
    let python = crate::recipe::python().expect("there is a recipe");
    let script = |text: String| {
        let path = recipe.path("python.sh");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("writes");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, executable).expect("it is ours");
        recipe.run(&["--set", "python=./python.sh"])
    };
    // Also one that stands between.
    for exec in ["", "exec "] {
        script(format!("{exec}{python} \"$@\"")).expect_code(0);
        assert_eq!(recipe.results(), squares(0..6));
        std::fs::remove_dir_all(&recipe.root).expect("removes");
    }
    // It is the same run with another one, which is asked: it is gone.
    std::fs::remove_file(recipe.path("python.sh")).expect("removes");
    let gone = recipe.run(&["--set", "python=./python.sh", "--set", "num_items=6"]);
    gone.expect_code(3).expect_says("failed to start");
    recipe.run(&["--set", "num_items=6"]).expect_code(0);
    assert_eq!(recipe.results(), squares(0..6));
}

#[test]
fn indices_are_a_count() {
    let Some(recipe) = recipe("square.OnlyLocal", "square.Runner", SIX) else { return };
    recipe.run(&["--indices", "1,4-5"]).expect_code(0);
    assert_eq!(recipe.results(), squares([1, 4, 5]));
    // The worker's alone.
    assert_eq!(recipe.noted("env built here"), 1);
}

#[test]
fn in_the_process_of_the_driver() {
    let Some(recipe) = recipe("square.Provider", "square.Runner", SIX) else { return };
    recipe.run(&["--in-process"]).expect_code(0);
    assert_eq!(recipe.results(), squares(0..6));
}

/// Not once an item, and nobody tries again what cannot work.
#[test]
fn an_env_that_fails_in_two_workers() {
    let config = "n: 500\nnum_items: 500\nparallel: {env: local, n_workers: 2}";
    let Some(recipe) = recipe("square.Fails", "square.Runner", config) else { return };
    recipe.run(&[]).expect_code(3).expect_says("2 workers: the env could not be built");
    assert_eq!(recipe.noted("env built here"), 2);
    assert!(crate::common::disk::claimed(&recipe.root).is_empty());
}
