//! How many shards, and where to cut. Pure, and O(shards) in memory where no costs are given.

use anyhow::{Result, bail};

/// Shards per worker, unless the config says otherwise: small enough that the last ones end
/// together and that a lost one costs little, large enough that claiming costs nothing.
const SHARDS_PER_WORKER: u64 = 16;

/// Few workers get more shards each. It also makes the plan of a small run the same for any usual
/// number of workers.
const FEWEST_SHARDS: u64 = 128;

/// A shard that costs so many times the mean has an item, or a few, too costly to be cut: begun last, it
/// would be worked on when all others are done.
const HEAVY: f64 = 1.5;

/// The threads of a worker wait for each other at the end of a shard: so many batches for each.
const ROUNDS: u64 = 4;

/// How many shards to cut `total` items into, where the config says so.
pub(crate) fn asked(total: u64, shards: Option<u64>, shard_size: Option<u64>) -> Option<u64> {
    let asked = shards.or_else(|| Some(total.div_ceil(shard_size?.max(1))))?;
    Some(asked.clamp(1, total.max(1)).min(total))
}

/// Who works, where the config does not say how to cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workers {
    pub workers: u32,
    pub threads_per_worker: u32,
    pub batch_size: u64,
}

impl Workers {
    /// How many shards to cut `total` items into: each can fill a batch, and keep all threads busy.
    pub(crate) fn num_shards(self, total: u64) -> u64 {
        let workers = u64::from(self.workers);
        let fits = |items: u64| total.div_ceil(items.max(1));
        let mut shards = FEWEST_SHARDS.max(SHARDS_PER_WORKER * workers).min(fits(self.batch_size));
        if self.threads_per_worker > 1 {
            let at_once = self.batch_size.saturating_mul(self.threads_per_worker.into());
            // But there is one for each worker.
            shards = shards.min(fits(at_once.saturating_mul(ROUNDS)).max(workers));
        }
        shards
    }
}

/// As [`bounds`] of equal count, but batches stay whole; there is at least one for each shard.
pub(crate) fn bounds_of_batches(total: u64, shards: u64, batch_size: u64) -> Result<Vec<u64>> {
    let cuts = bounds(total.div_ceil(batch_size), shards, None)?;
    Ok(cuts.into_iter().map(|cut| cut.saturating_mul(batch_size).min(total)).collect())
}

/// The bounds of `shards` contiguous shards over `total` positions: equal cost where `costs` (one
/// value a position) is given, equal count where not. No shard is empty.
pub(crate) fn bounds(total: u64, shards: u64, costs: Option<&[f64]>) -> Result<Vec<u64>> {
    let Some(costs) = costs else {
        // u128: total × shards may pass 2⁶⁴.
        let cut = |k: u64| (u128::from(total) * u128::from(k) / u128::from(shards.max(1))) as u64;
        return Ok((0..=shards).map(cut).collect());
    };
    if let Some(bad) = costs.iter().find(|cost| !cost.is_finite() || **cost < 0.0) {
        bail!("the provider's `costs` has {bad}; costs are finite and not negative");
    }
    let sum: f64 = costs.iter().sum();
    if sum <= 0.0 {
        return bounds(total, shards, None);
    }
    let mut cuts = vec![0];
    let mut so_far = 0.0;
    for (position, cost) in (0u64..).zip(costs) {
        let made = cuts.len() as u64;
        // The cut nearest to the ideal one, at least one item a shard, as many left as shards.
        let ideal = sum * made as f64 / shards as f64;
        let due = so_far + cost / 2.0 > ideal && position > cuts[cuts.len() - 1];
        let forced = total - position == shards - made;
        if made < shards && position > 0 && (due || forced) {
            cuts.push(position);
        }
        so_far += cost;
    }
    if total > 0 {
        cuts.push(total);
    }
    Ok(cuts)
}

/// The shards that cost far more than the others, the heaviest first.
pub(crate) fn heavy(bounds: &[u64], costs: &[f64]) -> Vec<usize> {
    let cost = |ends: &[u64]| costs[ends[0] as usize..ends[1] as usize].iter().sum::<f64>();
    let shards: Vec<f64> = bounds.windows(2).map(cost).collect();
    let limit = HEAVY * shards.iter().sum::<f64>() / shards.len() as f64;
    let mut heavy: Vec<usize> = (0..shards.len()).filter(|shard| shards[*shard] > limit).collect();
    heavy.sort_by(|a, b| shards[*b].total_cmp(&shards[*a]));
    heavy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        for ((total, workers, threads_per_worker, batch_size), expected) in [
            ((0, 1, 1, 1), 0),
            ((8, 2, 1, 1), 8),
            ((1_000_000, 2, 1, 1), 128),
            ((1_000_000, 32, 1, 1), 512),
            ((10, 2, 1, 4), 3),
            // Eight items, or batches, for two threads.
            ((200, 1, 2, 1), 25),
            ((200, 1, 2, 4), 7),
            ((1_000_000, 2, 2, 1), 128),
            // A shard for each worker goes before busy threads, and a whole batch before that.
            ((32, 4, 8, 1), 4),
            ((32, 4, 8, 16), 2),
        ] {
            let workers = Workers { workers, threads_per_worker, batch_size };
            assert_eq!(workers.num_shards(total), expected, "{total} {workers:?}");
        }
    }

    #[test]
    fn as_the_config_says() {
        assert_eq!(asked(100, None, None), None);
        assert_eq!(asked(100, Some(7), None), Some(7));
        assert_eq!(asked(100, Some(700), None), Some(100));
        assert_eq!(asked(100, None, Some(30)), Some(4));
        assert_eq!(asked(0, Some(7), None), Some(0));
    }

    #[test]
    fn equal_counts_and_a_billion_items_in_memory_of_shards() {
        assert_eq!(bounds(10, 4, None).expect("cuts"), [0, 2, 5, 7, 10]);
        assert_eq!(bounds(0, 0, None).expect("cuts"), [0]);
        let cuts = bounds(1_000_000_000, 10_000, None).expect("cuts");
        assert_eq!((cuts.len(), cuts[1], cuts[10_000]), (10_001, 100_000, 1_000_000_000));
    }

    #[test]
    fn batches_stay_together() {
        assert_eq!(bounds_of_batches(10, 3, 4).expect("cuts"), [0, 4, 8, 10]);
        assert_eq!(bounds_of_batches(1000, 3, 1).expect("cuts"), [0, 333, 666, 1000]);
        assert_eq!(bounds_of_batches(0, 0, 4).expect("cuts"), [0]);
    }

    #[test]
    fn equal_costs() {
        // One long item first: it has a shard for itself.
        let mut costs = vec![1.0; 11];
        costs[0] = 10.0;
        assert_eq!(bounds(11, 2, Some(&costs)).expect("cuts"), [0, 1, 11]);
        assert_eq!(bounds(4, 2, Some(&[0.0; 4])).expect("cuts"), [0, 2, 4]);
    }

    #[test]
    fn the_heavy_are_known() {
        let mut costs = vec![1.0; 100];
        (costs[40], costs[99]) = (30.0, 60.0);
        let cuts = bounds(100, 10, Some(&costs)).expect("cuts");
        let found = heavy(&cuts, &costs);
        let holds = |shard: usize, item: u64| (cuts[shard]..cuts[shard + 1]).contains(&item);
        assert!(
            found.len() == 2 && holds(found[0], 99) && holds(found[1], 40),
            "{cuts:?} {found:?}"
        );
        assert_eq!(heavy(&bounds(100, 10, None).expect("cuts"), &[1.0; 100]), [0; 0]);
        assert_eq!(heavy(&[0], &[]), [0; 0]);
    }

    #[test]
    fn no_shard_is_empty_whatever_the_costs() {
        for costs in [vec![0.0, 0.0, 0.0, 9.0], vec![9.0, 0.0, 0.0, 0.0], vec![1e-9, 1e9, 1.0, 1.0]]
        {
            for shards in 1..=4 {
                let cuts = bounds(4, shards, Some(&costs)).expect("cuts");
                assert_eq!(cuts.len() as u64, shards + 1, "{costs:?} {shards}");
                assert!(cuts.windows(2).all(|cut| cut[0] < cut[1]), "{costs:?} {cuts:?}");
            }
        }
        assert!(bounds(1, 1, Some(&[f64::NAN])).is_err());
    }
}
