//! The protocol of claims, explored in every order of events: `docs/proof.md`.

mod action;
mod finish;
mod protocol;
mod state;

use stateright::{Checker, HasDiscoveries, Model};

use crate::action::Without;
use crate::finish::explore;
use crate::protocol::{DONE_IS_WHOLE, DURABLE_STAYS, ONE_COMMIT, Protocol, TRUE_WORD};
use crate::state::State;

fn protocol<const W: usize, const S: usize>(faults: u8) -> Protocol<W, S> {
    Protocol { without: Without::Nothing, faults }
}

/// No order of events breaks a property; how many states there are.
fn is_safe<const W: usize, const S: usize>(faults: u8) -> usize {
    let checker = protocol::<W, S>(faults).checker().spawn_bfs().join();
    if let Some((name, path)) = checker.discoveries().into_iter().next() {
        panic!("not so: {name}\n{path}");
    }
    checker.unique_state_count()
}

/// Nor is there one after which the run cannot finish.
fn holds<const W: usize, const S: usize>(faults: u8) -> usize {
    let states = is_safe::<W, S>(faults);
    let explored = explore(&protocol::<W, S>(faults), State::all_done);
    assert_eq!(explored.stuck, None, "it can never finish from here");
    assert_eq!(explored.states, states, "two ways to count them");
    println!("{W} workers, {S} shards, {faults} faults: {states} states, {} steps", explored.steps);
    states
}

#[test]
fn two_workers_one_shard_two_faults() {
    assert_eq!(holds::<2, 1>(2), 85_730);
}

#[test]
fn three_workers_one_shard_no_fault() {
    assert_eq!(holds::<3, 1>(0), 6_934);
}

#[test]
fn two_workers_two_shards_no_fault() {
    assert_eq!(holds::<2, 2>(0), 8_324);
}

/// A minute or two with `--release`: `cargo test --release --test model -- --ignored --nocapture`.
#[test]
#[ignore = "long"]
fn more_of_everything() {
    holds::<2, 1>(3);
    holds::<2, 2>(1);
    holds::<3, 1>(1);
    holds::<2, 2>(2);
    holds::<3, 1>(2);
}

/// Each rule is needed: without it some order of events breaks this property.
#[test]
fn without_any_of_its_rules_it_breaks() {
    for (without, faults, breaks) in [
        (Without::WorkerInName, 1, DONE_IS_WHOLE),
        (Without::AttemptsCounted, 1, DONE_IS_WHOLE),
        (Without::SourceOfRename, 1, ONE_COMMIT),
        (Without::RenameAtTakeOver, 1, DONE_IS_WHOLE),
        (Without::CheckAtCommit, 1, DONE_IS_WHOLE),
        (Without::FlushBeforeCommit, 0, DONE_IS_WHOLE),
        (Without::NewFileAtOpen, 1, DONE_IS_WHOLE),
        (Without::Salvage, 1, DURABLE_STAYS),
        (Without::UnseenIsUnknown, 1, TRUE_WORD),
    ] {
        let checker = Protocol::<2, 1> { without, faults }.checker();
        let found = HasDiscoveries::AllOf([breaks].into());
        let checker = checker.finish_when(found).target_max_depth(30).spawn_bfs().join();
        let path = checker.discovery(breaks).unwrap_or_else(|| panic!("{without:?}: {breaks}"));
        println!("without {without:?}, not so: {breaks}");
        for action in path.into_actions() {
            println!("    {action:?}");
        }
    }
}

#[test]
fn if_only_who_left_word_were_dead_a_run_could_not_finish() {
    let protocol = Protocol::<2, 1> { without: Without::Leases, faults: 1 };
    let stuck = explore(&protocol, State::all_done).stuck.expect("a crash with a shard in hand");
    assert!(!stuck.all_done());
}
