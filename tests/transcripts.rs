//! The command line, word for word: every file of `transcripts/` is a session in a shell.
//!
//! A session makes files, runs commands, and has all they print and their exit codes:
//!
//! ```text
//! === conf/a.yaml            the lines that follow are this file (<tab> is a tab)
//! $ espnet3-par run a.yaml   a command for sh; `espnet3-par` has the stage `toy` of tests/toy
//! 1> what it prints to stdout
//! 2> what it prints to stderr
//! exit 0
//! ```
//!
//! Times, worker names, hosts and pids are written `[TIME]`, `[WORKER]` and so on. Adding a session is
//! adding a file with its commands: `BLESS=1 cargo test --test transcripts` writes the rest, to be
//! read with `git diff`.

#[path = "transcripts/runner/mask.rs"]
mod mask;
#[path = "transcripts/runner/session.rs"]
mod session;
#[path = "transcripts/snippets/mod.rs"]
mod snippets;
#[path = "transcripts/runner/toy.rs"]
mod toy;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Sessions at a time: most of their time is waiting for workers.
const AT_A_TIME: usize = 4;

#[test]
fn every_session() {
    let mut files = Vec::new();
    list(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts"), &mut files);
    files.sort();
    assert!(files.len() > 20, "the sessions are not where they should be");
    let bin = toy::folder_with_programs();
    let bless = std::env::var_os("BLESS").is_some();
    let left = Mutex::new(files.into_iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let Some(file) = left.lock().expect("no panic").next() else { break };
                    let want = fs::read_to_string(&file).expect("a session");
                    let got = session::replay(&want, &bin);
                    if bless && got != want {
                        fs::write(&file, got).expect("the session is written");
                    } else if got != want {
                        wrong.lock().expect("no panic").push(mask::difference(&file, &want, &got));
                    }
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().expect("no panic");
    wrong.sort();
    assert!(wrong.is_empty(), "{} sessions differ\n{}", wrong.len(), wrong.join("\n"));
}

/// All `*.txt` under `folder`.
fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            list(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            files.push(path);
        }
    }
}
