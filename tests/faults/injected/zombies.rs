//! A worker is stopped at each stage of its commit, another one takes its shards over, and it wakes
//! up: the same bytes, and nothing written into a committed shard.

use nix::sys::signal::Signal;

use super::stopped::{Stopped, each_stage};
use super::{Shim, long};
use crate::common::disk::snapshot;
use crate::common::processes::{Process, of_run, send, state, workers};
use crate::common::recipe::assert_same;
use crate::common::until::{until, wait_until};

#[test]
fn wakes_up_after_the_end() {
    for files in [true, false] {
        let expected = super::stopped::recipe(files).undisturbed();
        let stages = each_stage(files, |_, stopped| {
            let recipe = stopped.recipe;
            stopped.age();
            recipe.run(&[]).expect_code(0);
            let shards = snapshot(&recipe.root.join("shards"));
            stopped.wake();
            wait_until("the zombie to end", || of_run(&recipe.root).is_empty());
            assert!(snapshot(&recipe.root.join("shards")) == shards, "wrote: {}", stopped.call);
            assert_same(&recipe.results(), &expected);
        });
        println!("files {files}: woken after the end at {stages} stages");
    }
}

/// The heir is stopped too, around one of its calls, while the zombie does what it wants. In the long form
/// each stage of the zombie meets each call of its heir.
fn wakes_up_beside_its_heir(thread: &str, numbers: &[u64]) {
    let expected = super::stopped::recipe(true).undisturbed();
    let (mut stages, mut met) = (0, 0);
    for pass in 0..if long() { numbers.len() } else { 1 } {
        stages += each_stage(true, |stage, stopped| {
            let number = numbers[(stage as usize + pass) % numbers.len()];
            met += u32::from(beside(stopped, thread, number));
            assert_same(&stopped.recipe.results(), &expected);
        });
    }
    println!("{thread}: woken beside its heir at {stages} stages, {met} heirs stopped");
    assert!(met > 0, "no heir was stopped");
}

/// Whether the heir came to that call.
fn beside(stopped: &Stopped<'_>, thread: &str, number: u64) -> bool {
    let Stopped { recipe, worker: zombie, .. } = stopped;
    stopped.age();
    let shim =
        Shim::of(recipe).with("SHIM_THREAD", thread).with("SHIM_STOP", format!("{number} before"));
    let mut driver = shim.start_run(recipe);
    let heir: Option<Process> = until("the heir to stop, or the end", || {
        let is_heir = |worker: &Process| worker.pid != zombie.pid && state(worker.pid) == Some('T');
        let heir = workers(&recipe.root).into_iter().find(is_heir);
        (heir.is_some() || !driver.running()).then_some(heir)
    });
    stopped.wake();
    if let Some(heir) = &heir {
        wait_until("the zombie to end", || workers(&recipe.root).len() < 2);
        send(heir.pid, Signal::SIGCONT);
    }
    driver.wait().expect_code(0);
    wait_until("all to end", || of_run(&recipe.root).is_empty());
    heir.is_some()
}

#[test]
fn wakes_up_while_its_heir_takes_up() {
    let numbers: Vec<u64> = if long() { (1..=30).collect() } else { vec![7, 13, 17, 21] };
    wakes_up_beside_its_heir("worker/toy", &numbers);
}

#[test]
fn wakes_up_while_its_heir_commits() {
    wakes_up_beside_its_heir("worker/commit", &[1, 2, 3, 4, 5]);
}
