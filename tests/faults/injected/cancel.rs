//! `cancel` while a worker commits: stopped at each stage of it, asked to end, and continued.

use super::stopped::{each_stage, recipe};
use crate::common::disk::claimed;
use crate::common::processes::of_run;
use crate::common::recipe::assert_same;
use crate::common::until::wait_until;

#[test]
fn during_a_commit() {
    for files in [true, false] {
        let expected = recipe(files).undisturbed();
        let stages = each_stage(files, |_, stopped| {
            let recipe = stopped.recipe;
            let cancel = recipe.start(&["cancel", recipe.root_text()]);
            wait_until("the request", || recipe.root.join("stop.json").exists());
            stopped.wake();
            cancel.wait().expect_code(0);
            wait_until("all to end", || of_run(&recipe.root).is_empty());
            assert_eq!(claimed(&recipe.root), [""; 0], "{}", stopped.call);
            recipe.run(&[]).expect_code(0);
            assert_same(&recipe.results(), &expected);
        });
        println!("files {files}: cancelled at {stages} stages");
        assert!(stages > 1);
    }
}
