//! No items, one item, some items, items that do not exist.

use crate::common::disk::forwards;
use crate::common::recipe::Recipe;

#[test]
fn no_items() {
    let recipe = Recipe::new("toy: {n: 0}\nparallel: {env: local, n_workers: 2}");
    recipe.run(&[]).expect_code(0);
    assert_eq!(recipe.results(), "");
    recipe.run(&[]).expect_code(0);
    recipe.call(&["collect", recipe.root_text()]).expect_code(0);
    assert_eq!(recipe.status()["state"], "done");
}

#[test]
fn one_item() {
    let recipe = Recipe::new("toy: {n: 1}\nparallel: {env: local, n_workers: 3}");
    recipe.run(&[]).expect_code(0);
    assert_eq!(recipe.results(), "{\"idx\":0,\"utt_id\":\"utt0\",\"square\":0}\n");
}

#[test]
fn some_items() {
    let recipe = Recipe::new("toy: {n: 100}\nparallel: {env: local, n_workers: 2}");
    recipe.run(&["--indices", "0-9,50"]).expect_code(0);
    let items: Vec<u64> = crate::common::disk::recorded(&recipe.root).into_iter().collect();
    assert_eq!(items, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 50]);
    assert_eq!(recipe.results().lines().count(), 11);
    recipe.run(&[]).expect_code(2).expect_says("indices");
}

/// Two long items among short ones are computed before all others, and the records are in order.
#[test]
fn long_items_are_begun_first() {
    let costs = (0..200).map(|idx| if [120, 199].contains(&idx) { "50" } else { "1" });
    let costs = costs.collect::<Vec<_>>().join(", ");
    let config = format!("toy: {{n: 200, costs: [{costs}]}}\nparallel: {{env: local}}");
    // Alone in their shards, or with others.
    for (more, expected) in [
        (&[][..], &[120, 199, 0][..]),
        (
            &["--set", "parallel.shard_size=5"],
            &[120, 121, 122, 123, 124, 195, 196, 197, 198, 199, 0],
        ),
    ] {
        let recipe = Recipe::new(&config);
        recipe.run(more).expect_code(0);
        let computed: Vec<_> = forwards(&recipe.root).into_values().flatten().collect();
        assert_eq!(computed[..expected.len()], *expected);
        recipe.compare();
    }
}

#[test]
fn items_that_do_not_exist() {
    let recipe = Recipe::new("toy: {n: 100}\nparallel: {env: local}");
    let ended = recipe.run(&["--indices", "90-100"]).expect_says("item 100");
    assert!(!matches!(ended.status.code(), Some(0) | None), "{ended:?}");
    assert!(!recipe.root.exists());
}

/// The plan is bounds, not items: 400 MB of address space would not hold 10⁹ of anything.
#[test]
fn a_billion_items_are_planned_in_little_memory() {
    let recipe = Recipe::new("toy: {n: 1000000000}\nparallel: {env: local, n_workers: 2}");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -v 400000; exec \"$@\"", "sh"]).arg(crate::common::recipe::toy());
    shell.args(["run", "--dry-run"]).arg(recipe.path("conf.yaml"));
    let output = shell.output().expect("starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("1000000000 of 1000000000 items in 128 shards"), "{output:?}");
}
