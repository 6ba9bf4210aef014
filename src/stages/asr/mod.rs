//! The stage `asr`: what is said, by a recogniser that the model's folder chooses.

mod choice;
mod cut;
mod device;
mod recogniser;
mod speech;
mod sphinx;
mod transcript;
mod whisper;

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::checksum::sha256;
use crate::collect::write_own;
use crate::speech::{Audio, Source, Utterances};
use crate::{Dataset, Env, EnvironmentProvider, InferenceEnv, Record, Runner};
use choice::Model;
use recogniser::Recogniser;
use speech::Speech;
use transcript::Transcript;

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
    recogniser: Box<dyn Recogniser>,
    speech: Option<Speech>,
    tokens: bool,
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

/// The runner of `asr`: `text`, and its log-probability `score`.
///
/// Its `merge` writes Kaldi's file `text` into the run directory.
pub struct Asr;

/// An utterance's audio, and its pieces.
struct Heard {
    audio: Audio,
    pieces: Vec<Range<usize>>,
}

impl Heard {
    fn new(idx: u64, env: &Env<Asr>) -> Result<Self> {
        let InferenceEnv { dataset, model } = env;
        let utt_id = &dataset.get(idx)?.id;
        let audio = dataset.audio(idx)?;
        let segments = model.speech.as_ref().map(|speech| {
            let segments = speech.get(utt_id);
            segments.with_context(|| format!("`vad` has no record of `{utt_id}`"))
        });
        let segments = segments.transpose()?.map(Vec::as_slice);
        let pieces = cut::pieces(&audio.samples, audio.sample_rate, segments);
        Ok(Self { audio, pieces })
    }

    fn samples(&self) -> impl Iterator<Item = &[f32]> {
        self.pieces.iter().map(|piece| &self.audio.samples[piece.clone()])
    }
}

impl Runner for Asr {
    type Provider = AsrProvider;

    fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
        let mut records = Self::batch_forward(&[idx], env)?;
        records.pop().context("no record")
    }

    fn batch_forward(indices: &[u64], env: &Env<Self>) -> Result<Vec<Record>> {
        let heard: Vec<_> =
            indices.iter().map(|&idx| Heard::new(idx, env)).collect::<Result<_>>()?;
        let samples: Vec<&[f32]> = heard.iter().flat_map(Heard::samples).collect();
        let mut hypotheses = Vec::with_capacity(samples.len());
        // As many pieces at once as items were asked for: an hour is one item, and 120 pieces.
        for batch in samples.chunks(indices.len()) {
            hypotheses.extend(env.model.recogniser.recognise(batch)?);
        }
        let mut rest = hypotheses.as_slice();
        let record = |(&idx, Heard { audio, pieces }): (&u64, &Heard)| {
            let (hypotheses, others) = rest.split_at(pieces.len());
            rest = others;
            let utt_id = &env.dataset.get(idx)?.id;
            let transcript = Transcript::new(utt_id, audio, pieces, hypotheses);
            Record::new(if env.model.tokens { transcript } else { transcript.without_tokens() })
        };
        indices.iter().zip(&heard).map(record).collect()
    }

    fn item_name(idx: u64, env: &Env<Self>) -> Option<String> {
        env.dataset.name(idx)
    }

    fn merge(records: &mut dyn Iterator<Item = Result<Record>>, output_dir: &Path) -> Result<()> {
        write_own(&output_dir.join("text"), |text| {
            for record in records {
                let record = record?;
                let (utt_id, words) =
                    (record.get::<String>("utt_id")?, record.get::<String>("text")?);
                writeln!(text, "{}", format!("{utt_id} {words}").trim_end())?;
            }
            Ok(())
        })
    }
}
