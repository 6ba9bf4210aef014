//! The parameters of the stage `asr`, and what they make.

use std::path::PathBuf;

use anyhow::Result;
use serde::Deserialize;

use super::choice::Model;
use super::recogniser::Recogniser;
use super::{device, whisper};
use crate::speech::Utterances;
use crate::stages::vad::speech::{self, Speech};
use crate::{InferenceProvider, Inputs};

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

impl InferenceProvider for AsrProvider {
    type Dataset = Utterances;
    type Model = Recognition;

    fn build_dataset(&self) -> Result<Utterances> {
        Utterances::read(&self.manifest, self.segments.as_deref(), self.channel)
    }

    fn build_model(&self) -> Result<Recognition> {
        let recogniser = self.model().load(|| device::open(self.device))?;
        Ok(Recognition { recogniser, speech: self.speech()?, tokens: self.tokens })
    }

    fn validate(&self) -> Result<()> {
        device::check(self.device)?;
        self.model().check()?;
        self.speech().map(drop)
    }

    fn inputs(&self) -> Result<Inputs> {
        let mut inputs = Inputs::default()
            .file("dict", self.dict.as_deref())?
            .file("lm", self.lm.as_deref())?
            .file("vad", self.vad.as_deref())?;
        for file in self.model().files()? {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            inputs = inputs.file(&format!("model/{name}"), file.as_path())?;
        }
        Ok(inputs)
    }
}
