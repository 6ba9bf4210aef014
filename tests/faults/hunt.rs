//! Random kills of workers, tasks and drivers here, and records of the dead damaged.

use std::time::Duration;

use crate::common::hunt::{hunt, kills};
use crate::common::recipe::Recipe;

#[test]
fn nothing_lost_nothing_doubled() {
    let wanted = kills(25);
    // Some shards are begun before the others.
    let costs = (0..300).map(|idx| if idx % 70 == 5 { "90" } else { "1" });
    let config = format!(
        "toy: {{n: 300, sleep_ms: 2, files: true, costs: [{}]}}\n\
         parallel: {{env: local, n_workers: 3, shard_size: 20}}",
        costs.collect::<Vec<_>>().join(", ")
    );
    let recipe = || Recipe::new(&config);
    let tally = hunt(wanted, Duration::from_millis(150), true, recipe);
    assert!(tally.kills >= wanted, "{tally:?}");
}
