//! The stage `vad`: where people speak, by Silero VAD (<https://github.com/snakers4/silero-vad>).

#[cfg(test)]
mod fake;
mod onnx;
mod silero;
pub(super) mod speech;
mod timestamps;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::checksum;
use crate::speech::Utterances;
use crate::{Env, InferenceProvider, Inputs, Record, Runner};
use silero::{SAMPLE_RATE, Silero};
use timestamps::{Options, speech_timestamps};

/// The parameters of `vad`, the section of that name. The thresholds and durations are those of
/// Silero's `get_speech_timestamps`, with its defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VadProvider {
    /// `wav.scp`, `*.tsv` or `*.jsonl`.
    pub manifest: PathBuf,
    /// A Kaldi `segments` file; for a `wav.scp` the one beside it, if any.
    pub segments: Option<PathBuf>,
    /// The channel to take, counted from 0; without it the mean of all channels.
    pub channel: Option<usize>,
    /// `silero_vad.onnx`, as Silero ships it.
    pub model: PathBuf,
    /// The SHA-256 that the model must have.
    pub model_sha256: Option<String>,
    /// Speech starts at this probability.
    #[serde(default = "default::threshold")]
    pub threshold: f64,
    /// Speech ends below this probability; by default 0.15 less than `threshold`.
    pub neg_threshold: Option<f64>,
    /// Shorter speech is dropped.
    #[serde(default = "default::min_speech_duration_ms")]
    pub min_speech_duration_ms: u32,
    /// Longer speech is cut at its longest pause.
    pub max_speech_duration_s: Option<f64>,
    /// Shorter pauses do not end speech.
    #[serde(default = "default::min_silence_duration_ms")]
    pub min_silence_duration_ms: u32,
    /// Added at both ends.
    #[serde(default = "default::speech_pad_ms")]
    pub speech_pad_ms: u32,
    /// Records get `probs`, the speech probability of every window of 32 ms.
    #[serde(default)]
    pub probabilities: bool,
}

mod default {
    pub(super) fn threshold() -> f64 {
        0.5
    }
    pub(super) fn min_speech_duration_ms() -> u32 {
        250
    }
    pub(super) fn min_silence_duration_ms() -> u32 {
        100
    }
    pub(super) fn speech_pad_ms() -> u32 {
        30
    }
}

impl VadProvider {
    fn options(&self) -> Result<Options> {
        let threshold = self.threshold;
        let neg_threshold = self.neg_threshold.unwrap_or((threshold - 0.15).max(0.01));
        if !(0.0..=1.0).contains(&threshold) || neg_threshold > threshold {
            bail!(
                "threshold {threshold} with neg_threshold {neg_threshold}: probabilities, the second not \
                 above the first"
            );
        }
        Ok(Options {
            threshold,
            neg_threshold,
            min_speech_duration_ms: self.min_speech_duration_ms,
            max_speech_duration_s: self.max_speech_duration_s,
            min_silence_duration_ms: self.min_silence_duration_ms,
            speech_pad_ms: self.speech_pad_ms,
        })
    }
}

/// The network, and how its probabilities become segments.
pub struct Model {
    silero: Silero,
    options: Options,
    probabilities: bool,
}

impl InferenceProvider for VadProvider {
    type Dataset = Utterances;
    type Model = Model;

    fn build_dataset(&self) -> Result<Utterances> {
        Utterances::read(&self.manifest, self.segments.as_deref(), self.channel)
    }

    fn build_model(&self) -> Result<Model> {
        let path = self.model.display();
        let bytes = fs::read(&self.model).with_context(|| format!("failed to read `{path}`"))?;
        if let Some(expected) = &self.model_sha256 {
            checksum::verify(&self.model, &bytes, expected)?;
        }
        let silero =
            Silero::from_onnx(&bytes).with_context(|| format!("failed to load `{path}`"))?;
        Ok(Model { silero, options: self.options()?, probabilities: self.probabilities })
    }

    fn validate(&self) -> Result<()> {
        self.build_model().map(drop)
    }

    fn inputs(&self) -> Result<Inputs> {
        Inputs::default().file("model", self.model.as_path())
    }
}

/// The runner of `vad`: `segments`, the `[start, end]` of each piece of speech in seconds.
///
/// A program that has it under another name, beside stages of its own:
///
/// ```
/// use espnet3_par::stages::Vad;
/// use espnet3_par::{Config, Stage};
///
/// static STAGES: &[Stage] = &[Stage::new::<Vad>("speech", "where people speak")];
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("train.yaml");
/// std::fs::write(&file, "
/// stage: speech
/// output_dir: exp/speech
/// speech:
///   manifest: data/wav.scp
///   model: silero_vad.onnx
///   threshold: 0.6               # probability of speech
///   min_silence_duration_ms: 200 # shorter pauses do not end speech
/// ")?;
/// let config = Config::from_files(&[file], STAGES)?;
/// assert_eq!(config.params["threshold"], 0.6);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub struct Vad;

#[derive(Serialize)]
struct Item<'a> {
    utt_id: &'a str,
    duration: f64,
    segments: Vec<(f64, f64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probs: Option<Vec<f64>>,
}

impl Runner for Vad {
    type Provider = VadProvider;

    fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
        let utt_id = &env.dataset.get(idx)?.id;
        let audio = env.dataset.audio(idx, SAMPLE_RATE)?;
        let Model { silero, options, probabilities } = &env.model;
        let probs = silero.probabilities(&audio.samples)?;
        let seconds = |samples: u64| samples as f64 / f64::from(SAMPLE_RATE);
        let segments = speech_timestamps(&probs, audio.samples.len() as u64, options)
            .iter()
            .map(|segment| (seconds(segment.start), seconds(segment.end)))
            .collect();
        // Six digits: finer than two implementations agree, and half as long as all of them.
        let rounded = |p: f32| (f64::from(p) * 1e6).round() / 1e6;
        let probs = probabilities.then(|| probs.iter().copied().map(rounded).collect());
        Record::new(Item { utt_id, duration: audio.duration(), segments, probs })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::EnvironmentProvider;
    use crate::speech::testing::{sine, wav, write};

    fn provider(more: &Value) -> (Vec<tempfile::TempDir>, Result<VadProvider, serde_json::Error>) {
        let (audio_dir, _) = write("a.wav", &wav(&sine(440.0, 16000, 1.0), 16000, 1));
        let folder = audio_dir.path();
        fs::write(folder.join("empty.wav"), wav(&[], 16000, 1)).expect("a file");
        fs::write(folder.join("short.wav"), wav(&[1, 2, 3], 16000, 1)).expect("a file");
        let manifest = folder.join("wav.scp");
        fs::write(&manifest, "utt1 a.wav\nutt2 empty.wav\nutt3 short.wav\nutt4 no.wav\n")
            .expect("a file");
        let (model_dir, model) = write("fake.onnx", &fake::silero());
        let mut parameters = json!({"manifest": manifest, "model": model});
        for (key, value) in more.as_object().expect("a mapping") {
            parameters[key] = value.clone();
        }
        (vec![audio_dir, model_dir], serde_json::from_value(parameters))
    }

    #[test]
    fn records_of_any_length_of_audio() {
        let (_dirs, provider) = provider(&json!({"probabilities": true}));
        let provider = provider.expect("parameters");
        assert_eq!(provider.items().expect("four lines").len, 4);
        let env = provider.build_env_local().expect("a manifest and a model");
        for (idx, duration, windows) in [(0, 1.0, 32), (1, 0.0, 0), (2, 3.0 / 16000.0, 1)] {
            let record = Vad::forward(idx, &env).expect("audio");
            assert_eq!(record.get::<f64>("duration").expect("a duration"), duration);
            assert_eq!(record.get::<Vec<f32>>("probs").expect("probabilities").len(), windows);
        }
        let name = VadProvider::item_name(3, &env);
        assert_eq!(name.as_deref(), Some("utt4 (no.wav)"));
        let error = Vad::forward(3, &env).expect_err("no such file");
        assert!(format!("{error:#}").starts_with("failed to read audio `no.wav`: No such file"));
        assert!(Vad::forward(4, &env).is_err());
    }

    #[test]
    fn an_utterance_id_is_any_text() {
        let (dirs, provider) = provider(&json!({}));
        let ids = ["a b", "a\nb", "../x", "-rf", "%s", "\u{202e}x", "a\0b", ""];
        let line = |id| format!("{}\n", json!({"utt_id": id, "path": "a.wav"}));
        let manifest = dirs[0].path().join("ids.jsonl");
        fs::write(&manifest, ids.map(line).concat()).expect("a file");
        let provider = VadProvider { manifest, ..provider.expect("parameters") };
        let env = provider.build_env_local().expect("an env");
        for (idx, id) in (0..).zip(ids) {
            let record = Vad::forward(idx, &env).expect("audio");
            assert_eq!(record.get::<String>("utt_id").expect("an id"), id);
        }
    }

    #[test]
    fn probabilities_only_when_asked_for() {
        let (_dirs, provider) = provider(&json!({}));
        let env = provider.expect("parameters").build_env_local().expect("an env");
        assert!(Vad::forward(0, &env).expect("audio").get::<Value>("probs").is_err());
    }

    #[test]
    fn inputs_follow_the_files() {
        let (dirs, provider) = provider(&json!({}));
        let provider = provider.expect("parameters");
        let before = provider.items().expect("files").inputs.value();
        assert_eq!(before["model"], checksum::sha256_bytes(&fake::silero()));
        fs::write(dirs[0].path().join("wav.scp"), "utt1 a.wav\n").expect("a file");
        let after = provider.items().expect("files").inputs.value();
        assert_ne!(before["manifest"], after["manifest"]);
    }

    #[test]
    fn wrong_models_and_parameters() {
        let cases = [
            (json!({"model_sha256": "00"}), "is not the expected file: its sha256 is "),
            (json!({"model": file!()}), "not an ONNX model"),
            (json!({"model": "no.onnx"}), "failed to read `no.onnx`"),
            (json!({"neg_threshold": 0.9}), "threshold 0.5 with neg_threshold 0.9"),
        ];
        for (more, expected) in cases {
            let (_dirs, provider) = provider(&more);
            let error =
                provider.expect("parameters").build_model().map(|_| ()).expect_err(expected);
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
        let (_dirs, provider) = provider(&json!({"treshold": 0.4}));
        let error = provider.expect_err("an unknown key").to_string();
        assert!(error.starts_with("unknown field `treshold`"), "{error}");
    }
}
