//! The stage `augment`: utterances at other speeds, in rooms and with noise, as ESPnet's recipes
//! make them, written to audio files with a manifest of their own.

mod data_dir;
mod draws;
mod mix;
mod parameters;
mod sounds;
#[cfg(test)]
mod tests;
mod variants;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use self::data_dir::Beside;
use self::draws::Draws;
use self::parameters::{DbRange, Factors};
use self::sounds::Sounds;
use self::variants::Variants;
use super::arrays::file_name;
use crate::speech::Utterances;
use crate::speech::pcm::{self, Format};
use crate::{CompleteRun, Env, InferenceProvider, Inputs, Record, Runner};

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
    #[serde(default = "super::fbank::default::sample_rate")]
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
    use super::parameters::DbRange;

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
    sample_rate: u32,
    seed: u64,
    rirs: Option<Sounds>,
    noises: Option<Sounds>,
    noise_db_range: DbRange,
    format: Format,
    beside: Beside,
}

impl InferenceProvider for AugmentProvider {
    type Dataset = Variants;
    type Model = Model;

    fn build_dataset(&self) -> Result<Variants> {
        let factors = self.speed_perturb_factors.clone().unwrap_or_default();
        let utterances = Utterances::read(&self.manifest, self.segments.as_deref(), self.channel)?;
        Variants::new(utterances, factors.0, self.draws().then_some(self.copies))
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
            beside: Beside::read(&self.manifest)?,
        })
    }

    fn validate(&self) -> Result<()> {
        self.check()?;
        self.build_model().map(drop)
    }

    fn inputs(&self) -> Result<Inputs> {
        let mut inputs = Beside::inputs(&self.manifest)?;
        for (name, scp) in [("rir_scp", &self.rir_scp), ("noise_scp", &self.noise_scp)] {
            if let Some(scp) = scp {
                inputs = inputs.bytes(name, sounds::inventory(scp)?.as_bytes());
            }
        }
        Ok(inputs)
    }
}

/// The runner of `augment`: one file of audio for each utterance, speed and copy, and what was done
/// to it. Choices depend on the seed and the new utterance's id alone.
///
/// ```
/// use espnet3_par::stages::Augment;
/// use espnet3_par::{EnvironmentProvider, Runner};
/// use serde_json::json;
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// # // The header of a WAV file of 32000 bytes: 16-bit PCM, mono, 16 kHz.
/// # let mut bytes = b"RIFF\x24\x7d\0\0WAVE\
/// #     fmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0\
/// #     data\0\x7d\0\0".to_vec();
/// # bytes.resize(44 + 2 * 16_000, 1);
/// # std::fs::write(folder.join("sound.wav"), bytes)?;
/// // One second of a sound at 16 kHz.
/// std::fs::write(folder.join("wav.scp"), "utt1 sound.wav\n")?;
/// type Provider = <Augment as Runner>::Provider;
/// // The section `augment:` of a config.
/// let section = json!({
///     "manifest": folder.join("wav.scp"),
///     "speed_perturb_factors": [0.8, 1.0],
///     "noise_scp": folder.join("wav.scp"),
///     "noise_db_range": "10_20",
/// });
/// let provider: Provider = serde_json::from_value(section)?;
/// assert_eq!(provider.num_items()?, 2);
/// let slower = Augment::forward(0, &provider.build_env_local()?)?;
/// assert_eq!(slower.get::<String>("utt_id")?, "sp0.8-utt1-aug1");
/// assert_eq!(slower.get::<f64>("duration")?, 1.25);
/// assert!((10.0..=20.0).contains(&slower.get::<f64>("snr")?));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub struct Augment;

#[derive(Serialize)]
struct Item<'a> {
    utt_id: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    duration: f64,
    speed: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rir: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snr: Option<f64>,
    gain: f64,
}

impl Runner for Augment {
    type Provider = AugmentProvider;

    fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
        let Model { sample_rate, seed, rirs, noises, noise_db_range, format, beside } = &env.model;
        let variant = env.dataset.get(idx)?;
        let mut samples = env.dataset.samples(&variant, *sample_rate)?;
        let draws = Draws::new(*seed, &variant.id);
        let (mut rir, mut noise, mut snr) = (None, None, None);
        let rirs = rirs.as_ref().filter(|rirs| rirs.apply("rir", &draws));
        let noises = noises.as_ref().filter(|noises| noises.apply("noise", &draws));
        if rirs.is_some() || noises.is_some() {
            let power = mix::speech_power(&samples)?;
            if let Some(room) = rirs.map(|rirs| rirs.rir(&draws)).transpose()? {
                samples = mix::reverberate(&samples, &room.samples, power)
                    .with_context(|| format!("room impulse response `{}`", room.id))?;
                rir = Some(room.id);
            }
            if let Some(sound) = noises.map(|list| list.noise(samples.len(), &draws)).transpose()? {
                let ratio = noise_db_range.at(draws.unit("snr"));
                mix::add_noise(&mut samples, &sound.samples, power, ratio);
                (noise, snr) = (Some(sound.id), Some(ratio));
            }
        }
        let gain = pcm::gain_within_scale(&samples);
        samples.iter_mut().for_each(|sample| *sample *= gain);

        let source = variant.source.id.as_str();
        let prefix = variant.factor.prefix();
        let item = Item {
            utt_id: &variant.id,
            source: beside.utt2uniq.get(source).map_or(source, String::as_str),
            speaker: beside.utt2spk.get(source).map(|speaker| format!("{prefix}{speaker}")),
            text: beside.text.get(source).map(String::as_str),
            duration: samples.len() as f64 / f64::from(*sample_rate),
            speed: variant.factor.value,
            rir,
            noise,
            snr,
            gain,
        };
        let file = format!("{}.{}", file_name(&variant.id), format.extension());
        let bytes = format.encode(&pcm::quantise(&samples), *sample_rate)?;
        Ok(Record::new(item)?.file("wav", &file, bytes))
    }

    fn merge(run: CompleteRun<'_, Self::Provider>) -> Result<()> {
        data_dir::write(run.records, run.output_dir)
    }
}
