//! A program an item.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::{assert_one_error, failures, lines, pid_in, recipe, records, wait_until_gone};
use crate::common::recipe::Recipe;

#[test]
fn arguments_reach_the_program_unharmed() {
    let texts = [
        "a b  c ",
        "\"double\" 'single' \\\" \\n \\t %s",
        "$HOME $(touch hacked) `touch hacked` ${PATH}",
        "two\nlines\r\n\tand a tab",
        "a; touch hacked & touch hacked | touch hacked > hacked",
        "{utt_id} {{}} }{",
        "ünï 声 \u{1f600} * ? [a-z] ~ !!",
        "",
        "-n --help",
    ];
    let recipe = Recipe::of_product(
        "command",
        "command: {manifest: items.jsonl, argv: [printf, '%s|%s.', '{text}', '{idx}{{{utt_id}}}'], \
         seconds: false}",
    );
    let item = |(idx, text)| format!("{}\n", json!({"utt_id": format!("u {idx}"), "text": text}));
    let manifest: String = texts.iter().enumerate().map(item).collect();
    fs::write(recipe.path("items.jsonl"), manifest).expect("writes");
    recipe.run(&[]).expect_code(0);
    let printed: Vec<Value> =
        records(&recipe).into_iter().map(|line| line["stdout"].clone()).collect();
    let wanted =
        texts.iter().enumerate().map(|(idx, text)| json!(format!("{text}|{idx}{{u {idx}}}.")));
    assert_eq!(printed, wanted.collect::<Vec<_>>());
    assert!(!recipe.path("hacked").exists());
}

#[test]
fn what_fails_is_named_with_its_reason() {
    let serve = r#"
        case $1 in
            utt1) echo one >&2; echo "no such file" >&2; exit 3 ;;
            utt2) kill -SEGV $$ ;;
            utt3) echo "only on stdout"; exit 1 ;;
            utt4) exit 7 ;;
        esac
        echo "$2""#;
    let recipe = recipe(
        6,
        serve,
        "command: {manifest: text, argv: [sh, serve, '{utt_id}', '{text}'], ok_codes: [0, 7]}",
    );
    recipe.run(&[]).expect_code(1);
    let failure = |idx, kind: &str, error: &str| (idx, kind.to_owned(), error.to_owned());
    assert_eq!(
        failures(&recipe),
        [
            failure(1, "error", "`sh` ended with exit code 3: one; no such file"),
            failure(2, "died", "`sh` ended with signal 11, SIGSEGV: it said nothing"),
            failure(3, "error", "`sh` ended with exit code 1: only on stdout"),
        ]
    );
    let records = records(&recipe);
    assert_eq!(records.len(), 3);
    assert_eq!((&records[0]["stdout"], &records[0]["exit_code"]), (&json!("word0 0"), &json!(0)));
    assert_eq!((records[1].get("stdout"), &records[1]["exit_code"]), (None, &json!(7)));
    assert!(records[2]["seconds"].as_f64().is_some_and(|seconds| seconds < 10.0), "{records:?}");
    assert_eq!(records[2]["utt_id"], "utt5");
}

#[test]
fn files_become_the_shards_own_and_none_is_a_failure() {
    let serve = r#"
        case $1 in
            utt0) echo a > $2/$1.txt ;;
            utt1) echo a > $2/$1.a.txt; echo b > $2/$1.b.txt; echo c > $2/$1.ark ;;
            utt2) ;;
            utt3) mkdir $2/folder ;;
            utt4) echo a > $2/same ;;
            utt5) echo b > $2/same ;;
        esac"#;
    let recipe = recipe(
        6,
        serve,
        "command: {manifest: text, argv: [sh, serve, '{utt_id}', '{out}'], seconds: false}\n\
         parallel: {env: local, shards: 1}",
    );
    fs::create_dir(recipe.path("tmp")).expect("makes the folder");
    let tmp = recipe.path("tmp");
    recipe
        .start_with(&["run", "conf.yaml"], |run| _ = run.env("TMPDIR", tmp))
        .wait()
        .expect_code(1);
    let expected = [
        json!({"idx": 0, "utt_id": "utt0", "exit_code": 0, "txt": "shards/split.0/utt0.txt"}),
        json!({"idx": 1, "utt_id": "utt1", "exit_code": 0, "utt1.a.txt": "shards/split.0/utt1.a.txt",
            "ark": "shards/split.0/utt1.ark", "utt1.b.txt": "shards/split.0/utt1.b.txt"}),
        json!({"idx": 4, "utt_id": "utt4", "exit_code": 0, "same": "shards/split.0/same"}),
    ];
    assert_eq!(records(&recipe), expected);
    for (place, content) in [("utt0.txt", "a\n"), ("utt1.b.txt", "b\n"), ("same", "a\n")] {
        let file = recipe.root.join("shards/split.0").join(place);
        assert_eq!(fs::read_to_string(file).expect("is there"), content);
    }
    let failed = failures(&recipe);
    let words = ["wrote nothing to {out}", "`folder` in {out} is no file", "another record's"];
    assert_eq!(failed.iter().map(|failure| failure.0).collect::<Vec<_>>(), [2, 3, 5]);
    for (failure, words) in failed.iter().zip(words) {
        assert!(failure.2.contains(words), "{failure:?}");
    }
    assert_eq!(fs::read_dir(recipe.path("tmp")).expect("is there").count(), 0);
}

#[test]
fn more_output_than_is_kept_says_so() {
    let recipe = recipe(
        1,
        "head -c 200000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero | tr '\\0' y >&2",
        "command: {manifest: text, argv: [sh, serve]}",
    );
    recipe.run(&[]).expect_code(0);
    let record = records(&recipe).remove(0);
    assert_eq!(record["stdout"], json!("x".repeat(1 << 16)));
    assert_eq!(record["stdout_bytes"], json!(200_000));
    // And all of stderr is in the log.
    let log: usize = fs::read_dir(recipe.root.join("logs"))
        .expect("is there")
        .flatten()
        .map(|log| fs::read_to_string(log.path()).expect("is text").matches('y').count())
        .sum();
    assert!(log >= 300_000, "{log}");
}

#[test]
fn a_hanging_program_is_killed_with_what_it_started() {
    let serve = r#"
        [ "$1" = utt1 ] || exit 0
        sh -c 'echo $$ > grandchild; exec sleep 300' &
        trap '' TERM
        echo waiting >&2
        wait
        sleep 300"#;
    let recipe = recipe(
        4,
        serve,
        "item_timeout: 1\ncommand: {manifest: text, argv: [sh, serve, '{utt_id}']}\n\
         parallel: {env: local, shards: 1}",
    );
    recipe.run(&[]).expect_code(1);
    let error = "`sh` was killed after 1 s (`item_timeout`): waiting";
    assert_eq!(failures(&recipe), [(1, "timeout".to_owned(), error.to_owned())]);
    assert_eq!(records(&recipe).len(), 3);
    wait_until_gone(pid_in(&recipe, "grandchild"));
}

/// It holds the pipes, and neither the item nor the run waits for it.
#[test]
fn what_is_left_in_the_background_ends_with_the_worker() {
    let recipe = recipe(
        2,
        "sleep 300 & echo $! > background.$1; echo $1",
        "command: {manifest: text, argv: [sh, serve, '{idx}']}",
    );
    recipe.start_run(&[]).wait_within(Duration::from_secs(20)).expect_code(0);
    assert_eq!(records(&recipe)[1]["stdout"], "1");
    for idx in 0..2 {
        wait_until_gone(pid_in(&recipe, &format!("background.{idx}")));
    }
}

/// Four programs wait for each other: with fewer at a time none would end before its time is over.
#[test]
fn a_worker_runs_as_many_programs_as_it_has_threads() {
    let recipe = recipe(
        8,
        "echo $1 >> started; while [ $(wc -l < started) -lt $(($1 / 4 * 4 + 4)) ]; do sleep 0.01; done",
        "item_timeout: 30\ncommand: {manifest: text, argv: [sh, serve, '{idx}']}\n\
         parallel: {env: local, n_workers: 1, options: {threads_per_worker: 4}, shards: 1}",
    );
    recipe.run(&[]).expect_code(0);
    assert_eq!(lines(&recipe, "started").len(), 8);
}

#[test]
fn a_missing_program_is_told_once_and_before_a_run_where_that_is_known() {
    let mut recipe =
        recipe(100, "", "command: {manifest: text, argv: [no-such-program, '{utt_id}']}");
    let ended = recipe.run(&[]).expect_code(2);
    assert_one_error(&ended, "no program `no-such-program` here");
    assert!(!recipe.root.exists());
    // It might be on the workers' hosts.
    recipe = super::recipe(100, "", "command: {manifest: text, argv: [./nothing, '{utt_id}']}");
    let ended = recipe.run(&[]).expect_code(3);
    assert_one_error(&ended, "no program `./nothing` here");
    assert!(!recipe.root.join("errors.jsonl").exists());
}
