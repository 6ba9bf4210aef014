//! The stage as a whole, on small files.

use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::{Dataset, EnvironmentProvider, ErrorKind, ItemError};

/// A folder with these files, and the section that names `ref`, `hyp` and `more`.
fn provider(files: &[(&str, &str)], more: &Value) -> (tempfile::TempDir, ScoreProvider) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut section = json!({"ref": "text", "hyp": "hyp"});
    for (key, value) in more.as_object().expect("a mapping") {
        section[key] = value.clone();
    }
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("writes");
    }
    for key in ["ref", "hyp", "ref_tokens", "hyp_tokens", "utt2spk", "nlsyms_txt"] {
        if let Some(name) = section[key].as_str() {
            section[key] = json!(folder.path().join(name));
        }
    }
    let section = section.as_object().expect("a mapping").iter().filter(|(_, v)| !v.is_null());
    let section: Value = section.map(|(key, value)| (key.clone(), value.clone())).collect();
    (folder, serde_json::from_value(section).expect("parameters"))
}

fn records(provider: &ScoreProvider) -> Vec<Value> {
    let env = provider.build_env_local().expect("an env");
    let record = |idx| Score::forward(idx, &env).expect("a record");
    let json = |idx| serde_json::from_str(record(idx).json()).expect("JSON");
    (0..env.dataset.len()).map(json).collect()
}

fn counts(c: u64, s: u64, d: u64, i: u64) -> Value {
    json!({"length": c + s + d, "errors": s + d + i, "correct": c, "substitutions": s,
        "deletions": d, "insertions": i})
}

/// What the driver says, without the folder.
fn refused(files: &[(&str, &str)], more: &Value) -> String {
    let (folder, provider) = provider(files, more);
    let validated = EnvironmentProvider::validate(&provider);
    let error = validated.and_then(|()| provider.items()).expect_err("is wrong");
    format!("{error:#}").replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn each_utterance_of_the_reference_is_a_record() {
    let files = [
        ("text", "a-1 the cat sat\na-2 on the mat\nb-1\n"),
        ("hyp", "b-1 oh\na-1 the bat sat down\n"),
        ("utt2spk", "a-1 a\na-2 a\nb-1 b\n"),
    ];
    let (folder, provider) = provider(&files, &json!({}));
    let records = records(&provider);
    assert_eq!(
        records[0],
        json!({"utt_id": "a-1", "speaker": "a", "wer": counts(2, 1, 0, 1),
            "cer": counts(10, 1, 0, 5), "ref": "the cat sat ****", "hyp": "the bat sat down",
            "eval": "    S       I"})
    );
    assert_eq!(
        records[1],
        json!({"utt_id": "a-2", "speaker": "a", "missing": true, "wer": counts(0, 0, 3, 0),
            "cer": counts(0, 0, 10, 0), "ref": "on the mat", "hyp": "** *** ***",
            "eval": "D  D   D"})
    );
    assert_eq!(records[2]["wer"], counts(0, 0, 0, 1));

    let failed = ItemError {
        idx: 7,
        item: Some("c-1".to_owned()),
        kind: ErrorKind::Error,
        error: "no hypothesis".to_owned(),
    };
    let records = &mut records.iter().map(Record::new);
    let (provider, failed, output_dir) = (&provider, &[failed], folder.path());
    Score::merge(CompleteRun { provider, records, failed, output_dir }).expect("a merge");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("was written");
    let score: Value = serde_json::from_str(&read("score.json")).expect("JSON");
    assert_eq!(score["missing"], json!(["a-2"]));
    assert_eq!(score["failed"], json!(["c-1"]));
    assert_eq!(score["wer"]["error_rate"], json!(1.0));
    assert_eq!(score["wer"]["speakers"]["b"]["error_rate"], Value::Null);
    assert_eq!(score["wer"]["speakers"]["a"]["wrong_utterances"], 2);
    assert_eq!(score["ter"], Value::Null);
    assert_eq!(read("result.txt"), include_str!("result.txt"));
}

#[test]
fn fields_of_other_names_tokens_and_cleaning() {
    let files = [
        (
            "text.jsonl",
            "{\"id\": \"u\", \"speaker\": \"s\", \"words\": [\"Hello,\", \"<noise>\", \"World\"]}\n",
        ),
        (
            "hyp.jsonl",
            "{\"idx\": 0, \"utt_id\": \"u\", \"said\": \"hello world\", \"tokens\": \"_h el lo _world\"}\n",
        ),
        ("tokens", "u _hel lo _world\n"),
        ("nlsyms.txt", "<noise>\n<laugh>\n"),
    ];
    let more = json!({"ref": "text.jsonl", "hyp": "hyp.jsonl", "field": "words", "hyp_field": "said",
        "ref_tokens": "tokens", "hyp_tokens": "hyp.jsonl", "nlsyms_txt": "nlsyms.txt",
        "lowercase": true, "remove_punctuation": true});
    let (_folder, provider) = provider(&files, &more);
    let record = &records(&provider)[0];
    assert_eq!((&record["speaker"], &record["wer"]), (&json!("s"), &counts(2, 0, 0, 0)));
    assert_eq!(record["cer"], counts(11, 0, 0, 0));
    assert_eq!(record["ter"], counts(2, 1, 0, 1));
    let inputs = provider.items().expect("files").inputs.value();
    let names: Vec<_> = inputs.as_object().expect("a mapping").keys().collect();
    assert_eq!(names, ["hyp", "hyp_tokens", "nlsyms_txt", "ref", "ref_tokens"]);
}

#[test]
fn a_worker_finds_out_that_texts_are_others_than_those_of_the_plan() {
    let files = [("text", "u1 a\n"), ("hyp", "u1 a\n"), ("utt2spk", "u1 u\n")];
    let (folder, provider) = provider(&files, &json!({}));
    let planned = provider.items().expect("files").inputs.value();
    let check = || {
        let env = provider.build_env_local().expect("an env");
        ScoreProvider::inputs_of(&env).check(&planned)
    };
    check().expect("the same");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::write(&path, text.replace(" a", " b").replace("u1 u", "u1 v")).expect("writes");
        check().expect_err(name);
        fs::write(&path, text).expect("writes");
    }
}

#[test]
fn missing_hypotheses_fail_where_that_is_asked_for() {
    let files = [("text", "u1 a\nu2 b\n"), ("hyp", "u2 b\n")];
    let (_folder, provider) = provider(&files, &json!({"missing": "error"}));
    let env = provider.build_env_local().expect("an env");
    assert_eq!(Score::forward(0, &env).expect_err("has none").to_string(), "no hypothesis");
    assert_eq!(ScoreProvider::item_name(0, &env).as_deref(), Some("u1"));
    assert!(Score::forward(1, &env).is_ok());
    assert!(Score::forward(2, &env).is_err());
}

#[test]
fn what_cannot_be_scored_is_named_by_its_line() {
    let text = ("text", "u1 a\nu2 b\n");
    let cases = [
        (
            vec![text, ("hyp", "u1 a\n\nu3 c\n")],
            json!({}),
            "hyp:3: the reference text has no utterance `u3`",
        ),
        (vec![text, ("hyp", "u1 a\nu1 c\n")], json!({}), "hyp:2: `u1` was already on line 1"),
        (vec![text, ("hyp", "")], json!({}), "hyp: no items"),
        (
            vec![text, ("h.jsonl", "{\"utt_id\": \"u1\", \"hyp\": \"a\"}\n")],
            json!({"hyp": "h.jsonl"}),
            "h.jsonl:1: there is no `text` to score; there are `utt_id`, `hyp`",
        ),
        (
            vec![text, ("h.jsonl", "{\"utt_id\": \"u1\", \"text\": 7}\n")],
            json!({"hyp": "h.jsonl"}),
            "h.jsonl:1: `text` is no text",
        ),
        (
            vec![text, ("hyp", "u1 a\n"), ("tokens", "u1 a\n")],
            json!({"ref_tokens": "tokens", "hyp_tokens": "hyp"}),
            "text:2: `u2` has no tokens in tokens",
        ),
        (
            vec![text, ("hyp", "u1 a\n")],
            json!({"ref_tokens": "hyp"}),
            "`ref_tokens` and `hyp_tokens` are compared: give both or none",
        ),
        (
            vec![text, ("hyp", "u1 a\n")],
            json!({"lowercase": true, "uppercase": true}),
            "`lowercase` and `uppercase`: it can only be one of them",
        ),
    ];
    for (files, more, expected) in cases {
        let message = refused(&files, &more);
        assert!(message.starts_with(expected), "{message}");
    }
    let missing = refused(&[text], &json!({}));
    assert!(missing.starts_with("failed to read `hyp`: No such file"), "{missing}");
}
