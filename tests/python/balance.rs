//! Slow items next to each other, of which nothing tells before.

use std::fs;

use serde_json::Value;

use crate::recipe::recipe;

/// 20 items of 100 ms and 380 of 2 ms, on two workers: 1.4 s, if shared evenly. ESPnet3's two shards
/// would take 2.4 s.
#[test]
fn the_first_twenty_are_slow() {
    let config = "num_items: 400\nparallel: {env: local, n_workers: 2}";
    let mut measured = Vec::new();
    for _ in 0..3 {
        let Some(recipe) = recipe("slow.Provider", "slow.Runner", config) else { return };
        // Each of 128 shards is brought to disk; a disk that others are busy with takes 5 ms for that.
        let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let root = memory.as_ref().expect("a temporary folder").path().join("run");
        recipe.run(&["--set", &format!("output_dir={}", root.display())]).expect_code(0);
        let text = fs::read_to_string(root.join("results.jsonl")).expect("was collected");
        let (mut work, mut first, mut last) = (0.0, f64::MAX, 0.0_f64);
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).expect("a line is JSON");
            let [start, end] = ["start", "end"].map(|key| record[key].as_f64().expect("a time"));
            work += end - start;
            first = first.min(start);
            last = last.max(end);
        }
        assert_eq!(text.lines().count(), 400);
        let (whole, ideal) = (last - first, work / 2.0);
        eprintln!("{whole:.3} s, ideally {ideal:.3} s");
        if whole <= 1.15 * ideal {
            return;
        }
        measured.push((whole, ideal));
    }
    panic!("seconds, and ideally: {measured:?}");
}
