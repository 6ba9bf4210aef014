//! Each write, sync, mkdir, rename, link, open, unlink and truncate of a run fails, once or from
//! then on: a clear end, no panic, and the same bytes once the disk is sound.

use nix::errno::Errno;

use super::sweep::Sweep;
use super::{NEVER, long, places};

const KINDS: [&str; 8] =
    ["write", "sync", "mkdir", "rename", "hardlink", "open", "unlink", "truncate"];

const ERRORS: [Errno; 4] = [Errno::ENOSPC, Errno::EDQUOT, Errno::EIO, Errno::EROFS];

/// One call fails; the next ones do not.
fn each_once(files: bool, resumes: bool) {
    let mut sweep = Sweep::new(files, resumes);
    for (seed, kind) in (0..).zip(KINDS) {
        let calls = sweep.calls(kind);
        for (nth, place) in places(calls, 1, seed).into_iter().enumerate() {
            let errors =
                if long() { &ERRORS[..] } else { &ERRORS[(nth + seed as usize) % 4..][..1] };
            for error in errors {
                sweep.strike(kind, (place, place), *error as i32, "undone");
            }
        }
    }
    sweep.conclude("once", &["driver", "worker"]);
}

#[test]
fn each_call_once() {
    each_once(true, false);
}

#[test]
fn each_call_once_of_a_resumed_run() {
    each_once(true, true);
}

#[test]
fn each_call_once_without_files() {
    if long() {
        each_once(false, false);
        each_once(false, true);
    }
}

/// The disk is full, or read-only, from one call on, until it is seen to.
fn from_one_on(kinds: &str, error: Errno, seed: u64) {
    let mut sweep = Sweep::new(true, false);
    let calls = sweep.calls(kinds);
    for place in places(calls, 3, seed) {
        sweep.strike(kinds, (place, NEVER), error as i32, "undone");
    }
    sweep.conclude("from one on", &["driver", "worker"]);
}

#[test]
fn full_from_one_call_on() {
    from_one_on("write,mkdir,open", Errno::ENOSPC, 1);
}

#[test]
fn over_quota_from_one_sync_on() {
    from_one_on("sync", Errno::EDQUOT, 2);
}

#[test]
fn read_only_from_one_call_on() {
    from_one_on("write,mkdir,open,rename,hardlink,unlink,truncate", Errno::EROFS, 3);
}

/// Full for a while: whoever tries again gets on.
#[test]
fn full_for_a_while() {
    let mut sweep = Sweep::new(true, false);
    let kinds = "write,mkdir,open";
    let calls = sweep.calls(kinds);
    for place in places(calls, 2, 4) {
        sweep.strike(kinds, (place, place + 10), Errno::ENOSPC as i32, "undone");
    }
    sweep.conclude("for a while", &["worker"]);
}

/// write(2) may always write less than it was given.
#[test]
fn writes_cut_short() {
    let mut sweep = Sweep::new(true, false);
    sweep.strike("write", (1, NEVER), 0, "short");
    for place in places(if long() { 150 } else { 3 }, 1, 5) {
        sweep.strike("write", (place, place), 0, "short");
    }
    sweep.conclude("cut short", &["driver", "task", "worker"]);
}
