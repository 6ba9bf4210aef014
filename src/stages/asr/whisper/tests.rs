//! Whisper with weights that are only numbers: what must hold whatever they are.

use std::fs;

use super::*;

/// Noise, other for other seeds.
fn noise(mut seed: u32, length: usize) -> Vec<f32> {
    let number = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / 2.0_f32.powi(23) - 1.0
    };
    std::iter::repeat_with(number).take(length).collect()
}

fn whisper() -> Whisper {
    let folder = fake::checkpoint(false);
    Whisper::load(folder.path(), Wanted::default(), Device::Cpu).expect("a checkpoint")
}

#[test]
fn pieces_together_are_as_each_alone() {
    let whisper = whisper();
    let pieces = [noise(1, 16_000), noise(2, 480_000), Vec::new(), noise(3, 100_000)];
    let pieces: Vec<&[f32]> = pieces.iter().map(Vec::as_slice).collect();
    // As on a GPU.
    let together = whisper.transcribe(&pieces).expect("hypotheses");
    let alone = whisper.recognise(&pieces).expect("hypotheses");
    assert_eq!((together.len(), alone.len()), (4, 4));
    for (alone, found) in alone.iter().zip(&together) {
        assert_eq!((&alone.text, &alone.tokens), (&found.text, &found.tokens));
        assert!((alone.score - found.score).abs() < 1e-3, "{alone:?}, {found:?}");
        assert!(alone.score.is_finite() && alone.score < 0.0);
    }
    let different = together.iter().any(|other| other.tokens != together[0].tokens);
    assert!(different, "a test that says nothing: {together:?}");
    assert_eq!(whisper.recognise(&[]).expect("nothing"), []);
}

#[test]
fn suppressed_tokens_do_not_come() {
    let mut whisper = whisper();
    let noise = noise(1, 16_000);
    let tokens = |whisper: &Whisper| {
        let found = whisper.recognise(&[&noise]).expect("a hypothesis");
        found[0].tokens.clone().expect("tokens")
    };
    let before = tokens(&whisper);
    assert!(!before.is_empty() && before.len() <= 8, "{before:?}");
    assert!(!before.contains(&0) && before[0] != 1, "{before:?}");
    whisper.rules.mask_first[before[0] as usize] = f32::NEG_INFINITY;
    assert_ne!(tokens(&whisper).first(), Some(&before[0]));
}

#[test]
fn the_decoder_keeps_what_tokens_were() {
    let whisper = whisper();
    let mel = whisper.log_mel.compute(&noise(1, 50_000), whisper.frames);
    let mel = Tensor::from_vec(mel, (1, (), whisper.frames), &Device::Cpu).expect("a tensor");
    let encoded = whisper.encoder.forward(&mel).expect("positions");
    let logits = |parts: &[&[u32]]| {
        let mut state = whisper.decoder.start(&encoded).expect("a state");
        let mut logits = Vec::new();
        for part in parts {
            let tokens = Tensor::new(*part, &Device::Cpu).expect("tokens");
            let tokens = tokens.unsqueeze(0).expect("one piece");
            let last = whisper.decoder.forward(&tokens, &mut state).expect("logits");
            logits = last.to_vec2::<f32>().expect("a row").remove(0);
        }
        logits
    };
    let at_once = logits(&[&[27, 28, 5, 9, 7]]);
    for parts in [&[&[27, 28][..], &[5], &[9], &[7]][..], &[&[27, 28], &[5, 9, 7]]] {
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
        let found = logits(parts);
        assert!(at_once.iter().zip(&found).all(near), "{at_once:?}, {found:?}");
    }
    // And it does look at them.
    assert_ne!(at_once, logits(&[&[27, 28, 5, 8, 7]]));
}

#[test]
fn audio_that_is_too_long_is_an_error() {
    let error = whisper().recognise(&[&vec![0.0; 480_001]]).expect_err("too long").to_string();
    assert_eq!(error, "480001 samples at once, of at most 480000");
}

#[test]
fn many_languages_must_be_told_apart() {
    let folder = fake::checkpoint(true);
    let load = |language, task| {
        let wanted = Wanted { language, task };
        // The cheap look and loading find the same.
        let checked = check(folder.path(), wanted);
        let loaded = Whisper::load(folder.path(), wanted, Device::Cpu);
        assert_eq!(checked.is_ok(), loaded.is_ok());
        checked.and(loaded)
    };
    let german = load(Some("de"), Some("translate")).expect("German");
    assert_eq!(german.rules.prompt, [27, 30, 32, 28]);
    assert_eq!(load(Some("en"), None).expect("English").rules.prompt, [27, 29, 31, 28]);
    let cases = [
        (None, None, "this checkpoint knows many languages"),
        (Some("fr"), None, "has no token `<|fr|>`"),
        (Some("en"), Some("sing"), "`task: sing`: it is `transcribe` or `translate`"),
    ];
    for (language, task, expected) in cases {
        let error = load(language, task).map(drop).expect_err(expected);
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }
    let english = fake::checkpoint(false);
    for (language, task) in [(Some("de"), None), (Some("en"), Some("translate"))] {
        let error = check(english.path(), Wanted { language, task }).expect_err("English only");
        let error = format!("{error:#}");
        assert!(error.ends_with(": this checkpoint only transcribes, and only English"), "{error}");
    }
    check(english.path(), Wanted { language: Some("en"), task: None }).expect("English");
}

#[test]
fn broken_checkpoints_say_what_is_wrong() {
    let config = "config.json";
    let weights = "model.safetensors";
    type Break = fn(Vec<u8>) -> Option<Vec<u8>>;
    let cut: Break = |bytes| Some(bytes[..bytes.len() - 1].to_vec());
    let pointer: Break = |_| Some(b"version https://git-lfs.github.com/spec/v1\n".to_vec());
    let huge: Break = |_| {
        let tensor = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}"#;
        let header = format!("{{\"a\":{tensor}}}");
        Some([&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat())
    };
    let renamed: Break = |bytes| Some(replace(&bytes, "conv1.weight", "conv9.weight"));
    let narrower: Break =
        |bytes| Some(replace(&bytes, "\"num_mel_bins\":80", "\"num_mel_bins\":64"));
    let other: Break = |bytes| Some(replace(&bytes, "\"whisper\"", "\"wav2vec2\""));
    let headless: Break = |bytes| {
        let zero = "\"decoder_attention_heads\":0";
        Some(replace(&bytes, "\"decoder_attention_heads\":2", zero))
    };
    let shorter: Break = |bytes| Some(replace(&bytes, "\"d_model\":8,", ""));
    let cases: [(&str, Break, &str); 11] = [
        (config, |_| None, "failed to read `"),
        (config, other, "is of a model of type `wav2vec2`; only `whisper` is known"),
        (config, headless, "`d_model` of 8 with 0 attention heads"),
        (config, shorter, "missing field `d_model`"),
        (config, narrower, "has the shape [8, 80, 3], and `config.json` says [8, 64, 3]"),
        (weights, |_| None, "failed to read `"),
        (weights, huge, "is it a part of the file?"),
        (weights, cut, "is it a part of the file?"),
        (weights, pointer, "is no safetensors"),
        (weights, renamed, "has no tensor `model.encoder.conv1.weight`"),
        ("tokenizer.json", |_| None, "no `"),
    ];
    for (name, change, expected) in cases {
        let folder = fake::checkpoint(false);
        check(folder.path(), Wanted::default()).expect("a good checkpoint");
        let path = folder.path().join(name);
        match change(fs::read(&path).expect("a file")) {
            Some(bytes) => fs::write(&path, bytes).expect("a file"),
            None => fs::remove_file(&path).expect("a file"),
        }
        let error = check(folder.path(), Wanted::default()).expect_err(expected);
        let error = format!("{error:#}");
        assert!(error.contains(expected), "{name}: {error}");
        assert!(error.contains(name), "the file is not named: {error}");
    }
}

fn replace(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = bytes.windows(from.len()).position(|window| window == from.as_bytes());
    let at = text.expect("it is there");
    [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
}

#[test]
fn what_ctranslate2_has_made_is_told_apart() {
    let folder = fake::checkpoint(false);
    let [ours, theirs] = ["model.safetensors", "model.bin"].map(|name| folder.path().join(name));
    fs::rename(ours, theirs).expect("a file");
    fs::write(folder.path().join("config.json"), "{\"lang_ids\": []}").expect("a file");
    let error = check(folder.path(), Wanted::default()).expect_err("no safetensors").to_string();
    assert!(error.contains("`local/whisper_from_ct2.py` in recipes/mini_an4"), "{error}");
}

#[test]
fn what_is_missing_deep_in_the_weights_is_named_when_they_are_loaded() {
    let folder = fake::checkpoint(false);
    let path = folder.path().join("model.safetensors");
    let bytes = fs::read(&path).expect("a file");
    fs::write(&path, replace(&bytes, "layers.1.fc1.bias", "layers.1.fc9.bias")).expect("a file");
    check(folder.path(), Wanted::default()).expect("all that is looked at");
    let loaded = Whisper::load(folder.path(), Wanted::default(), Device::Cpu);
    let error = format!("{:#}", loaded.map(drop).expect_err("no such tensor"));
    assert!(error.contains("model.decoder.layers.1.fc1.bias"), "{error}");

    fs::write(folder.path().join("tokenizer.json"), "{}").expect("a file");
    let loaded = Whisper::load(folder.path(), Wanted::default(), Device::Cpu);
    let error = format!("{:#}", loaded.map(drop).expect_err("no tokenizer"));
    assert!(error.contains("tokenizer.json"), "{error}");
}
