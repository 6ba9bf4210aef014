//! The built-in stages on audio files that are there, and on some that are not what they should be.

#![cfg(feature = "speech")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The recipe that `init` writes, in a new folder.
fn recipe() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert!(call(folder.path(), &["init", "."]).status.success());
    folder
}

fn call(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_espnet3-par"));
    command.args(args).current_dir(folder).output().expect("starts")
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("is there");
    text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
}

#[test]
fn the_recipe_that_init_writes_runs() {
    let folder = recipe();
    let path = format!(
        "{}:{}",
        Path::new(env!("CARGO_BIN_EXE_espnet3-par")).parent().expect("a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let script = folder.path().join("run.sh");
    let output = Command::new(script).env("PATH", path).output().expect("starts");
    assert!(output.status.success(), "{output:?}");
    let scp = fs::read_to_string(folder.path().join("exp/fbank/feats.scp")).expect("merged");
    let keys: Vec<_> = scp.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(keys, ["one", "two", "three"]);
}

#[test]
fn one_corrupt_file_among_good_ones() {
    let folder = recipe();
    let two = folder.path().join("data/two.flac");
    let bytes = fs::read(&two).expect("reads");
    fs::write(&two, &bytes[..bytes.len() / 2]).expect("cuts it in half");
    let output = call(folder.path(), &["run", "conf/train.yaml"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let run = folder.path().join("exp/fbank");
    let done: Vec<_> =
        lines(&run.join("results.jsonl")).into_iter().map(|r| r["utt_id"].clone()).collect();
    assert_eq!(done, ["one", "three"]);
    let errors = lines(&run.join("errors.jsonl"));
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0]["idx"], 1);
    assert_eq!(errors[0]["item"], "two (data/two.flac)");
    assert!(errors[0]["error"].as_str().is_some_and(|e| e.contains("data/two.flac")), "{errors:?}");

    // Set right, it alone is computed again.
    fs::write(&two, &bytes).expect("puts it back");
    let output = call(folder.path(), &["run", "conf/train.yaml", "--retry-failed"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let whole = fs::read(run.join("results.jsonl")).expect("reads");
    call(folder.path(), &["run", "conf/train.yaml", "--set", "output_dir=exp/new"]);
    assert!(fs::read(folder.path().join("exp/new/results.jsonl")).expect("reads") == whole);
    assert!(!run.join("errors.jsonl").exists());
}

#[test]
fn parameters_that_cannot_work_are_refused_before_there_is_a_run() {
    let folder = recipe();
    for set in ["fbank.num_mel_bins=0", "fbank.high_freq=9000", "fbank.manifest=data/none.scp"] {
        for command in ["check", "run"] {
            let output = call(folder.path(), &[command, "conf/train.yaml", "--set", set]);
            assert_eq!(output.status.code(), Some(2), "{command} {set}: {output:?}");
        }
    }
    assert!(!folder.path().join("exp").exists());
}

#[test]
fn a_manifest_that_changed_is_another_run() {
    let folder = recipe();
    assert!(call(folder.path(), &["run", "conf/train.yaml"]).status.success());
    let scp = folder.path().join("data/wav.scp");
    let text = fs::read_to_string(&scp).expect("reads");
    fs::write(&scp, text.replace("one data/one", "eins data/one")).expect("writes");
    let output = call(folder.path(), &["run", "conf/train.yaml"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("inputs.manifest"), "{said}");
}
