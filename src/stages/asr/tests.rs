//! The stage with a Whisper whose weights are only numbers.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::EnvironmentProvider;
use crate::checksum::sha256;
use crate::speech::testing::{sine, wav};
use crate::stage::merge_all;

/// Two short files, one of 70 s with a pause at 24 s and at 46 s, and one that is not there.
fn recipe(more: &Value) -> (TempDir, AsrProvider) {
    let folder = whisper::fake::checkpoint(false);
    let write =
        |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).expect("a file");
    let tone = |hertz, seconds| sine(hertz, 8000, seconds);
    write("a.wav", &wav(&tone(440.0, 1.0), 8000, 1));
    write("b.wav", &wav(&tone(1000.0, 0.5), 8000, 1));
    let pause = vec![0; 8000];
    let long = [tone(300.0, 24.0), pause.clone(), tone(700.0, 21.0), pause, tone(500.0, 23.0)];
    write("long.wav", &wav(&long.concat(), 8000, 1));
    write("wav.scp", b"utt1 a.wav\nutt2 b.wav\nlong long.wav\nnone no.wav\n");
    let mut parameters = json!({
        "manifest": folder.path().join("wav.scp"), "model": folder.path(), "tokens": true,
    });
    for (key, value) in more.as_object().expect("a mapping") {
        parameters[key] = value.clone();
    }
    let provider = serde_json::from_value(parameters).expect("parameters");
    (folder, provider)
}

fn vad(folder: &TempDir, lines: &[Value]) -> PathBuf {
    let path = folder.path().join("results.jsonl");
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    fs::write(&path, lines.join("\n")).expect("a file");
    path
}

#[test]
fn a_batch_is_as_each_item_alone() {
    let (_folder, provider) = recipe(&json!({"device": "cpu"}));
    provider.validate().expect("good parameters");
    let items = provider.items().expect("a manifest");
    assert_eq!((items.len, items.costs), (4, None));
    let env = provider.build_env_local().expect("an env");
    let indices = [2, 0, 1];
    let together = Asr::batch_forward(&indices, &env).expect("records");
    for (idx, found) in indices.into_iter().zip(&together) {
        let alone = Asr::forward(idx, &env).expect("a record");
        for field in ["utt_id", "text", "duration", "tokens"] {
            assert_eq!(alone.fields()[field], found.fields()[field], "{idx}, {field}");
        }
        let pieces = |record: &Record| record.get::<Vec<Value>>("pieces").ok();
        assert_eq!(pieces(&alone), pieces(found));
        assert_eq!(pieces(found).map(|pieces| pieces.len()), (idx == 2).then_some(3));
    }
    let error = Asr::forward(3, &env).expect_err("no such file");
    assert!(format!("{error:#}").starts_with("failed to read audio `no.wav`"), "{error:#}");
    assert_eq!(AsrProvider::item_name(3, &env).as_deref(), Some("none (no.wav)"));
    assert!(Asr::forward(4, &env).is_err());
}

#[test]
fn long_audio_is_cut_where_nobody_speaks() {
    let (folder, provider) = recipe(&json!({}));
    let segments = [[1.0, 20.0], [20.5, 30.5], [40.0, 50.0]];
    let lines = [
        json!({"utt_id": "long", "segments": segments}),
        json!({"utt_id": "utt1", "segments": []}),
        json!({"utt_id": "utt2", "segments": [[0.1, 0.2]]}),
    ];
    let vad = Some(vad(&folder, &lines));
    let provider = AsrProvider { vad, tokens: false, ..provider };
    provider.validate().expect("good parameters");
    let env = provider.build_env_local().expect("an env");
    let records = Asr::batch_forward(&[2, 0, 1], &env).expect("records");
    let pieces = records[0].get::<Vec<Value>>("pieces").expect("pieces");
    let times: Vec<_> = pieces.iter().map(|piece| (&piece["start"], &piece["end"])).collect();
    assert_eq!(times, [(&json!(1.0), &json!(30.5)), (&json!(40.0), &json!(50.0))]);
    let texts: Vec<&str> = pieces.iter().filter_map(|piece| piece["text"].as_str()).collect();
    assert_eq!(records[0].get::<String>("text").expect("a text"), texts.join(" ").trim());
    assert!(records[0].get::<Value>("tokens").is_err());
    // Nobody speaks, so nothing is said.
    assert_eq!(records[1].get::<String>("text").expect("a text"), "");
    assert!(records[2].get::<Value>("pieces").is_err(), "short audio is not cut");
    let error = Asr::forward(3, &env).expect_err("not in the results");
    assert!(format!("{error:#}").contains("`vad` has no record of `none`"), "{error:#}");
}

#[test]
fn merge_writes_kaldis_text() {
    let dir = tempfile::tempdir().expect("a directory");
    let record = |utt_id: &str, text: &str| Record::new(json!({"utt_id": utt_id, "text": text}));
    let section = json!({"manifest": "wav.scp", "model": "."});
    let merge = |records| merge_all::<Asr>(&section, records, dir.path());
    merge([record("b", "MARCH THIRD"), record("a", "")]).expect("a merge");
    let text = fs::read_to_string(dir.path().join("text")).expect("a text");
    assert_eq!(text, "b MARCH THIRD\na\n");
    let broken = [record("c", "x"), Record::new(json!({"utt_id": "d"}))];
    merge(broken).expect_err("a record without text");
    assert_eq!(fs::read_to_string(dir.path().join("text")).expect("a text"), text);
}

#[test]
fn inputs_follow_the_files() {
    let (folder, provider) = recipe(&json!({}));
    let inputs = |provider: &AsrProvider| provider.items().expect("files").inputs.value();
    let before = inputs(&provider);
    let names: Vec<_> = before.as_object().expect("files").keys().collect();
    let model = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"];
    let model = model.map(|name| format!("model/{name}"));
    assert_eq!(
        names,
        ["manifest"].into_iter().chain(model.iter().map(String::as_str)).collect::<Vec<_>>()
    );
    fs::remove_file(folder.path().join("generation_config.json")).expect("a file");
    let vad = vad(&folder, &[json!({"utt_id": "utt1", "segments": []})]);
    let sum = sha256(&vad).expect("a file");
    let after = inputs(&AsrProvider { vad: Some(vad), ..provider });
    assert_eq!(after["vad"], sum);
    assert_eq!(after["model/config.json"], before["model/config.json"]);
    assert!(after.get("model/generation_config.json").is_none());
}

#[test]
fn what_cannot_work_is_told_before_there_is_a_run() {
    let empty = tempfile::tempdir().expect("a directory");
    let cases = [
        (json!({"model": empty.path()}), "has neither a `config.json`, as checkpoints of Whisper"),
        (json!({"model": "no/such/folder"}), "`no/such/folder` is no folder"),
        (json!({"dict": "an4.dic"}), "`dict` and `lm` are for models of CMU Sphinx"),
        (json!({"language": "de"}), "this checkpoint only transcribes, and only English"),
        (json!({"vad": "exp/vad/results.jsonl"}), "`vad` is the `results.jsonl` of a run"),
        #[cfg(not(feature = "cuda"))]
        (json!({"device": "cuda"}), "`cargo build --release --features cuda`"),
    ];
    for (more, expected) in cases {
        let (_folder, provider) = recipe(&more);
        let error = format!("{:#}", provider.validate().expect_err(expected));
        assert!(error.contains(expected), "{error}");
    }
    let wrong = json!({"manifest": "a", "model": "b", "beam_size": 5});
    let error = serde_json::from_value::<AsrProvider>(wrong).expect_err("an unknown key");
    assert!(error.to_string().starts_with("unknown field `beam_size`"), "{error}");
}
