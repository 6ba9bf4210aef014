//! A program that goes on from item to item.

use std::fs;

use serde_json::{Value, json};

use super::{failures, lines, recipe, records};
use crate::common::until::wait_until;

/// Answers as the tests want, and tells of each start.
const SERVE: &str = r#"
    echo start >> starts
    while IFS= read -r line; do
        case $line in
            *kill*) kill -KILL $$ ;;
            *leave*) echo "out of memory" >&2; exit 3 ;;
            *hang*) echo stuck >&2; sleep 300 ;;
            *broken*) echo '{"a": NaN}' ;;
            *refuse*) echo '{"error": "no such audio"}' ;;
            *last*) echo '{"n": 1}'; exit 0 ;;
            *deaf*) exec <&-; sleep 300 ;;
            *mute*) exec >&-; sleep 300 ;;
            *plain*) echo "  it's \"$line\" " ;;
            *) printf '{"n": %s, "utt_id": "mine", "big": 12345678901234567890}\n' "${#line}" ;;
        esac
    done
    echo end >> ends"#;

const ONE: &str = "parallel: {env: local, shards: 1}";

fn with_words(words: &[&str], config: &str) -> crate::common::recipe::Recipe {
    let config = format!(
        "command: {{manifest: text, argv: [sh, serve], mode: stream, input: '{{text}}'}}\n{config}"
    );
    let recipe = recipe(0, SERVE, &config);
    let items = words.iter().enumerate().map(|(idx, word)| format!("utt{idx} {word}\n"));
    fs::write(recipe.path("text"), items.collect::<String>()).expect("writes");
    recipe
}

#[test]
fn one_start_a_worker_and_a_record_a_line() {
    let recipe = recipe(
        500,
        "echo start >> starts; cat; echo end >> ends",
        "command: {manifest: text, argv: [sh, serve], mode: stream}\n\
         parallel: {env: local, n_workers: 2}",
    );
    recipe.run(&[]).expect_code(0);
    assert!((1..=2).contains(&lines(&recipe, "starts").len()), "{:?}", lines(&recipe, "starts"));
    // Its stdin was closed, and it could end by itself.
    assert_eq!(lines(&recipe, "ends").len(), lines(&recipe, "starts").len());
    for (idx, record) in records(&recipe).iter().enumerate() {
        let text = format!("word{idx} {idx}");
        assert_eq!(*record, json!({"idx": idx, "utt_id": format!("utt{idx}"), "text": text}));
    }
}

#[test]
fn threads_have_a_program_each() {
    let recipe = recipe(
        300,
        SERVE,
        "command: {manifest: text, argv: [sh, serve], mode: stream}\n\
         parallel: {env: local, n_workers: 1, options: {threads_per_worker: 3}}",
    );
    recipe.run(&[]).expect_code(0);
    assert!((1..=3).contains(&lines(&recipe, "starts").len()));
    assert_eq!(records(&recipe).len(), 300);
}

#[test]
fn answers_become_records() {
    let recipe = with_words(&["a", "plain  text ", "", "refuse", "broken", "z"], ONE);
    recipe.run(&[]).expect_code(1);
    let expected = [
        json!({"idx": 0, "utt_id": "mine", "n": 1, "big": 12_345_678_901_234_567_890_u64}),
        json!({"idx": 1, "utt_id": "utt1", "value": "  it's \"plain  text\" "}),
        json!({"idx": 2, "utt_id": "mine", "n": 0, "big": 12_345_678_901_234_567_890_u64}),
        json!({"idx": 5, "utt_id": "mine", "n": 1, "big": 12_345_678_901_234_567_890_u64}),
    ];
    assert_eq!(records(&recipe), expected);
    let failed = failures(&recipe);
    assert_eq!(failed[0], (3, "error".to_owned(), "no such audio".to_owned()));
    let words = "`sh` answered `{\"a\": NaN}`, which is no JSON object";
    assert!(failed[1].0 == 4 && failed[1].2.starts_with(words), "{failed:?}");
    assert_eq!(lines(&recipe, "starts").len(), 1);
}

/// The first program has answered others, so that each such item is tried with a new one too.
#[test]
fn a_deadly_item_fails_alone() {
    let recipe = with_words(&["a", "kill", "b", "leave", "c", "leave", "kill", "d"], ONE);
    recipe.run(&[]).expect_code(1);
    let failure = |idx, error: &str| (idx, "died".to_owned(), error.to_owned());
    assert_eq!(
        failures(&recipe),
        [
            failure(1, "`sh` died: signal 9, SIGKILL: it said nothing"),
            failure(3, "`sh` died: exit code 3: out of memory"),
            failure(5, "`sh` died: exit code 3: out of memory"),
            failure(6, "`sh` died: signal 9, SIGKILL: it said nothing"),
        ]
    );
    let idx: Vec<Value> = records(&recipe).iter().map(|record| record["idx"].clone()).collect();
    assert_eq!(idx, [0, 2, 4, 7]);
    // a kill|kill|b leave|leave|c leave|leave|kill|d
    assert_eq!(lines(&recipe, "starts").len(), 8);
}

#[test]
fn a_program_may_end_between_items() {
    let recipe = with_words(&["last"; 20], ONE);
    recipe.run(&[]).expect_code(0);
    assert_eq!(records(&recipe).len(), 20);
    assert_eq!(lines(&recipe, "starts").len(), 20);
}

#[test]
fn a_hanging_item_fails_alone() {
    let recipe =
        with_words(&["a", "hang", "b", "deaf", "mute", "c"], &format!("item_timeout: 1\n{ONE}"));
    recipe.run(&[]).expect_code(1);
    let failed = failures(&recipe);
    let error = "`sh` was killed after 1 s (`item_timeout`): stuck";
    assert_eq!(failed[0], (1, "timeout".to_owned(), error.to_owned()));
    assert_eq!(failed.iter().map(|failure| failure.0).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(records(&recipe).len(), 3);
    assert_eq!(lines(&recipe, "starts").len(), 4);
}

/// Without a time limit too: nothing can come from it any more.
#[test]
fn a_program_that_closes_its_pipes_is_not_waited_for() {
    let recipe = with_words(&["a", "mute", "b"], ONE);
    recipe.run(&[]).expect_code(1);
    assert!(
        failures(&recipe)[0].2.contains("closed its stdin or stdout"),
        "{recipe:?}",
        recipe = failures(&recipe)
    );
    assert_eq!(records(&recipe).len(), 2);
}

#[test]
fn long_lines_pass_in_both_directions_at_once() {
    // More than the pipes hold, and `cat` answers before it has read all.
    let recipe =
        recipe(0, "cat", "command: {manifest: items.jsonl, argv: [sh, serve], mode: stream}");
    let line =
        |idx| format!("{}\n", json!({"utt_id": format!("u{idx}"), "text": "x".repeat(1 << 20)}));
    fs::write(recipe.path("items.jsonl"), (0..3).map(line).collect::<String>()).expect("writes");
    recipe.run(&[]).expect_code(0);
    assert_eq!(records(&recipe)[2]["text"].as_str().map(str::len), Some(1 << 20));
}

#[test]
fn a_program_that_does_not_end_is_killed() {
    let recipe = recipe(
        3,
        "echo $$ > pid; while read -r line; do echo $line; done; sleep 300",
        "command: {manifest: text, argv: [sh, serve], mode: stream}",
    );
    recipe.run(&[]).expect_code(0);
    let pid = super::pid_in(&recipe, "pid");
    wait_until("the program to be gone", || {
        matches!(crate::common::processes::state(pid), None | Some('Z' | 'X'))
    });
}
