//! The stage `speaker_embedding`: who speaks, as a vector, by the GE2E speaker encoder of Resemblyzer
//! (<https://github.com/resemble-ai/Resemblyzer>).

#[cfg(test)]
mod fake;
mod front_end;
mod ge2e;
mod speech;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::arrays::{Format, scp_line};
use super::vad::speech::{self as vad_speech, Speech};
use crate::checksum;
use crate::collect::write_own;
use crate::speech::Utterances;
use crate::{CompleteRun, Env, InferenceProvider, Inputs, Record, Runner};
use front_end::{MelSpectrogram, PARTIAL, SAMPLE_RATE, normalize_volume, partials};
use ge2e::{DIM, Ge2e};

/// The parameters of `speaker_embedding`, the section of that name. `rate` and `min_coverage` are
/// those of Resemblyzer's `embed_utterance`, with its defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeakerEmbeddingProvider {
    /// `wav.scp`, `*.tsv` or `*.jsonl`.
    pub manifest: PathBuf,
    /// A Kaldi `segments` file; for a `wav.scp` the one beside it, if any.
    pub segments: Option<PathBuf>,
    /// The channel to take, counted from 0; without it the mean of all channels.
    pub channel: Option<usize>,
    /// The weights as safetensors, with PyTorch's names.
    pub model: PathBuf,
    /// The SHA-256 that the model must have.
    pub model_sha256: Option<String>,
    /// `results.jsonl` of the stage `vad`: of each utterance only the speech is taken.
    pub vad: Option<PathBuf>,
    /// Partial utterances per second; each has 1.6 s.
    #[serde(default = "default::rate")]
    pub rate: f64,
    /// The last partial utterance is left out if the audio fills less of it.
    #[serde(default = "default::min_coverage")]
    pub min_coverage: f64,
    /// The kind of file.
    #[serde(default)]
    pub format: Format,
}

mod default {
    pub(super) fn rate() -> f64 {
        1.3
    }
    pub(super) fn min_coverage() -> f64 {
        0.75
    }
}

/// The network, and what is done to audio before.
pub struct Model {
    mel: MelSpectrogram,
    ge2e: Ge2e,
    speech: Option<Speech>,
    step: usize,
    min_coverage: f64,
    format: Format,
}

impl InferenceProvider for SpeakerEmbeddingProvider {
    type Dataset = Utterances;
    type Model = Model;

    fn build_dataset(&self) -> Result<Utterances> {
        Utterances::read_for_scp(&self.manifest, self.segments.as_deref(), self.channel)
    }

    fn build_model(&self) -> Result<Model> {
        let (rate, min_coverage) = (self.rate, self.min_coverage);
        let step = front_end::step(rate);
        if !(1..=PARTIAL).contains(&step) || !(0.0..=1.0).contains(&min_coverage) {
            bail!("rate {rate} with min_coverage {min_coverage}: 0.625 to 100, and 0 to 1");
        }
        let path = self.model.display();
        let bytes = fs::read(&self.model).with_context(|| format!("failed to read `{path}`"))?;
        if let Some(expected) = &self.model_sha256 {
            checksum::verify(&self.model, &bytes, expected)?;
        }
        let ge2e =
            Ge2e::from_safetensors(&bytes).with_context(|| format!("failed to load `{path}`"))?;
        let speech = self.vad.as_deref().map(vad_speech::read).transpose()?;
        let mel = MelSpectrogram::new();
        Ok(Model { mel, ge2e, speech, step, min_coverage, format: self.format })
    }

    fn validate(&self) -> Result<()> {
        self.build_model().map(drop)
    }

    fn inputs(&self) -> Result<Inputs> {
        Inputs::default().file("model", self.model.as_path())?.file("vad", self.vad.as_deref())
    }
}

/// The runner of `speaker_embedding`: `embedding`, 256 values whose squares add up to one. The more
/// alike two voices are, the larger is the sum of the products of two embeddings.
///
/// ```
/// use espnet3_par::stages::STAGES;
/// use espnet3_par::Config;
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("train.yaml");
/// std::fs::write(&file, "
/// stage: speaker_embedding
/// output_dir: exp/speaker_embedding
/// speaker_embedding:
///   manifest: data/wav.scp
///   model: ge2e.safetensors
///   vad: exp/vad/results.jsonl # only what that stage took for speech
///   format: npy
/// ")?;
/// let config = Config::from_files(&[file], STAGES)?;
/// assert_eq!(config.params["format"], "npy");
/// # Ok::<(), anyhow::Error>(())
/// ```
pub struct SpeakerEmbedding;

#[derive(Serialize)]
struct Item<'a> {
    utt_id: &'a str,
    duration: f64,
    dim: usize,
}

impl Runner for SpeakerEmbedding {
    type Provider = SpeakerEmbeddingProvider;

    fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
        let utt_id = &env.dataset.get(idx)?.id;
        let audio = env.dataset.audio(idx, SAMPLE_RATE)?;
        let duration = audio.duration();
        let model = &env.model;
        let mut samples = audio.samples;
        if !normalize_volume(&mut samples) {
            bail!("{duration} s of silence have no speaker");
        }
        if let Some(speech) = &model.speech {
            samples = speech::of(speech, utt_id, &samples)?;
        }
        let starts = partials(samples.len(), model.step, model.min_coverage);
        let frames = starts[starts.len() - 1] + PARTIAL;
        let embedding = model.ge2e.embed(&model.mel.compute(&samples, frames), &starts)?;
        let record = Record::new(Item { utt_id, duration, dim: DIM })?;
        Ok(model.format.vector(record, "embedding", utt_id, &embedding))
    }

    /// Writes `embedding.scp`, as Kaldi has it of x-vectors.
    fn merge(run: CompleteRun<'_, Self::Provider>) -> Result<()> {
        write_own(&run.output_dir.join("embedding.scp"), |scp| {
            for record in run.records {
                scp_line(scp, &record?, "embedding", run.output_dir)?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
