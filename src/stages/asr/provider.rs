//! The parameters of the stage `asr`, and what they make.

use std::path::PathBuf;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::choice::Model;
use super::recogniser::Recogniser;
use super::speech::{self, Speech};
use super::{device, whisper};
use crate::checksum::sha256;
use crate::speech::{Source, Utterances};
use crate::{Dataset, EnvironmentProvider, InferenceEnv};

/// The parameters of `asr`, the section of that name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsrProvider {
    /// `wav.scp`, `*.tsv` or `*.jsonl`.
    pub manifest: PathBuf,
    /// A Kaldi `segments` file; for a `wav.scp` the one beside it, if any.
    pub segments: Option<PathBuf>,
    /// The channel to take, counted from 0; without it the mean of all channels.
    pub channel: Option<usize>,
    /// The folder of a Whisper checkpoint, as Hugging Face lays it out.
    pub model: PathBuf,
    /// Where to compute.
    #[serde(default)]
    pub device: device::Wanted,
    /// What is spoken, in Whisper's codes; for checkpoints that know many languages.
    pub language: Option<String>,
    /// `transcribe` or `translate`; for checkpoints that know many languages.
    pub task: Option<String>,
    /// The pronunciations that a CMU Sphinx model is to know.
    pub dict: Option<PathBuf>,
    /// The language model of a CMU Sphinx model, in ARPA's format.
    pub lm: Option<PathBuf>,
    /// The `results.jsonl` of a run of `vad`: long audio is cut where nobody speaks.
    pub vad: Option<PathBuf>,
    /// Records get `tokens`, where the recogniser has any.
    #[serde(default)]
    pub tokens: bool,
}

/// The recogniser, and how its audio is cut.
pub struct Recognition {
    pub(super) recogniser: Box<dyn Recogniser>,
    /// Where people speak, if the config says.
    pub(super) speech: Option<Speech>,
    /// Whether records get tokens.
    pub(super) tokens: bool,
}

impl AsrProvider {
    fn source(&self, sample_rate: u32) -> Source<'_> {
        Source {
            manifest: &self.manifest,
            segments: self.segments.as_deref(),
            channel: self.channel,
            sample_rate,
        }
    }

    /// The utterances, where only their number and lengths matter.
    fn utterances(&self) -> Result<Utterances> {
        self.source(1).utterances()
    }

    fn model(&self) -> Model<'_> {
        Model {
            folder: &self.model,
            wanted: whisper::Wanted {
                language: self.language.as_deref(),
                task: self.task.as_deref(),
            },
            dict: self.dict.as_deref(),
            lm: self.lm.as_deref(),
        }
    }

    fn speech(&self) -> Result<Option<Speech>> {
        self.vad.as_deref().map(speech::read).transpose()
    }
}

impl EnvironmentProvider for AsrProvider {
    type Env = InferenceEnv<Utterances, Recognition>;

    fn num_items(&self) -> Result<u64> {
        Ok(self.utterances()?.len())
    }

    fn costs(&self) -> Result<Option<Vec<f64>>> {
        Ok(self.utterances()?.costs())
    }

    fn validate(&self) -> Result<()> {
        device::check(self.device)?;
        self.model().check()?;
        self.speech().map(drop)
    }

    fn inputs(&self) -> Result<Value> {
        let mut inputs = self.source(1).inputs()?;
        for file in self.model().files()? {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            inputs["model"][name] = sha256(&file)?.into();
        }
        for (name, file) in [("dict", &self.dict), ("lm", &self.lm), ("vad", &self.vad)] {
            if let Some(file) = file {
                inputs[name] = sha256(file)?.into();
            }
        }
        Ok(inputs)
    }

    fn build_env_local(&self) -> Result<Self::Env> {
        let recogniser = self.model().load(|| device::open(self.device))?;
        // The model says which rate it takes.
        let dataset = self.source(recogniser.sample_rate()).utterances()?;
        let model = Recognition { recogniser, speech: self.speech()?, tokens: self.tokens };
        Ok(InferenceEnv { dataset, model })
    }
}
