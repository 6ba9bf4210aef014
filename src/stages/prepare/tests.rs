//! The stage as a whole, on small corpora that are broken in every way.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::speech::testing::{sine, wav};
use crate::{Dataset, EnvironmentProvider, ErrorKind, ItemError};

/// A folder with these files beside some audio.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tone = wav(&sine(440.0, 16000, 2.0), 16000, 1);
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join(name), bytes).expect("a file");
    };
    write("good.wav", &tone);
    write("cut.wav", &tone[..1000]);
    write("zero.wav", b"");
    write("no_samples.wav", &wav(&[], 16000, 1));
    write("text.wav", b"hello, this is no audio\n");
    write("other.wav", &wav(&[0; 16000], 8000, 2));
    for (name, text) in files {
        write(name, text.as_bytes());
    }
    folder
}

fn provider(folder: &Path, more: &Value) -> PrepareProvider {
    let mut section = json!({"manifest": folder});
    for (key, value) in more.as_object().expect("a mapping") {
        section[key] = value.clone();
    }
    if let Some(name) = more["manifest"].as_str() {
        section["manifest"] = json!(folder.join(name));
    }
    serde_json::from_value(section).expect("parameters")
}

/// Each item's record or error, without the folder.
fn outcomes(folder: &Path, more: &Value) -> Vec<(String, Result<Value, String>)> {
    let env = provider(folder, more).build_env_local().expect("a listing");
    let place = format!("{}/", folder.display());
    let outcome = |idx| {
        let name = PrepareProvider::item_name(idx, &env).expect("a name").replace(&place, "");
        let json = |record: Record| {
            let json = record.json().replace(&place, "");
            serde_json::from_str(&json).expect("JSON")
        };
        let error = |error: anyhow::Error| format!("{error:#}").replace(&place, "");
        (name, Prepare::forward(idx, &env).map(json).map_err(error))
    };
    (0..env.dataset.len()).map(outcome).collect()
}

fn errors(folder: &Path, more: &Value) -> Vec<(String, String)> {
    let outcomes = outcomes(folder, more).into_iter();
    outcomes.filter_map(|(name, outcome)| Some((name, outcome.err()?))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, why)| ((*name).to_owned(), (*why).to_owned())).collect()
}

#[test]
fn audio_that_is_not_what_it_should_be() {
    let scp = "a good.wav\nb cut.wav\nc zero.wav\nd no_samples.wav\ne text.wav\nf other.wav\n\
               g lost.wav\nh sph2pipe x.sph |\na cut.wav\nlonely\ni /\n";
    let folder = folder(&[("wav.scp", scp)]);
    let checks = json!({"sample_rate": 16000, "num_channels": 1});
    let why = |decode: bool| {
        let read = if decode {
            "478 of 32000 samples could be read"
        } else {
            "478 of 32000 samples are there"
        };
        pairs(&[
            ("b (cut.wav)", &format!("truncated: the file ends early: {read}")),
            ("c (zero.wav)", "empty: the file is empty"),
            ("d (no_samples.wav)", "empty: no samples"),
            (
                "e (text.wav)",
                "not audio: neither WAV, FLAC nor NIST SPHERE: it starts with \"hell\"",
            ),
            (
                "f (other.wav)",
                "wrong sample rate: 8000 Hz, and not 16000 Hz; wrong number of channels: 2, and not 1",
            ),
            ("g (lost.wav)", "missing file: No such file or directory (os error 2)"),
            (
                "h",
                "command: wav.scp:8: `h` is a command, and commands are not run yet; run it once and \
                 name the file it makes (SPHERE, WAV and FLAC are read without any command)",
            ),
            ("a", "duplicate id: wav.scp:9: utterance `a` was already on line 1"),
            ("lonely", "malformed line: wav.scp:10: expected `UTT_ID PATH`, found `lonely`"),
            ("i (/)", "unreadable: it is a folder, and no file"),
        ])
    };
    assert_eq!(errors(folder.path(), &checks), why(true));
    let mut header_only = checks;
    header_only["decode"] = json!(false);
    assert_eq!(errors(folder.path(), &header_only), why(false));

    let limits = json!({"min_wav_duration": 1.5, "max_wav_duration": 3});
    let short = pairs(&[("f (other.wav)", "too short: 1 s, and not 1.5 s at least")]);
    assert_eq!(errors(folder.path(), &limits)[4..5], short);
    let limits = json!({"max_wav_duration": 1.5});
    let long = pairs(&[("a (good.wav)", "too long: 2 s, and not 1.5 s at most")]);
    assert_eq!(errors(folder.path(), &limits)[..1], long);
}

const SEGMENTS: &str = "s-a rec 0.5 1.25\ns-b rec 1 2.25\ns-c rec 1.5 9\ns-d rec 1 0.5\n\
    s-e tape 0 1\ns-f other 0 -1\ns-g rec now 1\n";

#[test]
fn tables_and_segments() {
    let text = "s-a A B\ns-b\ns-c C\ns-d D\ns-e E\ns-f F\ns-f FF\nnobody N\n";
    let utt2spk = "s-a s\ns-b s\ns-c s\ns-d s\ns-e s\ns-f t\nnobody n\nno_more n\n";
    let folder = folder(&[
        ("wav.scp", "rec good.wav\nother other.wav\n"),
        ("segments", SEGMENTS),
        ("text", text),
        ("utt2spk", utt2spk),
        ("spk2utt", "s s-a s-b s-c\nu s-f\n"),
    ]);
    let beyond = "beyond the end: the segment ends at 9 s, but the recording ends at 2 s";
    let expected = pairs(&[
        ("s-b (good.wav)", "empty transcript: it has no words"),
        ("s-c (good.wav)", beyond),
        ("s-d (good.wav)", "empty: the segment from 1 s to 0.5 s holds no audio"),
        ("s-e", "no recording: segments:5: no recording `tape` in wav.scp"),
        ("s-f (other.wav)", "two transcripts: text has lines 6 and 7 for it"),
        ("s-g", "malformed line: segments:7: `now` is no time in seconds"),
        ("nobody", "no audio: text:8 has it, and the manifest does not"),
        ("no_more", "no audio: utt2spk:8 has it, and the manifest does not"),
    ]);
    assert_eq!(errors(folder.path(), &json!({})), expected);
    let good = &outcomes(folder.path(), &json!({}))[0].1;
    let record = json!({"utt_id": "s-a", "path": "good.wav", "start": 0.5, "end": 1.25,
        "duration": 0.75, "recording": "rec", "recording_duration": 2.0, "sample_rate": 16000,
        "num_channels": 1, "format": "wav", "text": "A B", "speaker": "s"});
    assert_eq!(good.as_ref(), Ok(&record));

    // Where words are not asked for, an utterance may have none.
    let outcomes = outcomes(folder.path(), &json!({"require_text": false}));
    let late = outcomes[1].1.as_ref().expect("is good");
    assert_eq!((&late["end"], &late["duration"]), (&json!(2.0), &json!(1.0)));
    assert_eq!(late["warnings"], json!(["the segment ends after its recording"]));
    // Neither costs nor a negative duration stop a run from being planned.
    let costs = provider(folder.path(), &json!({})).items().expect("items").costs;
    assert_eq!(costs, None);

    fs::remove_file(folder.path().join("text")).expect("removes");
    fs::write(folder.path().join("utt2spk"), "s-a s\ns-b s\ns-c s\ns-d s\ns-e s\ns-f t\n")
        .expect("writes");
    let odd = &errors_and_warnings(folder.path())["s-f"];
    let warnings = json!([
        "the id does not start with the speaker",
        "spk2utt does not say what utt2spk does",
        "all samples are zero"
    ]);
    assert_eq!(odd, &warnings);
}

fn errors_and_warnings(folder: &Path) -> Value {
    let good = outcomes(folder, &json!({})).into_iter().filter_map(|(_, outcome)| outcome.ok());
    good.map(|good| (good["utt_id"].as_str().expect("an id").to_owned(), good["warnings"].clone()))
        .collect()
}

#[test]
fn rows_of_manifests_are_kept() {
    let jsonl = "{\"id\": \"a\", \"audio\": \"good.wav\", \"text\": \"A\", \"lang\": \"en\", \
                 \"sample_rate\": 1, \"idx\": 3}\n{\"id\": \"b\", \"audio\": \"good.wav\", \
                 \"offset\": 1, \"duration\": 0.5, \"text\": \" \"}\n{\"id\": \"c\"\n\
                 {\"id\": \"a\", \"wav\": \"good.wav\"}\n";
    let tsv = "utt_id\tpath\ttext\tlang\na\tgood.wav\tA\ten\nb\tgood.wav\t\t\n";
    let folder = folder(&[("a.jsonl", jsonl), ("a.tsv", tsv), ("b.tsv", "a\tgood.wav\tA\n")]);
    let record = |more: Value| {
        let mut record = json!({"utt_id": "a", "path": "good.wav", "duration": 2.0,
            "sample_rate": 16000, "num_channels": 1, "format": "wav", "text": "A"});
        for (key, value) in more.as_object().expect("a mapping") {
            record[key] = value.clone();
        }
        Ok(record)
    };
    let empty = Err("empty transcript: it has no words".to_owned());
    let found = outcomes(folder.path(), &json!({"manifest": "a.jsonl"}));
    assert_eq!((&found[0].1, &found[1].1), (&record(json!({"lang": "en"})), &empty));
    assert_eq!(found[2].0, "a.jsonl:3");
    let why = found[2].1.as_ref().expect_err("half a line");
    assert!(why.starts_with("malformed line: a.jsonl:3: EOF"), "{why}");
    let twice = "duplicate id: a.jsonl:4: utterance `a` was already on line 1".to_owned();
    assert_eq!(found[3], ("a".to_owned(), Err(twice)));
    let found = outcomes(folder.path(), &json!({"manifest": "a.tsv"}));
    assert_eq!((&found[0].1, &found[1].1), (&record(json!({"lang": "en"})), &empty));
    let found = outcomes(folder.path(), &json!({"manifest": "b.tsv"}));
    assert_eq!(found[0].1, record(json!({})));
}

#[test]
fn a_worker_finds_out_that_tables_are_others_than_those_of_the_plan() {
    let files = [
        ("wav.scp", "a good.wav\n"),
        ("text", "a A\n"),
        ("utt2spk", "a s\n"),
        ("spk2utt", "s a\n"),
    ];
    let folder = folder(&files);
    let provider = provider(folder.path(), &json!({}));
    let planned = provider.items().expect("items").inputs.value();
    let check = || {
        let env = provider.build_env_local().expect("an env");
        PrepareProvider::inputs_of(&env).check(&planned)
    };
    check().expect("the same");
    for (name, text) in files {
        fs::write(folder.path().join(name), format!("{text}b b\n")).expect("writes");
        check().expect_err(name);
        fs::write(folder.path().join(name), text).expect("writes");
    }
}

/// Merges what is good, as after a run.
fn merge(folder: &Path, more: &Value) -> Result<()> {
    let provider = &provider(folder, more);
    let env = provider.build_env_local()?;
    let mut failed = Vec::new();
    let mut records = Vec::new();
    for idx in 0..env.dataset.len() {
        match Prepare::forward(idx, &env) {
            Ok(record) => {
                let mut line: Value = serde_json::from_str(record.json())?;
                line["idx"] = json!(idx);
                records.push(crate::collect::parse_record(line.to_string().as_bytes()));
            }
            Err(error) => {
                let item = PrepareProvider::item_name(idx, &env);
                let (kind, error) = (ErrorKind::Error, error.to_string());
                failed.push(ItemError { idx, item, kind, error });
            }
        }
    }
    let records = &mut records.into_iter();
    Prepare::merge(CompleteRun { provider, records, failed: &failed, output_dir: folder })
}

#[test]
fn merge_writes_a_data_directory_that_is_whole() {
    let folder = folder(&[
        ("wav.scp", "rec good.wav\nother other.wav\nunused good.wav\n"),
        ("segments", "s-z rec 1 1.5\ns-a rec 0.5 1.25\nt-f other 0 -1\ns-x rec 7 8\n"),
        ("text", "s-z  Z  Z\ns-a A\nt-f F\ns-x X\n"),
        ("utt2spk", "s-z s\ns-a s\nt-f t\ns-x s\n"),
    ]);
    let read = |name: &str| {
        let text = fs::read_to_string(folder.path().join(name)).ok();
        text.map(|text| text.replace(&format!("{}/", folder.path().display()), ""))
    };
    merge(folder.path(), &json!({})).expect("a merge");
    for (name, expected) in [
        ("wav.scp", "other other.wav\nrec good.wav\n"),
        ("segments", "s-a rec 0.5 1.25\ns-z rec 1 1.5\nt-f other 0 1\n"),
        ("text", "s-a A\ns-z Z Z\nt-f F\n"),
        ("utt2spk", "s-a s\ns-z s\nt-f t\n"),
        ("spk2utt", "s s-a s-z\nt t-f\n"),
        ("utt2dur", "s-a 0.75\ns-z 0.5\nt-f 1\n"),
        ("reco2dur", "other 1\nrec 2\n"),
    ] {
        assert_eq!(read(&format!("data/{name}")).as_deref(), Some(expected), "{name}");
    }
    // Both are manifests in which nothing is wrong, with durations.
    for manifest in ["data", "data/manifest.jsonl"] {
        let again = json!({"manifest": manifest, "require_text": true});
        assert_eq!(errors(folder.path(), &again), []);
        let costs = provider(folder.path(), &again).items().expect("items").costs;
        assert_eq!(costs, Some(vec![0.75, 0.5, 1.0]), "{manifest}");
    }
    let report: Value =
        serde_json::from_str(&read("report.json").expect("a report")).expect("JSON");
    assert_eq!(report["good"], 3);
    assert_eq!(report["seconds"], 2.25);
    assert_eq!(report["sample_rates"], json!({"16000": 2, "8000": 1}));
    let beyond = json!({"count": 1, "examples": ["s-x (good.wav)"]});
    assert_eq!(report["faults"], json!({"beyond the end": beyond}));
    assert_eq!(report["durations"]["histogram"][1], json!({"from": 1.0, "to": 2.0, "count": 1}));
    let text = read("report.txt").expect("a report");
    assert!(text.starts_with("3 good, 1 broken; 2.2 s, 0.00 hours\n"), "{text}");
    assert!(text.contains("\n  beyond the end                  1  s-x (good.wav)\n"), "{text}");
}

#[test]
fn what_kaldi_cannot_have_is_in_the_manifest_only() {
    let cut = "{\"id\": \"a\", \"path\": \"good.wav\", \"start\": 0.5, \"end\": 1}\n";
    let folder =
        folder(&[("a.jsonl", cut), ("b.jsonl", "{\"id\": \"a b\", \"path\": \"good.wav\"}\n")]);
    let data = |name: &str| folder.path().join("data").join(name);
    for manifest in ["a.jsonl", "b.jsonl"] {
        fs::create_dir_all(folder.path().join("data")).expect("a folder");
        fs::write(data("wav.scp"), "of another time").expect("writes");
        merge(folder.path(), &json!({"manifest": manifest})).expect("a merge");
        assert!(data("manifest.jsonl").is_file() && !data("wav.scp").exists(), "{manifest}");
    }
    fs::remove_dir_all(folder.path().join("data")).expect("removes");
    std::os::unix::fs::symlink("elsewhere", folder.path().join("data")).expect("links");
    let error = merge(folder.path(), &json!({"manifest": "a.jsonl"})).expect_err("is a link");
    assert!(error.to_string().contains("is there, and no folder"), "{error}");
}
