//! The stage `augment`: utterances at other speeds, in rooms and with noise, as ESPnet's recipes
//! make them, written to audio files with a manifest of their own.

mod data_dir;
mod draws;
mod mix;
mod parameters;
mod provider;
mod sounds;
#[cfg(test)]
mod tests;
mod variants;

use anyhow::{Context, Result};
use serde::Serialize;

use self::draws::Draws;
use self::provider::{AugmentProvider, Model};
use super::arrays::file_name;
use crate::speech::pcm;
use crate::{CompleteRun, Env, Record, Runner};

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
/// assert_eq!(provider.items()?.len, 2);
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
        let Model { sample_rate, seed, rirs, noises, noise_db_range, format } = &env.model;
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
        let (prefix, beside) = (variant.factor.prefix(), env.dataset.beside());
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
