//! A thousand workers on one run, without a thousand processors: the queue is the real one, on a real
//! directory; how long a shard takes is drawn, and the clock jumps to whoever is ready next.
//!
//!     cargo test --no-default-features --release --lib simulation -- --ignored --nocapture
//!
//! What it counts, times what a claim and a listing cost a file server, is in `docs/performance.md`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::claim::Claim;
use crate::queue::{Asked, Next, Queue};
use crate::roster::{Ended, Place, Worker};
use crate::run_dir::{RunDir, ShardState};

/// A run that is simulated.
#[derive(Clone, Copy)]
struct Cast {
    workers: u32,
    shards: usize,
    /// Seconds of work for each worker, were all shared out evenly.
    share: f64,
    /// The standard deviation of a shard's cost, of the mean: costs are not known.
    uneven: f64,
    /// Seconds over which a scheduler starts the workers.
    ramp: f64,
}

/// What came of it.
struct Outcome {
    asked: Asked,
    /// The most that was asked for in one second of the run: renames, and entries listed.
    busiest: (u64, u64),
    /// Of the workers' time, from the first start to the last end, the part without a shard.
    idle: f64,
}

/// xorshift64 (Marsaglia 2003).
fn random(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as f64 / (1_u64 << 53) as f64
}

impl Cast {
    fn play(self) -> Outcome {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunDir::new(folder.path());
        std::fs::create_dir(run.workers()).expect("makes the folder");
        for shard in 0..self.shards {
            std::fs::create_dir_all(run.shard(shard, ShardState::Todo)).expect("makes the shard");
        }
        let workers: Vec<Worker> = (0..self.workers)
            .map(|rank| {
                let place = Place { job: 1, task: rank, rank };
                Worker::enter(&run, &format!("w{rank}"), place).expect("enters")
            })
            .collect();
        let queue = |worker| Queue::new(&run, worker, self.shards, self.workers, None);
        let mut queues: Vec<Queue> = workers.iter().map(queue).collect();
        let mut seed = 88_172_645_463_325_252;
        // Microseconds, for they are ordered.
        let micros = |seconds: f64| (seconds * 1e6) as u64;
        let mut ready: BinaryHeap<Reverse<(u64, usize)>> = (0..workers.len())
            .map(|worker| Reverse((micros(self.ramp * random(&mut seed)), worker)))
            .collect();
        let first = ready.peek().map_or(0, |Reverse((at, _))| *at);
        let mut in_hand: Vec<Option<Claim>> = workers.iter().map(|_| None).collect();
        let mut seconds: Vec<(u64, u64)> = Vec::new();
        let (mut busy, mut last, mut done) = (0, 0, 0);
        while let Some(Reverse((now, worker))) = ready.pop() {
            let before = queues[worker].asked;
            if let Some(claim) = in_hand[worker].take() {
                assert!(claim.commit().expect("no error"), "nobody dies here");
                (done, last) = (done + 1, now);
            }
            match queues[worker].next().expect("no error") {
                Next::Claim(claim) => {
                    let mean = self.share * f64::from(self.workers) / self.shards as f64;
                    // The sum of twelve uniform values has a variance of one.
                    let normal: f64 = (0..12).map(|_| random(&mut seed)).sum::<f64>() - 6.0;
                    let takes = micros((mean * (1.0 + self.uneven * normal)).max(mean / 100.0));
                    busy += takes;
                    in_hand[worker] = Some(claim);
                    ready.push(Reverse((now + takes, worker)));
                }
                Next::Later => ready.push(Reverse((now + micros(0.2), worker))),
                Next::Nothing => {
                    workers[worker].clone().end(&run, Ended::Finished).expect("ends");
                }
            }
            let after = queues[worker].asked;
            let second = (now / 1_000_000) as usize;
            seconds.resize(seconds.len().max(second + 1), (0, 0));
            seconds[second].0 += after.claims + after.in_vain - before.claims - before.in_vain + 1;
            seconds[second].1 += (after.listings - before.listings) * self.shards as u64;
        }
        assert_eq!(done, self.shards, "each is committed, once");
        let sum = |field: fn(&Asked) -> u64| queues.iter().map(|queue| field(&queue.asked)).sum();
        let asked = Asked {
            listings: sum(|asked| asked.listings),
            claims: sum(|asked| asked.claims),
            in_vain: sum(|asked| asked.in_vain),
        };
        let most = |field: fn(&(u64, u64)) -> u64| seconds.iter().map(field).max().unwrap_or(0);
        Outcome {
            asked,
            busiest: (most(|second| second.0), most(|second| second.1)),
            idle: 1.0 - busy as f64 / ((last - first) as f64 * f64::from(self.workers)),
        }
    }
}

/// Were all to begin in front, it would be four renames in vain a claim, and 17 listings each.
#[test]
fn workers_are_seldom_in_each_others_way() {
    let cast = Cast { workers: 100, shards: 1600, share: 3600.0, uneven: 0.3, ramp: 30.0 };
    let Outcome { asked, idle, .. } = cast.play();
    assert_eq!(asked.claims, 1600);
    assert!(asked.in_vain < asked.claims, "{asked:?}");
    assert!(asked.listings < 100 * 8, "{asked:?}");
    assert!(idle < 0.06, "{idle}");
}

#[test]
#[ignore = "takes minutes"]
fn table() {
    println!(
        "| workers | shards | in vain a claim | listings a worker | busiest second: renames | entries listed | idle |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (workers, shards) in
        [(100, 1600), (1000, 4000), (1000, 16_000), (1000, 32_000), (1000, 100_000)]
    {
        let cast = Cast { workers, shards, share: 3600.0, uneven: 0.3, ramp: 60.0 };
        let Outcome { asked, busiest, idle } = cast.play();
        println!(
            "| {workers} | {shards} | {:.2} | {:.1} | {} | {} | {:.1} % |",
            asked.in_vain as f64 / asked.claims as f64,
            asked.listings as f64 / f64::from(workers),
            busiest.0,
            busiest.1,
            100.0 * idle
        );
    }
}
