//! The stage `fbank`: log-mel filterbank features into Kaldi archives or `.npy` files.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::files::write_atomically;
use crate::speech::{self, Source, Utterances, ark, fbank, npy};
use crate::{Env, InferenceProvider, Record, Runner};

/// The parameters of `fbank`, the section of that name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FbankProvider {
    /// `wav.scp`, `*.tsv` or `*.jsonl`.
    pub manifest: PathBuf,
    /// A Kaldi `segments` file; for a `wav.scp` the one beside it, if any.
    pub segments: Option<PathBuf>,
    /// The channel to take, counted from 0; without it the mean of all channels.
    pub channel: Option<usize>,
    /// Hz; other audio is resampled.
    #[serde(default = "default::sample_rate")]
    pub sample_rate: u32,
    /// Values per frame.
    #[serde(default = "default::num_mel_bins")]
    pub num_mel_bins: usize,
    /// Milliseconds.
    #[serde(default = "default::frame_length")]
    pub frame_length: f64,
    /// Milliseconds.
    #[serde(default = "default::frame_shift")]
    pub frame_shift: f64,
    /// Hz.
    #[serde(default = "default::low_freq")]
    pub low_freq: f64,
    /// Hz; zero or negative counts from the Nyquist frequency.
    #[serde(default)]
    pub high_freq: f64,
    /// The kind of file.
    #[serde(default)]
    pub format: Format,
}

/// How features are stored.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One Kaldi archive per shard.
    #[default]
    Ark,
    /// One `.npy` per utterance.
    Npy,
}

/// Kaldi's defaults, but 80 bins.
pub(super) mod default {
    pub(crate) fn sample_rate() -> u32 {
        16_000
    }
    pub(crate) fn num_mel_bins() -> usize {
        80
    }
    pub(crate) fn frame_length() -> f64 {
        25.0
    }
    pub(crate) fn frame_shift() -> f64 {
        10.0
    }
    pub(crate) fn low_freq() -> f64 {
        20.0
    }
}

impl FbankProvider {
    fn source(&self) -> Source<'_> {
        Source {
            manifest: &self.manifest,
            segments: self.segments.as_deref(),
            channel: self.channel,
            sample_rate: self.sample_rate,
        }
    }
}

/// The features and how to store them.
pub struct Model {
    fbank: speech::Fbank,
    format: Format,
}

impl InferenceProvider for FbankProvider {
    type Dataset = Utterances;
    type Model = Model;

    fn build_dataset(&self) -> Result<Utterances> {
        self.source().utterances()
    }

    fn build_model(&self) -> Result<Model> {
        let fbank = speech::Fbank::new(&fbank::Options {
            sample_rate: self.sample_rate,
            num_mel_bins: self.num_mel_bins,
            frame_length: self.frame_length,
            frame_shift: self.frame_shift,
            low_freq: self.low_freq,
            high_freq: self.high_freq,
        })?;
        Ok(Model { fbank, format: self.format })
    }

    fn inputs(&self) -> Result<Value> {
        self.source().inputs()
    }
}

/// The runner.
pub struct Fbank;

#[derive(Serialize)]
struct Item<'a> {
    utt_id: &'a str,
    num_frames: usize,
    dim: usize,
    duration: f64,
}

impl Runner for Fbank {
    type Provider = FbankProvider;

    fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
        let utt_id = &env.dataset.get(idx)?.id;
        let audio = env.dataset.audio(idx)?;
        let Model { fbank, format } = &env.model;
        let features = fbank.compute(&audio.samples);
        let num_frames = features.num_frames();
        if num_frames == 0 {
            let length = fbank.frame_length();
            bail!("too short: {} samples, one frame has {length}", audio.samples.len());
        }
        let dim = features.dim;
        let record = Record::new(Item { utt_id, num_frames, dim, duration: audio.duration() })?;
        Ok(match format {
            Format::Ark => {
                let (bytes, skip) = ark::entry(utt_id, &features);
                record.append("feats", "feats.ark", bytes, skip)
            }
            Format::Npy => {
                let bytes = npy::float32(&features.values, &[num_frames, dim]);
                record.file("feats", &format!("{}.npy", file_name(utt_id)), bytes)
            }
        })
    }

    fn item_name(idx: u64, env: &Env<Self>) -> Option<String> {
        env.dataset.name(idx)
    }

    /// Writes `feats.scp` and `utt2num_frames`, as in a Kaldi data directory.
    fn merge(records: &mut dyn Iterator<Item = Result<Record>>, output_dir: &Path) -> Result<()> {
        let frames = output_dir.join("utt2num_frames");
        write_atomically(&output_dir.join("feats.scp"), |scp| {
            write_atomically(&frames, |utt2num_frames| {
                for record in records {
                    let record = record?;
                    let utt_id: String = record.get("utt_id")?;
                    let feats = output_dir.join(record.get::<String>("feats")?);
                    writeln!(scp, "{utt_id} {}", feats.display())?;
                    writeln!(utt2num_frames, "{utt_id} {}", record.get::<u64>("num_frames")?)?;
                }
                Ok(())
            })
        })
    }
}

/// An utterance id as a file name: bytes that a path would not take are `%XX`, so that no two ids
/// share a file.
fn file_name(utt_id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+=@,".contains(&byte);
    let first_dot = utt_id.starts_with('.');
    let bytes = utt_id.bytes().enumerate();
    bytes
        .map(|(at, byte)| match byte {
            byte if plain(byte) && !(at == 0 && first_dot) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
