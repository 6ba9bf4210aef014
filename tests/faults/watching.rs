//! `status` and `collect --partial` look on while workers rename folders under them.

use crate::common::recipe::Recipe;

#[test]
fn what_they_say_is_always_sound() {
    let recipe = Recipe::held_at(
        399,
        "toy: {n: 400, sleep_ms: 2}\nparallel: {env: local, n_workers: 2, shard_size: 4}",
    );
    let mut driver = recipe.start_run(&[]);
    crate::common::until::wait_until("the run", || recipe.root.join("shards").exists());
    let mut looks = 0;
    while driver.running() {
        let status = recipe.status();
        let items = |name: &str| status["items"][name].as_u64().expect("a number");
        assert_eq!((items("total"), items("failed")), (400, 0), "{status}");
        assert!(items("done") <= 400, "{status}");
        let shards = ["todo", "claimed", "done"]
            .map(|name| status["shards"][name].as_u64().expect("a number"));
        assert_eq!(shards.iter().sum::<u64>(), 100, "{status}");
        let partial = recipe.call(&["collect", recipe.root_text(), "--partial", "--stdout"]);
        let code = partial.status.code();
        assert!(matches!(code, Some(0 | 3)), "{partial:?}");
        let lines = partial.out.lines().count();
        assert!(lines <= 400 && (code == Some(3) || lines == 400), "{lines} lines, {code:?}");
        looks += 1;
        if looks == 8 {
            recipe.release();
        }
    }
    driver.wait().expect_code(0);
    recipe.compare();
}
