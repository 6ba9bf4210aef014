//! Computes on many threads and hands the results over in order, with a bounded number under way.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::mpsc;

use rayon::ThreadPool;

/// Results that may wait for an earlier one, per thread: enough to ride out uneven items.
const AHEAD: usize = 16;

/// Calls `compute` on each of `inputs` and `take` on each result, in the order of the inputs, until
/// `take` breaks. Without a pool everything happens on the calling thread.
///
/// `compute` must not panic.
pub(crate) fn compute_in_order<T: Send, R: Send>(
    pool: Option<&ThreadPool>,
    mut inputs: impl Iterator<Item = T>,
    compute: impl Fn(T) -> R + Sync,
    mut take: impl FnMut(R) -> ControlFlow<()>,
) {
    let Some(pool) = pool else {
        let _ = inputs.try_for_each(|input| take(compute(input)));
        return;
    };
    let ahead = pool.current_num_threads() * AHEAD;
    let (sender, receiver) = mpsc::channel();
    pool.in_place_scope(|scope| {
        let (mut started, mut taken) = (0, 0);
        let mut waiting = BTreeMap::new();
        loop {
            while started < taken + ahead
                && let Some(input) = inputs.next()
            {
                let (sender, compute, number) = (sender.clone(), &compute, started);
                scope.spawn(move |_| {
                    // The receiver is gone only when the caller wanted no more.
                    let _ = sender.send((number, compute(input)));
                });
                started += 1;
            }
            if taken == started {
                return;
            }
            let (number, result) = receiver.recv().expect("this thread holds a sender too");
            waiting.insert(number, result);
            while let Some(result) = waiting.remove(&taken) {
                taken += 1;
                if take(result).is_break() {
                    return;
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_whatever_takes_longest() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("a pool");
        for pool in [None, Some(&pool)] {
            let mut taken = Vec::new();
            let slow_first = |n: u64| {
                std::thread::sleep(std::time::Duration::from_millis(if n == 0 {
                    50
                } else {
                    n % 3
                }));
                n
            };
            compute_in_order(pool, 0..200, slow_first, |n| {
                taken.push(n);
                if n == 150 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert_eq!(taken, (0..=150).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_number_under_way_is_bounded() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
        let asked = std::cell::Cell::new(0);
        let mut most = 0;
        let mut taken = 0;
        let inputs = (0..1000).inspect(|n| asked.set(n + 1_usize));
        compute_in_order(
            Some(&pool),
            inputs,
            |n| n,
            |_| {
                most = most.max(asked.get() - taken);
                taken += 1;
                ControlFlow::Continue(())
            },
        );
        assert_eq!(taken, 1000);
        assert!(most <= 2 * AHEAD, "{most} under way");
    }
}
