//! The stage as a whole, on audio that tests make.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::EnvironmentProvider;
use crate::speech::audio::{Span, read};
use crate::speech::testing::{sine, wav, write};

/// A data directory of two utterances, a noise and a room, and the parameters of all of them.
fn provider(more: &Value) -> (TempDir, Result<AugmentProvider, serde_json::Error>) {
    let (dir, _) = write("one.wav", &wav(&sine(440.0, 16_000, 0.5), 16_000, 1));
    let file = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).expect("a file");
    file("two.wav", &wav(&sine(300.0, 16_000, 0.25), 16_000, 1));
    file("silent.wav", &wav(&[0; 4000], 16_000, 1));
    file("empty.wav", &wav(&[], 16_000, 1));
    file("noise.wav", &wav(&sine(3000.0, 16_000, 2.0), 16_000, 1));
    file("rir.wav", &wav(&[0, 0, 16_384, 0, 0, 8192], 16_000, 1));
    file("wav.scp", b"one one.wav\ntwo two.wav\nsilent silent.wav\nempty empty.wav\n");
    file("noise.scp", b"hum noise.wav\n");
    file("rir.scp", b"hall rir.wav\n");
    file("text", b"one YES\n");
    file("utt2spk", b"one speaker1\ntwo speaker2\n");
    let mut parameters = json!({"manifest": dir.path().join("wav.scp")});
    for (key, value) in more.as_object().expect("a mapping") {
        let scp = || dir.path().join(value.as_str().expect("a name")).to_string_lossy().into();
        parameters[key] = if key.ends_with("scp") { scp() } else { value.clone() };
    }
    (dir, serde_json::from_value(parameters))
}

fn env(more: &Value) -> (TempDir, Env<Augment>) {
    let (dir, provider) = provider(more);
    let provider = provider.expect("parameters");
    EnvironmentProvider::validate(&provider).expect("parameters");
    (dir, provider.build_env_local().expect("an env"))
}

/// What a record's file sounds like.
fn samples(record: &Record) -> Vec<f64> {
    let (_dir, path) = write("a", &record.files[0].bytes);
    let audio = read(&path, Span::default(), None, 16_000).expect("audio");
    audio.samples.into_iter().map(f64::from).collect()
}

#[test]
fn nothing_changes_at_full_speed() {
    let (dir, env) = env(&json!({"speed_perturb_factors": [1.0, 1.1]}));
    let record = Augment::forward(0, &env).expect("an item");
    assert_eq!(record.files[0].bytes, fs::read(dir.path().join("one.wav")).expect("reads"));
    assert_eq!(
        record.json(),
        r#"{"utt_id":"one","source":"one","speaker":"speaker1","text":"YES","duration":0.5,"speed":1.0,"gain":1.0}"#
    );
    let faster = Augment::forward(3, &env).expect("an item");
    assert_eq!(
        faster.json(),
        r#"{"utt_id":"sp1.1-two","source":"two","speaker":"sp1.1-speaker2","duration":0.22731250,"speed":1.1,"gain":1.0}"#
            .replace("0.22731250", "0.2273125")
    );
    assert_eq!((faster.files[0].name.as_str(), faster.files[0].whole), ("sp1.1-two.wav", true));
    let name = AugmentProvider::item_name(3, &env);
    assert_eq!(name.as_deref(), Some("sp1.1-two (two.wav)"));
}

#[test]
fn noise_of_the_drawn_ratio_and_choices_of_the_id_alone() {
    let more = json!({"noise_scp": "noise.scp", "noise_db_range": "0_20", "copies": 3});
    let (dir, env) = env(&more);
    let clean: Vec<f64> =
        sine(440.0, 16_000, 0.5).iter().map(|&s| f64::from(s) / 32768.0).collect();
    let mut ratios = Vec::new();
    for idx in 0..3 {
        let record = Augment::forward(idx, &env).expect("an item");
        let (snr, gain): (f64, f64) =
            (record.get("snr").expect("a ratio"), record.get("gain").expect("a gain"));
        let noise: Vec<f64> = samples(&record)
            .iter()
            .zip(&clean)
            .map(|(noisy, clean)| noisy / gain - clean)
            .collect();
        let power = |samples: &[f64]| samples.iter().map(|s| s * s).sum::<f64>();
        let found = 10.0 * (power(&clean) / power(&noise)).log10();
        // 16 bits are not all that there is between the numbers.
        assert!((found - snr).abs() < 0.01, "{found} dB, recorded {snr}");
        assert_eq!(record.get::<String>("utt_id").expect("an id"), format!("one-aug{}", idx + 1));
        assert_eq!(record.get::<String>("noise").expect("a noise"), "hum");
        ratios.push(snr);
    }
    assert!(ratios[0] != ratios[1] && ratios[1] != ratios[2], "{ratios:?}");

    // Another order, other neighbours and fewer copies: the same bytes.
    let before = Augment::forward(3, &env).expect("an item");
    fs::write(dir.path().join("wav.scp"), "new one.wav\ntwo two.wav\n").expect("a file");
    let mut provider = serde_json::Map::new();
    provider.extend(
        json!({"manifest": dir.path().join("wav.scp")}).as_object().cloned().expect("a mapping"),
    );
    provider.insert("noise_scp".into(), json!(dir.path().join("noise.scp")));
    provider.insert("noise_db_range".into(), json!("0_20"));
    let provider: AugmentProvider = serde_json::from_value(provider.into()).expect("parameters");
    let env = provider.build_env_local().expect("an env");
    assert!(Augment::forward(1, &env).expect("an item") == before);
}

#[test]
fn rooms_and_formats() {
    let more = json!({"rir_scp": "rir.scp", "format": "flac"});
    let (_dir, env) = env(&more);
    let record = Augment::forward(0, &env).expect("an item");
    assert_eq!(record.get::<String>("rir").expect("a room"), "hall");
    assert!(record.get::<f64>("snr").is_err());
    assert_eq!(record.files[0].name, "one-aug1.flac");
    let wet = samples(&record);
    assert_eq!(wet.len(), 8000);
    // Two samples late.
    assert!(wet[..2].iter().all(|sample| *sample == 0.0) && wet[3] > 0.01, "{:?}", &wet[..5]);
    assert!(record.files[0].bytes.len() < 8000);
}

#[test]
fn what_would_be_too_loud_is_scaled_and_says_so() {
    let (_dir, env) = env(&json!({"noise_scp": "noise.scp", "noise_db_range": -20}));
    let record = Augment::forward(0, &env).expect("an item");
    let gain: f64 = record.get("gain").expect("a gain");
    // Noise ten times as strong as speech of half the scale, and that beside it.
    assert!((0.17..0.20).contains(&gain), "{gain}");
    let loudest =
        samples(&record).into_iter().fold(0.0, |peak: f64, sample| peak.max(sample.abs()));
    assert!((0.999..1.0).contains(&loudest), "{loudest}");
}

#[test]
fn utterances_that_cannot_be_augmented() {
    let (_dir, env) = env(&json!({"noise_scp": "noise.scp", "rir_scp": "rir.scp"}));
    let error = |idx| format!("{:#}", Augment::forward(idx, &env).expect_err("no speech"));
    assert_eq!(error(2), "the utterance is digital silence; no noise has a ratio to that");
    assert_eq!(error(3), "the utterance has no samples");
    assert!(error(4).starts_with("no utterance 4"));
}

#[test]
fn parameters_that_cannot_work() {
    let cases = [
        (json!({}), "nothing to do: no `speed_perturb_factors`, `rir_scp` or `noise_scp`"),
        (json!({"copies": 0}), "copies 0: nothing would be made"),
        (
            json!({"speed_perturb_factors": 0.9, "copies": 2}),
            "copies 2 without `rir_scp` or `noise_scp`: they would be equal",
        ),
        (json!({"noise_scp": "noise.scp", "copies": 100_000}), "copies 100000: at most 10000"),
        (
            json!({"noise_scp": "noise.scp", "noise_apply_prob": 30}),
            "noise_apply_prob 30: a probability is from 0 to 1",
        ),
        (json!({"rir_scp": "no.scp"}), "no.scp`: No such file or directory (os error 2)"),
    ];
    for (more, expected) in cases {
        let (_dir, provider) = provider(&more);
        let provider = provider.expect("parameters");
        let error = EnvironmentProvider::validate(&provider).expect_err(expected);
        assert!(format!("{error:#}").ends_with(expected), "{error:#}");
    }
    let (_dir, provider) = provider(&json!({"noise_db_range": "loud"}));
    assert_eq!(provider.expect_err("no range").to_string(), "`loud` is no number");
}

#[test]
fn inputs_are_lists_tables_and_sizes() {
    let more = json!({"noise_scp": "noise.scp", "rir_scp": "rir.scp"});
    let (dir, provider) = provider(&more);
    let provider = provider.expect("parameters");
    let before = provider.items().expect("files").inputs;
    let value = before.value();
    let keys: Vec<_> = value.as_object().expect("a mapping").keys().collect();
    assert_eq!(keys, ["manifest", "noise_scp", "rir_scp", "text", "utt2spk"]);
    for file in ["text", "noise.wav", "rir.scp"] {
        let path = dir.path().join(file);
        let bytes = fs::read(&path).expect("reads");
        fs::write(&path, [&bytes, &b"x rir.wav\n"[..]].concat()).expect("writes");
        assert_ne!(provider.items().expect("files").inputs, before, "{file}");
        // Tables are read by each worker; lists are not summed up again.
        let env = provider.build_env_local().expect("an env");
        assert_eq!(AugmentProvider::inputs_of(&env).check(&value).is_err(), file == "text");
        fs::write(&path, bytes).expect("writes");
        assert_eq!(provider.items().expect("files").inputs, before, "{file}");
    }
}

#[test]
fn what_was_augmented_can_be_augmented_again() {
    let (dir, _) = provider(&json!({}));
    fs::write(dir.path().join("utt2uniq"), "one original\n").expect("a file");
    let section = json!({"manifest": dir.path().join("wav.scp"), "speed_perturb_factors": "0.9"});
    let provider: AugmentProvider = serde_json::from_value(section).expect("parameters");
    let env = provider.build_env_local().expect("an env");
    let source = |idx| {
        let record = Augment::forward(idx, &env).expect("an item");
        record.get::<String>("source").expect("a source")
    };
    assert_eq!([source(0), source(1)], ["original", "two"]);
}
