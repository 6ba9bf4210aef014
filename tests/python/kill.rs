//! Everything killed with -9, at any time: the same bytes after a resume, and no Python process left.

use std::time::Duration;

use crate::common::disk::{claimed, recorded};
use crate::common::processes::kill_all;
use crate::common::recipe::assert_same;
use crate::common::until::wait_until;
use crate::recipe::{recipe, squares};

/// xorshift: any numbers will do, but the same ones each time.
fn dice(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn driver_and_workers_ten_times() {
    let config = "n: 600\nnum_items: 600\nseconds: 0.004\nfaults: {50: raise}\n\
                  parallel: {env: local, n_workers: 2, shard_size: 20}";
    let Some(recipe) = recipe("faults.Provider", "faults.Runner", config) else { return };
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let mut again = 0;
    for round in 0..10 {
        let before = recorded(&recipe.root);
        recipe.forget_notes();
        let call = recipe.start_run(&[]);
        // Half of them at work, however slow this machine is just now; the others anywhere.
        if round % 2 == 0 {
            wait_until("an item to be at hand", || !recipe.computed().is_empty());
        }
        std::thread::sleep(Duration::from_millis(dice(&mut state) % 250));
        kill_all(&recipe.root, Some(call.pid()));
        wait_until("the Python processes to be gone", || recipe.pythons().is_empty());
        let computed = recipe.computed();
        again += before.iter().filter(|idx| computed.contains_key(idx)).count();
    }
    assert_eq!(again, 0, "items were recorded, and computed again");
    let there = recorded(&recipe.root).len();
    assert!(there > 20, "{there}: killed before anything could be done");
    recipe.run(&["--set", "seconds=0.004", "--set", "parallel.n_workers=3"]).expect_code(1);
    assert_same(&recipe.results(), &squares((0..600).filter(|idx| *idx != 50)));
    assert!(claimed(&recipe.root).is_empty(), "{:?}", claimed(&recipe.root));
    wait_until("the Python processes to be gone", || recipe.pythons().is_empty());
}

/// Ctrl-C, as a terminal sends it: to all of the group. Python's processes are not in it.
#[test]
fn interrupted() {
    let config =
        "n: 40\nseconds: 0.02\nfaults: {30: wait}\nparallel: {env: local, n_workers: 1, shards: 1}";
    let Some(recipe) = recipe("faults.Provider", "faults.Runner", config) else { return };
    let call = recipe.start_run(&[]);
    wait_until("item 30 to be at hand", || recipe.noted("forward 30") == 1);
    wait_until("what is before it to be there", || recorded(&recipe.root).len() == 30);
    call.signal_group(nix::sys::signal::Signal::SIGINT);
    call.wait().expect_code(130);
    wait_until("the Python processes to be gone", || recipe.pythons().is_empty());
    assert!(crate::common::disk::errors(&recipe.root).is_empty());
    std::fs::write(recipe.path("notes.go"), "").expect("writes");
    recipe.run(&[]).expect_code(0);
    assert_eq!(recipe.results(), squares(0..40));
    assert_eq!(recipe.computed()[&29], 1);
    assert_eq!(recipe.computed()[&30], 2);
}

/// The worker dies, and not its Python: that ends too, and another worker goes on.
#[test]
fn a_worker_alone() {
    let config = "n: 30\nnum_items: 30\nseconds: 0.02\nfaults: {20: wait}\nparallel: {env: local, n_workers: 1, shards: 1}";
    let Some(recipe) = recipe("faults.Provider", "faults.Runner", config) else { return };
    let call = recipe.start_run(&[]);
    wait_until("item 20 to be at hand", || recipe.noted("forward 20") == 1);
    wait_until("what is before it to be there", || recorded(&recipe.root).len() == 20);
    let [worker] = &crate::common::processes::workers(&recipe.root)[..] else { panic!("one") };
    crate::common::processes::send(worker.pid, nix::sys::signal::Signal::SIGKILL);
    wait_until("item 20 to be at hand again", || recipe.noted("forward 20") == 2);
    assert_eq!(recipe.pythons().len(), 1);
    std::fs::write(recipe.path("notes.go"), "").expect("writes");
    call.wait().expect_code(0);
    assert_eq!(recipe.results(), squares(0..30));
    assert!(recipe.computed().iter().all(|(idx, times)| *times == 1 + usize::from(*idx == 20)));
}
