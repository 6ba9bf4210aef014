//! Where a run is cut, and sets of items.

use std::collections::BTreeSet;
use std::ops::Range;

use proptest::prelude::*;

use crate::indices::Indices;
use crate::plan::{Workers, asked, bounds, bounds_of_batches};
use crate::shard_name::{ShardName, ShardState};

fn ranges() -> impl Strategy<Value = Vec<Range<u64>>> {
    prop::collection::vec((0_u64..60, 0_u64..12).prop_map(|(start, len)| start..start + len), 0..8)
}

/// All of `0..total`, in order, in pieces of which none is empty.
fn check(cuts: &[u64], total: u64, shards: u64) {
    assert_eq!((cuts.first(), cuts.last()), (Some(&0), Some(&total)), "{cuts:?}");
    assert_eq!(cuts.len() as u64, shards + 1);
    assert!(cuts.windows(2).all(|cut| cut[0] < cut[1]), "{cuts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_item_is_in_one_shard(
        total in 1_u64..5000,
        workers in 1_u32..50,
        wanted in prop::option::of(1_u64..6000),
        size in prop::option::of(1_u64..6000),
        batch_size in 1_u64..40,
        threads_per_worker in 1_u32..20,
    ) {
        let planner = Workers { workers, threads_per_worker, batch_size };
        let shards = asked(total, wanted, size).unwrap_or_else(|| planner.num_shards(total));
        let cuts = bounds(total, shards, None).expect("cuts");
        check(&cuts, total, shards);
        let sizes = || cuts.windows(2).map(|cut| cut[1] - cut[0]);
        prop_assert!(sizes().max().unwrap_or(0) - sizes().min().unwrap_or(0) <= 1);
        if let (None, Some(size)) = (wanted, size) {
            prop_assert!(sizes().all(|len| len <= size));
        }
        let batches = total.div_ceil(batch_size);
        if wanted.is_none() && size.is_none() {
            prop_assert!(shards <= batches && shards >= batches.min(workers.into()));
        }
        if shards <= batches {
            let cuts = bounds_of_batches(total, shards, batch_size).expect("cuts");
            check(&cuts, total, shards);
            let whole = |cut: &u64| cut.is_multiple_of(batch_size);
            prop_assert!(cuts[..cuts.len() - 1].iter().all(whole), "{:?}", cuts);
        }
    }

    /// No shard costs more than its share and the dearest item.
    #[test]
    fn costs_are_balanced(
        costs in prop::collection::vec(prop_oneof![Just(0.0), 0.0..1.0, 0.0..1e6], 1..80),
        wanted in 1_u64..80,
    ) {
        let total = costs.len() as u64;
        let shards = wanted.min(total);
        let cuts = bounds(total, shards, Some(&costs)).expect("cuts");
        check(&cuts, total, shards);
        let sum: f64 = costs.iter().sum();
        let dearest = costs.iter().copied().fold(0.0, f64::max);
        let most = (sum / shards as f64 + dearest) * (1.0 + 1e-9);
        if sum > 0.0 {
            for cut in cuts.windows(2) {
                let cost: f64 = costs[cut[0] as usize..cut[1] as usize].iter().sum();
                prop_assert!(cost <= most, "{} of {} in {:?}", cost, most, cut);
            }
        }
    }

    #[test]
    fn indices_are_a_set(ranges in ranges(), start in 0_u64..80, len in 0_u64..80) {
        let set: BTreeSet<u64> = ranges.iter().cloned().flatten().collect();
        let indices = Indices::new(ranges);
        let all: Vec<u64> = indices.clone().into_iter().collect();
        prop_assert_eq!(&all, &set.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!((indices.len(), indices.last()), (set.len() as u64, set.last().copied()));
        prop_assert!((0..100).all(|idx| indices.contains(idx) == set.contains(&idx)));
        let slice: Vec<u64> = indices.slice(start, start + len).into_iter().collect();
        let wanted: Vec<u64> = set.iter().copied().skip(start as usize).take(len as usize).collect();
        prop_assert_eq!(slice, wanted);
        let json = serde_json::to_string(&indices).expect("plain numbers");
        prop_assert_eq!(&serde_json::from_str::<Indices>(&json).expect("its own words"), &indices);
        let text: Vec<String> =
            indices.ranges().map(|range| format!("{}-{}", range.start, range.end - 1)).collect();
        if !text.is_empty() {
            prop_assert_eq!(text.join(",").parse::<Indices>().expect("its own words"), indices);
        }
    }

    #[test]
    fn shards_names_are_read_as_written(
        shard in any::<usize>(),
        attempt in any::<u32>(),
        worker in "w[0-9a-f]{1,8}",
    ) {
        let states = [ShardState::Todo, ShardState::Claimed { attempt, worker }, ShardState::Done];
        for state in states {
            let name = ShardName { shard, state };
            prop_assert_eq!(ShardName::parse(&name.to_string()), Some(name));
        }
    }

    /// Two folders are never one shard in one state.
    #[test]
    fn what_is_read_is_written_so(text in "split\\.[+0]?[0-9]{0,3}(\\.(todo|[+0]?[0-9]\\.w1?\\.?))?") {
        if let Some(name) = ShardName::parse(&text) {
            prop_assert_eq!(name.to_string(), text);
        }
    }
}
