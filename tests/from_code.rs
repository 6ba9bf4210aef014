//! `parallel_map` and `parallel_for`, called by a program of its own whose workers are itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// `cargo test` builds the examples; `cargo test --test from_code` alone does not.
fn program() -> PathBuf {
    let me = std::env::current_exe().expect("this program has a path");
    let target = me.parent().and_then(Path::parent).expect("target/debug/deps");
    target.join("examples/from_code")
}

fn call(how: &str, folder: &Path, params: &str) -> Output {
    let conf = folder.join("conf.yaml");
    let root = folder.join("run");
    let text = format!(
        "stage: square\noutput_dir: {}\nsquare: {params}\nparallel: {{n_workers: 2, shards: 5}}\n",
        root.display()
    );
    fs::write(&conf, text).expect("writes");
    Command::new(program()).arg(how).arg(conf).output().expect("starts; cargo build --examples")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("is UTF-8")
}

#[test]
fn records_come_in_index_order_also_the_second_time() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let wanted: String = (0..100u64).map(|n| format!("{n} {}\n", n * n)).collect();
    for _ in 0..2 {
        let output = call("map", folder.path(), "{n: 100}");
        assert_eq!(text(&output.stdout), wanted, "{}", text(&output.stderr));
        assert!(output.status.success());
    }
    let jobs = fs::read_dir(folder.path().join("run/jobs")).expect("lists").count();
    assert_eq!(jobs, 1, "the second call had nothing to submit");
}

#[test]
fn shards_come_whole_and_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = call("for", folder.path(), "{n: 100}");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut shards: Vec<Vec<u64>> = text(&output.stdout)
        .lines()
        .map(|line| line.split(' ').map(|item| item.parse().expect("a number")).collect())
        .collect();
    shards.sort();
    assert_eq!(shards.len(), 5);
    assert_eq!(shards.concat(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_failed_item_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = call("map", folder.path(), "{n: 100, bad: 17}");
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains("item 17: a bad number"), "{said}");
}
