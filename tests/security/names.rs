//! Items and files with names that a shell, a path or a line of text would take for something else.

use std::fs;

use serde_json::{Value, json};

use crate::common::disk::{errors, snapshot};
use crate::common::recipe::Recipe;
use crate::place::BOUND;

const IDS: [&str; 14] = [
    "../x",
    "/tmp/../x",
    "-rf",
    "--output=x",
    "$(touch x)",
    "`touch x`",
    "'; touch x; '",
    "\" && touch x #",
    "a b\tc",
    "a\nb",
    "\u{1b}[2J\u{1b}]0;x\u{7}",
    "{utt_id}",
    "%s%n",
    "*",
];

fn recipe(ids: &[&str], argv: &str) -> Recipe {
    let config =
        format!("command: {{manifest: items.jsonl, argv: {argv}}}\nparallel: {{shards: 2}}");
    let recipe = Recipe::of_product("command", &config);
    let lines = ids.iter().map(|id| format!("{}\n", json!({"utt_id": id})));
    fs::write(recipe.path("items.jsonl"), lines.collect::<String>()).expect("writes");
    recipe
}

fn outside(recipe: &Recipe) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = snapshot(&recipe.path(".")).into_keys().collect();
    let kinds = ["out", "err"];
    paths.retain(|path| {
        let calls = path.extension().is_some_and(|kind| kinds.iter().any(|other| kind == *other));
        !path.starts_with(recipe.path("./run")) && !calls
    });
    paths
}

#[test]
fn as_arguments_of_a_program() {
    let long = "x".repeat(5000);
    let ids = [&IDS[..], &[&long]].concat();
    let recipe = recipe(&ids, "[printf, \"%s|\", \"{utt_id}\"]");
    let before = outside(&recipe);
    recipe.start_run(&[]).wait_within(BOUND).expect_code(0);
    let records: Vec<Value> =
        recipe.results().lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    for (record, id) in records.iter().zip(&ids) {
        assert_eq!(record["utt_id"], *id);
        assert_eq!(record["stdout"], format!("{id}|"));
    }
    assert_eq!(records.len(), ids.len());
    assert_eq!(outside(&recipe), before);
}

/// No argument can have one.
#[test]
fn a_nought_byte_costs_the_item() {
    let recipe = recipe(&["a\0b", "good"], "[printf, \"%s|\", \"{utt_id}\"]");
    recipe.start_run(&[]).wait_within(BOUND).expect_code(1);
    assert_eq!(recipe.results().lines().count(), 1);
    let error = errors(&recipe.root).remove(0);
    assert!(error["error"].as_str().is_some_and(|error| error.contains("nul byte")), "{error}");
}

/// What a program calls its files is checked, and costs no more than the item.
#[test]
fn of_files_of_a_record() {
    let long = "x".repeat(250);
    let ids = ["-rf", "$(touch x)", ".hidden", "a\nb", "results.jsonl", &long, "last"];
    let recipe = recipe(&ids, "[sh, -c, 'echo > \"$1/$2\"', sh, \"{out}\", \"{utt_id}\"]");
    let before = outside(&recipe);
    recipe.start_run(&[]).wait_within(BOUND).expect_code(1);
    let errors: Vec<String> = errors(&recipe.root)
        .iter()
        .map(|error| error["error"].as_str().expect("a text").to_owned())
        .collect();
    let own = ": the shard has its own";
    let cannot = |name: &str, why: &str| format!("a record's file cannot be called {name:?}{why}");
    assert_eq!(
        errors,
        [
            cannot(".hidden", ""),
            cannot("a\nb", ""),
            cannot("results.jsonl", own),
            cannot(&long, ": the name is too long"),
        ]
    );
    assert_eq!(recipe.results().lines().count(), 3);
    assert_eq!(outside(&recipe), before);
}

/// An scp has a word and the rest of a line.
#[test]
fn in_an_scp() {
    for (id, message) in [
        ("a b", "`utt_id` is \"a b\", which cannot be the first word of a line"),
        ("a\nb", "`utt_id` has more than one line: \"a\\nb\""),
        ("", "`utt_id` is \"\", which cannot be the first word of a line"),
    ] {
        let recipe = recipe(&["good", id], "[printf, x]");
        recipe.start_run(&[]).wait_within(BOUND).expect_code(0);
        let scp = ["--format", "scp", "--key", "utt_id", "--field", "stdout"];
        let ended = recipe.call(&[&["collect", recipe.root_text()], &scp[..]].concat());
        let ended = ended.expect_code(2);
        assert!(ended.err.contains(message), "{ended:?}");
        assert!(!recipe.root.join("stdout.scp").exists());
    }
}

/// Words that Kaldi would take for a key, and a shell or a path for something else.
#[cfg(feature = "speech")]
const WORDS: [&str; 11] = [
    "../x",
    "/tmp/../x",
    "-rf",
    "$(touch${IFS}x)",
    "';touch${IFS}x;'",
    "{utt_id}",
    "%s%n%2F",
    "*",
    ".hidden",
    "results.jsonl",
    "\u{202e}tfel-ot-thgir",
];

/// Half a second of silence, and a manifest of these ids for it.
#[cfg(feature = "speech")]
fn utterances(stage: &str, options: &str, ids: &[&str]) -> Recipe {
    let config = format!("{stage}: {{manifest: items.jsonl{options}}}\nparallel: {{shards: 2}}");
    let recipe = Recipe::of_product(stage, &config);
    // The header of 16-bit PCM, mono, 16 kHz.
    let mut wav =
        b"RIFF\xa4\x3e\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0\
        data\x80\x3e\0\0"
            .to_vec();
    wav.resize(44 + 16_000, 0);
    fs::write(recipe.path("-s.wav"), wav).expect("writes");
    let lines = ids.iter().map(|id| format!("{}\n", json!({"utt_id": id, "path": "-s.wav"})));
    fs::write(recipe.path("items.jsonl"), lines.collect::<String>()).expect("writes");
    recipe
}

/// The lines of an scp, split as Kaldi does it.
#[cfg(feature = "speech")]
fn scp(recipe: &Recipe) -> Vec<(String, String)> {
    let text = fs::read_to_string(recipe.root.join("feats.scp")).expect("was merged");
    let split = |line: &str| line.split_once(' ').map(|(key, place)| (key.into(), place.into()));
    text.lines().map(|line| split(line).expect("a key and a place")).collect()
}

#[cfg(feature = "speech")]
#[test]
fn as_keys_of_an_archive() {
    let long = "x".repeat(5000);
    let ids = [&WORDS[..], &[&long]].concat();
    let recipe = utterances("fbank", "", &ids);
    let before = outside(&recipe);
    recipe.start_run(&[]).wait_within(BOUND).expect_code(0);
    let found = scp(&recipe);
    assert_eq!(found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ids);
    for (key, place) in found {
        let (archive, offset) = place.rsplit_once(':').expect("an offset");
        let bytes = fs::read(archive).expect("the archive");
        let (head, object) = bytes.split_at(offset.parse().expect("a number"));
        assert!(head.ends_with(format!("{key} ").as_bytes()), "{key}");
        assert!(object.starts_with(b"\0BFM \x04"), "{key}");
    }
    assert_eq!(outside(&recipe), before);
}

#[cfg(feature = "speech")]
#[test]
fn as_files_of_features() {
    let long = "x".repeat(300);
    let recipe = utterances("fbank", ", format: npy", &[&WORDS[..], &[&long]].concat());
    let before = outside(&recipe);
    recipe.start_run(&[]).wait_within(BOUND).expect_code(1);
    let found = scp(&recipe);
    assert_eq!(found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), WORDS);
    let files: std::collections::BTreeSet<_> = found.iter().map(|(_, place)| place).collect();
    assert_eq!(files.len(), WORDS.len());
    for file in files {
        assert!(fs::read(file).expect("is there").starts_with(b"\x93NUMPY"), "{file}");
    }
    let error = errors(&recipe.root).remove(0);
    assert!(error["error"].as_str().is_some_and(|why| why.contains("the name is too long")));
    assert_eq!(outside(&recipe), before);
}

/// In an archive and an scp a blank ends the key.
#[cfg(feature = "speech")]
#[test]
fn that_are_no_keys() {
    for id in ["a b", "a\nb", "a\tb", "a\u{3000}b", "\u{1b}[2J", "a\0b", ""] {
        let recipe = utterances("fbank", "", &["good", id]);
        let ended = recipe.start_run(&[]).wait_within(BOUND).expect_code(2);
        assert!(ended.err.contains("items.jsonl:2: the utterance id \""), "{ended:?}");
        assert!(!ended.err.contains(['\0', '\u{1b}']), "{ended:?}");
        assert!(!recipe.root.exists());
    }
}

/// Where they only stand in JSON, all are good.
#[cfg(feature = "speech")]
#[test]
fn in_records() {
    let ids = [&IDS[..], &WORDS[2..3], &["a\0b", "\u{202e}x", ""]].concat();
    let ids: Vec<&str> =
        ids.iter().copied().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    let recipe = utterances("collect_stats", "", &ids);
    recipe.start_run(&[]).wait_within(BOUND).expect_code(0);
    let results = recipe.results();
    let records = results.lines().map(|line| serde_json::from_str::<Value>(line).expect("is JSON"));
    let found: Vec<_> = records.map(|record| record["utt_id"].clone()).collect();
    assert_eq!(found, ids);
}

/// A name does not make lines of its own, and does not turn what stands around it.
#[cfg(feature = "speech")]
#[test]
fn of_items_that_fail() {
    let recipe = utterances("collect_stats", "", &["good"]);
    let lines = [
        json!({"utt_id": "x\nexp/run: done, 3 of 3 items", "path": "no.wav"}),
        json!({"utt_id": "\u{202e}turned", "path": "\u{202e}no.wav"}),
        json!({"utt_id": "nought", "path": "a\0b"}),
    ];
    let lines = lines.map(|line| format!("{line}\n")).concat();
    fs::write(recipe.path("items.jsonl"), lines).expect("writes");
    let ended = recipe.start_run(&[]).wait_within(BOUND).expect_code(1);
    assert!(!ended.err.lines().any(|line| line.starts_with("exp/run")), "{ended:?}");
    assert!(ended.err.contains(r"item 0 x\nexp/run: done, 3 of 3 items"), "{ended:?}");
    assert!(ended.err.contains(r"item 1 \u{202e}turned"), "{ended:?}");
    assert!(!ended.err.contains('\u{202e}') && !ended.err.contains('\0'), "{ended:?}");
    assert_eq!(errors(&recipe.root).len(), 3);
}

/// Manifests are text.
#[cfg(feature = "speech")]
#[test]
fn of_files_that_are_not_utf_8() {
    use std::os::unix::ffi::OsStrExt;
    let recipe = utterances("collect_stats", "", &["good"]);
    let name = std::ffi::OsStr::from_bytes(b"a\xff.wav");
    let file = recipe.path("").join(name);
    fs::copy(recipe.path("-s.wav"), &file).expect("copies");
    fs::write(recipe.path("items.scp"), b"good -s.wav\nutt1 a\xff.wav\n").expect("writes");
    let set = ["--set", "collect_stats.manifest=items.scp"];
    let ended = recipe.start_run(&set).wait_within(BOUND).expect_code(2);
    assert!(ended.err.contains("items.scp:2: this is not UTF-8 text"), "{ended:?}");
    assert!(!recipe.root.exists() && file.exists());
}

/// Of logs.
#[test]
fn of_jobs_of_a_queue() {
    let recipe = Recipe::of_product("command", "command: {manifest: x, argv: [x]}");
    let before = outside(&recipe);
    let long = "x".repeat(200);
    for name in ["-rf", "a b", "%s%n", "\u{202e}gol", "*", "$(touch x)", "'", &long] {
        let log = format!("log/{name}.JOB.log");
        let words = ["queue", "JOB=1:2", &log, "printf", "%s-JOB", "it"];
        recipe.start(&words).wait_within(BOUND).expect_code(0);
        for job in ["1", "2"] {
            let text = fs::read_to_string(recipe.path(&log.replace("JOB", job))).expect("a log");
            assert!(text.contains(&format!("\nit-{job}")), "{text}");
        }
    }
    let others = outside(&recipe);
    let others = others.iter().filter(|path| !path.starts_with(recipe.path("./log")));
    assert_eq!(others.collect::<Vec<_>>(), before.iter().collect::<Vec<_>>());

    // A line's end in a name would make lines of job scripts; and no file can have so long a name.
    let too_long = "x".repeat(300);
    for (name, expected) in
        [("a\nb", "a character that no path should have"), (&too_long, "too long")]
    {
        let recipe = Recipe::of_product("command", "command: {manifest: x, argv: [x]}");
        let log = format!("log/{name}.log");
        let ended = recipe.start(&["queue", &log, "true"]).wait_within(BOUND);
        assert!(!ended.status.success() && !ended.err.contains("panicked"), "{ended:?}");
        assert!(ended.err.contains(expected), "{ended:?}");
        assert!(!recipe.path(&log).exists());
    }
}
