use std::io::{Seek, SeekFrom};

use candle_core::{Device, Tensor};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::front_end::MELS;
use super::*;
use crate::EnvironmentProvider;
use crate::speech::testing::{sine, wav, write};
use crate::stage::merge_all;

fn provider(more: &Value) -> (TempDir, SpeakerEmbeddingProvider) {
    let (dir, model) = write("ge2e.safetensors", &fake::ge2e());
    let tone = [sine(440.0, 16000, 2.0), sine(200.0, 16000, 1.0)].concat();
    for (name, samples) in [("a", &tone[..]), ("empty", &[]), ("silent", &[0; 9]), ("one", &[1])] {
        fs::write(dir.path().join(format!("{name}.wav")), wav(samples, 16000, 1)).expect("a file");
    }
    let manifest = dir.path().join("wav.scp");
    fs::write(&manifest, "a a.wav\nempty empty.wav\nsilent silent.wav\none one.wav\n")
        .expect("a file");
    let mut parameters = json!({"manifest": manifest, "model": model});
    for (key, value) in more.as_object().expect("a mapping") {
        parameters[key] = value.clone();
    }
    (dir, serde_json::from_value(parameters).expect("parameters"))
}

fn embedding(record: &Record) -> Vec<f32> {
    let file = &record.files[0];
    let values = file.bytes[file.skip + "\0BFV \x04....".len()..].as_chunks::<4>().0;
    values.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

#[test]
fn the_network_is_pytorchs() {
    let ge2e = Ge2e::from_safetensors(&fake::ge2e()).expect("a model");
    let mels: Vec<f32> = (0..300 * MELS).map(|i| (i * 7919 % 1000) as f32 / 1000.0).collect();
    let found = ge2e.embed(&mels, &[0, 77, 100]).expect("an embedding");
    // PyTorch 1.13 with these weights: three partial utterances of these frames, ReLU, their mean.
    assert_eq!(found.iter().filter(|value| **value > 0.0).count(), 119);
    for (at, value) in [(0, 0.109_383_77), (3, 0.092_203_32), (100, 0.290_058_28)] {
        assert!((found[at] - value).abs() < 1e-6, "{at}: {}", found[at]);
    }
    // As many at once as there are, or in batches.
    let many: Vec<usize> = (0..35).map(|nth| nth % 3).collect();
    let apart = [0, 1, 2].map(|start| ge2e.embed(&mels, &[start]).expect("an embedding"));
    let together = ge2e.embed(&mels, &many).expect("an embedding");
    let shares = [12.0, 12.0, 11.0];
    let mut mean: Vec<f32> =
        (0..DIM).map(|i| (0..3).map(|nth| shares[nth] * apart[nth][i]).sum()).collect();
    let length = mean.iter().map(|value| value * value).sum::<f32>().sqrt();
    mean.iter_mut().for_each(|value| *value /= length);
    assert!(mean.iter().zip(&together).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn records_of_any_length_of_audio() {
    let (_dir, provider) = provider(&json!({}));
    let env = provider.build_env_local().expect("an env");
    for (idx, duration) in [(0, 3.0), (3, 1.0 / 16000.0)] {
        let record = SpeakerEmbedding::forward(idx, &env).expect("an embedding");
        assert_eq!(record.get::<f64>("duration").expect("a duration"), duration);
        assert_eq!(record.get::<usize>("dim").expect("a number"), DIM);
        let length: f32 = embedding(&record).iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    for (idx, expected) in [(1, "0 s of silence"), (2, "0.0005625 s of silence"), (4, "no utt")] {
        let error = SpeakerEmbedding::forward(idx, &env).expect_err(expected).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(
        SpeakerEmbeddingProvider::item_name(2, &env).as_deref(),
        Some("silent (silent.wav)")
    );
}

#[test]
fn only_speech_is_taken_where_vad_says() {
    let (dir, provider) = provider(&json!({}));
    let vad = dir.path().join("results.jsonl");
    fs::write(&vad, r#"{"idx":0,"utt_id":"a","segments":[[2.0,3.0]]}"#).expect("a file");
    let cut = SpeakerEmbeddingProvider { vad: Some(vad.clone()), ..provider.clone() };
    let [whole, second] = [&provider, &cut].map(|provider| {
        let env = provider.build_env_local().expect("an env");
        embedding(&SpeakerEmbedding::forward(0, &env).expect("an embedding"))
    });
    // The same as of its second tone alone.
    fs::write(dir.path().join("a.wav"), wav(&sine(200.0, 16000, 1.0), 16000, 1)).expect("a file");
    let env = provider.build_env_local().expect("an env");
    let alone = embedding(&SpeakerEmbedding::forward(0, &env).expect("an embedding"));
    let far =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(far(&second, &alone) < 1e-5, "{}", far(&second, &alone));
    assert!(far(&second, &whole) > 1e-3, "{}", far(&second, &whole));

    // Other segments are other inputs.
    let before = InferenceProvider::inputs(&cut).expect("files");
    fs::write(&vad, r#"{"idx":0,"utt_id":"a","segments":[]}"#).expect("a file");
    assert_ne!(before, InferenceProvider::inputs(&cut).expect("files"));
}

#[test]
fn wrong_models_and_parameters() {
    let cases = [
        (json!({"model_sha256": "00"}), "is not the expected file: its sha256 is "),
        (json!({"model": file!()}), "not a safetensors file (Resemblyzer's"),
        (json!({"model": "no.safetensors"}), "failed to read `no.safetensors`"),
        (json!({"rate": 0.5}), "rate 0.5 with min_coverage 0.75"),
        (json!({"rate": 0}), "rate 0 with"),
        (json!({"rate": 1e9}), "rate 1000000000 with"),
        (json!({"min_coverage": 2}), "with min_coverage 2"),
        (json!({"vad": "no.jsonl"}), "failed to read `no.jsonl`"),
    ];
    for (more, expected) in cases {
        let (_dir, provider) = provider(&more);
        let error = InferenceProvider::validate(&provider).expect_err(expected);
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }
    let other = Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu).expect("a tensor");
    let other = fake::file([("linear.bias".to_owned(), other)]);
    let error = Ge2e::from_safetensors(&other).map(drop).expect_err("another model").to_string();
    assert!(error.starts_with("not a GE2E speaker encoder: no float weight"), "{error}");
}

#[test]
fn merge_writes_an_scp_that_leads_to_the_vectors() {
    let (dir, provider) = provider(&json!({}));
    let env = provider.build_env_local().expect("an env");
    let record = SpeakerEmbedding::forward(0, &env).expect("an embedding");
    let file = &record.files[0];
    fs::write(dir.path().join(&file.name), &file.bytes).expect("writes");
    let place = format!("{}:{}", file.name, file.skip);
    let line = Record::new(json!({"utt_id": "a", "embedding": place}));
    let section = json!({"manifest": "wav.scp", "model": "ge2e.safetensors"});
    merge_all::<SpeakerEmbedding>(&section, [line], dir.path()).expect("merges");
    let scp = fs::read_to_string(dir.path().join("embedding.scp")).expect("embedding.scp");
    let (path, offset) = scp
        .strip_prefix("a ")
        .and_then(|place| place.trim_end().rsplit_once(':'))
        .expect("`a PATH:OFFSET`");
    let mut ark = fs::File::open(path).expect("the archive");
    ark.seek(SeekFrom::Start(offset.parse().expect("a number"))).expect("seeks");
    let mut object = Vec::new();
    std::io::Read::read_to_end(&mut ark, &mut object).expect("reads");
    assert!(object.starts_with(b"\0BFV \x04\0\x01\0\0"));
}
