//! A checkpoint of Whisper's layout, with weights that are only numbers.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor, safetensors};
use serde_json::{Value, json};
use tempfile::TempDir;

const SIZE: usize = 8;
const BINS: usize = 80;
/// As many as Whisper's, for 30 s.
const POSITIONS: usize = 1500;
const LONGEST: usize = 16;

/// After 26 letters.
const SPECIAL: [&str; 7] =
    ["endoftext", "startoftranscript", "notimestamps", "en", "de", "transcribe", "translate"];
const VOCABULARY: usize = 26 + SPECIAL.len();

/// Writes one; the letter `a` never comes, and `b` is not the first.
pub(in crate::stages::asr) fn checkpoint(multilingual: bool) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, value: Value| {
        fs::write(folder.path().join(name), value.to_string()).expect("a file");
    };
    write(
        "config.json",
        json!({
            "model_type": "whisper", "d_model": SIZE, "vocab_size": VOCABULARY, "num_mel_bins": BINS,
            "max_source_positions": POSITIONS, "max_target_positions": LONGEST,
            "encoder_layers": 1, "encoder_attention_heads": 2,
            "decoder_layers": 2, "decoder_attention_heads": 2,
            "suppress_tokens": [1, 2, 3], "begin_suppress_tokens": null,
        }),
    );
    write(
        "generation_config.json",
        json!({
            "suppress_tokens": [0], "begin_suppress_tokens": [1], "is_multilingual": multilingual,
        }),
    );
    write("tokenizer.json", tokenizer());
    weights(&folder.path().join("model.safetensors"));
    folder
}

fn tokenizer() -> Value {
    let added = SPECIAL.iter().zip(26..).map(|(name, id)| {
        json!({
            "id": id, "content": format!("<|{name}|>"), "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false,
        })
    });
    // A space is `Ġ` among GPT-2's bytes.
    let letters = ('a'..='z').zip(0..).map(|(letter, id)| (format!("Ġ{letter}"), json!(id)));
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": added.collect::<Vec<_>>(), "pre_tokenizer": bytes, "decoder": bytes,
        "post_processor": null,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "vocab": letters.collect::<serde_json::Map<_, _>>(), "merges": [],
        },
    })
}

fn weights(path: &Path) {
    let mut tensors = HashMap::new();
    let mut seed: u32 = 1;
    let mut tensor = |name: String, shape: &[usize]| {
        let number = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = (seed >> 8) as f32 / 2.0_f32.powi(23) - 1.0;
            // So that the audio counts, and not only what all audio has in common.
            match name.rsplit_once("layer_norm.") {
                Some((_, "weight")) => 1.0 + 0.1 * number,
                Some(_) => 0.1 * number,
                None => 2.0 * number,
            }
        };
        let values: Vec<f32> =
            std::iter::repeat_with(number).take(shape.iter().product()).collect();
        tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu).expect("a tensor"));
    };
    let mut both = |name: &str, shape: &[usize]| {
        tensor(format!("model.{name}.weight"), shape);
        if !name.ends_with("k_proj") && !name.contains("embed") {
            tensor(format!("model.{name}.bias"), &shape[..1]);
        }
    };
    both("encoder.conv1", &[SIZE, BINS, 3]);
    both("encoder.conv2", &[SIZE, SIZE, 3]);
    both("encoder.embed_positions", &[POSITIONS, SIZE]);
    both("decoder.embed_positions", &[LONGEST, SIZE]);
    both("decoder.embed_tokens", &[VOCABULARY, SIZE]);
    both("encoder.layer_norm", &[SIZE]);
    both("decoder.layer_norm", &[SIZE]);
    for (layer, attentions) in [
        ("encoder.layers.0", &["self_attn"][..]),
        ("decoder.layers.0", &["self_attn", "encoder_attn"]),
        ("decoder.layers.1", &["self_attn", "encoder_attn"]),
    ] {
        for attention in attentions {
            for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                both(&format!("{layer}.{attention}.{projection}"), &[SIZE, SIZE]);
            }
            both(&format!("{layer}.{attention}_layer_norm"), &[SIZE]);
        }
        both(&format!("{layer}.fc1"), &[4 * SIZE, SIZE]);
        both(&format!("{layer}.fc2"), &[SIZE, 4 * SIZE]);
        both(&format!("{layer}.final_layer_norm"), &[SIZE]);
    }
    safetensors::save(&tensors, path).expect("a file");
}
