//! A program that goes on from item to item, and is wrong itself: the worker ends, and says so once.

use std::fs;

use super::{assert_one_error, failures, pid_in, recipe, wait_until_gone};
use crate::common::disk::said;
use crate::common::processes::kill_all;

const STREAM: &str = "command: {manifest: text, argv: [sh, serve], mode: stream}\n\
                      parallel: {env: local, n_workers: 1, shards: 1}";

#[test]
fn one_that_cannot_work_fails_no_item() {
    let recipe = recipe(1000, "echo 'no module torch' >&2; exit 1", STREAM);
    let ended = recipe.run(&[]).expect_code(3);
    assert_one_error(
        &ended,
        "cannot work: without any item it ended with exit code 1: no module torch",
    );
    assert_eq!(said(&recipe.root, " failed: utt"), 0);
    // Nothing is to be thrown away, or tried again, when that is set right.
    fs::write(recipe.path("serve"), "cat").expect("writes");
    recipe.run(&[]).expect_code(0);
    assert_eq!(recipe.results().lines().count(), 1000);
}

/// Without items it ends well, and with items it ends too.
#[test]
fn one_that_answers_nothing_does_not_fail_every_item() {
    let recipe = recipe(1000, "read -r line; exit 0", STREAM);
    let ended = recipe.run(&[]).expect_code(3);
    assert_one_error(&ended, "died at 3 items and answered none: exit code 0");
    let failed = said(&recipe.root, " failed: utt");
    assert!((2..=8).contains(&failed), "{failed}: two for each submission");
}

#[test]
fn a_deadly_first_item_fails_alone() {
    let recipe = recipe(
        100,
        "while read -r line; do case $line in *utt0*|*utt1\\\"*) exit 5 ;; *) echo x ;; esac; done",
        STREAM,
    );
    recipe.run(&[]).expect_code(1);
    assert_eq!(failures(&recipe).iter().map(|failure| failure.0).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn more_lines_than_items_are_noticed() {
    // A banner, after which each answer is the one before; and a line too many for each.
    for serve in ["echo loading; cat", "while read -r line; do echo $line; echo debug; done"] {
        let config = STREAM.replace("stream}", "stream, input: '{text}'}");
        let recipe = recipe(100, serve, &config);
        recipe.run(&[]).expect_code(3).expect_says("more than a line for an item: `");
    }
}

#[test]
fn another_items_answer_is_noticed() {
    let recipe = recipe(
        100,
        "n=0; while read -r line; do [ $n = 50 ] && n=51; echo '{\"idx\": '$n'}'; n=$((n+1)); done",
        STREAM,
    );
    // Another worker would begin amid the items, and the program at none of them.
    recipe
        .run(&["--set", "parallel.max_resubmits=0"])
        .expect_code(3)
        .expect_says("answered item 50 as item 51");
}

#[test]
fn nothing_outlives_a_killed_worker() {
    let recipe = recipe(
        10,
        "trap '' TERM; sh -c 'echo $$ > grandchild; exec sleep 300' & echo $$ > child; read -r line; \
         sleep 300",
        STREAM,
    );
    let driver = recipe.start_run(&[]);
    let programs = ["child", "grandchild"].map(|name| pid_in(&recipe, name));
    kill_all(&recipe.root, Some(driver.pid()));
    programs.into_iter().for_each(wait_until_gone);
}
