//! The parameters of the stage `augment`, and what they make.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Deserialize;

use super::data_dir::Beside;
use super::parameters::{DbRange, Factors};
use super::sounds::{self, Sounds};
use super::variants::Variants;
use crate::speech::Utterances;
use crate::speech::pcm::Format;
use crate::{InferenceProvider, Inputs};

/// The parameters of `augment`, the section of that name. Names are those of ESPnet.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentProvider {
    /// `wav.scp`, `*.tsv` or `*.jsonl`.
    pub manifest: PathBuf,
    /// A Kaldi `segments` file; for a `wav.scp` the one beside it, if any.
    pub segments: Option<PathBuf>,
    /// The channel to take, counted from 0; without it the mean of all channels.
    pub channel: Option<usize>,
    /// Hz, of what is written; other audio is resampled.
    #[serde(default = "crate::stages::fbank::default::sample_rate")]
    pub sample_rate: u32,
    /// Another seed makes other choices.
    #[serde(default)]
    pub seed: u64,
    /// How many each utterance becomes at each speed, with choices of their own.
    #[serde(default = "default::copies")]
    pub copies: u64,
    /// Every utterance is made at each of these speeds.
    pub speed_perturb_factors: Option<Factors>,
    /// A list of room impulse responses.
    pub rir_scp: Option<PathBuf>,
    /// The part of the items that are in a room.
    #[serde(default = "default::apply_prob")]
    pub rir_apply_prob: f64,
    /// A list of noises.
    pub noise_scp: Option<PathBuf>,
    /// The part of the items that have noise.
    #[serde(default = "default::apply_prob")]
    pub noise_apply_prob: f64,
    /// The signal-to-noise ratio in dB is drawn from this range.
    #[serde(default = "default::noise_db_range")]
    pub noise_db_range: DbRange,
    /// The kind of file.
    #[serde(default)]
    pub format: Format,
}

mod default {
    use super::DbRange;

    pub(super) fn copies() -> u64 {
        1
    }
    pub(super) fn apply_prob() -> f64 {
        1.0
    }
    /// That of ESPnet's tasks.
    pub(super) fn noise_db_range() -> DbRange {
        DbRange { low: 13.0, high: 15.0 }
    }
}

impl AugmentProvider {
    /// Whether items differ in more than their speed.
    fn draws(&self) -> bool {
        self.rir_scp.is_some() || self.noise_scp.is_some()
    }

    fn check(&self) -> Result<()> {
        for (name, probability) in
            [("rir_apply_prob", self.rir_apply_prob), ("noise_apply_prob", self.noise_apply_prob)]
        {
            if !(0.0..=1.0).contains(&probability) {
                bail!("{name} {probability}: a probability is from 0 to 1");
            }
        }
        match self.copies {
            0 => bail!("copies 0: nothing would be made"),
            1 if self.draws() || self.speed_perturb_factors.is_some() => Ok(()),
            1 => bail!("nothing to do: no `speed_perturb_factors`, `rir_scp` or `noise_scp`"),
            copies if copies > 10_000 => bail!("copies {copies}: at most 10000"),
            _ if self.draws() => Ok(()),
            copies => {
                bail!("copies {copies} without `rir_scp` or `noise_scp`: they would be equal")
            }
        }
    }
}

/// What is added to speech, and how it is written.
pub struct Model {
    pub(super) sample_rate: u32,
    pub(super) seed: u64,
    pub(super) rirs: Option<Sounds>,
    pub(super) noises: Option<Sounds>,
    pub(super) noise_db_range: DbRange,
    pub(super) format: Format,
}

impl InferenceProvider for AugmentProvider {
    type Dataset = Variants;
    type Model = Model;

    fn build_dataset(&self) -> Result<Variants> {
        let factors = self.speed_perturb_factors.clone().unwrap_or_default();
        let utterances = Utterances::read(&self.manifest, self.segments.as_deref(), self.channel)?;
        let beside = Beside::read(&self.manifest)?;
        Variants::new(utterances, beside, factors.0, self.draws().then_some(self.copies))
    }

    fn build_model(&self) -> Result<Model> {
        let sounds = |scp: &Option<PathBuf>, prob| {
            scp.as_ref().map(|scp| Sounds::read(scp, self.sample_rate, prob)).transpose()
        };
        Ok(Model {
            sample_rate: self.sample_rate,
            seed: self.seed,
            rirs: sounds(&self.rir_scp, self.rir_apply_prob)?,
            noises: sounds(&self.noise_scp, self.noise_apply_prob)?,
            noise_db_range: self.noise_db_range,
            format: self.format,
        })
    }

    fn validate(&self) -> Result<()> {
        self.check()?;
        self.build_model().map(drop)
    }

    fn inputs(&self) -> Result<Inputs> {
        let mut inputs = Inputs::default();
        for (name, scp) in [("rir_scp", &self.rir_scp), ("noise_scp", &self.noise_scp)] {
            if let Some(scp) = scp {
                inputs = inputs.bytes(name, sounds::inventory(scp)?.as_bytes());
            }
        }
        Ok(inputs)
    }
}
