//! Speech data for stages: audio files, manifests, Kaldi features and archives.
//!
//! [`Utterances`] is the dataset, [`audio::read`] one piece of audio, [`Fbank`] the features. A stage
//! of one's own on them:
//!
//! ```
//! use std::path::PathBuf;
//!
//! use espnet3_par::speech::Utterances;
//! use espnet3_par::{Env, EnvironmentProvider, InferenceProvider, Record, Result, Runner};
//! use serde_json::json;
//!
//! /// The section `loudness:` of the config.
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct LoudnessProvider {
//!     manifest: PathBuf,
//! }
//!
//! impl InferenceProvider for LoudnessProvider {
//!     type Dataset = Utterances;
//!     type Model = ();
//!
//!     fn build_dataset(&self) -> Result<Utterances> {
//!         Utterances::read(&self.manifest, None, None)
//!     }
//!
//!     fn build_model(&self) -> Result<()> {
//!         Ok(())
//!     }
//! }
//!
//! struct Loudness;
//!
//! impl Runner for Loudness {
//!     type Provider = LoudnessProvider;
//!
//!     fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
//!         let audio = env.dataset.audio(idx, 16_000)?;
//!         let peak = audio.samples.iter().fold(0.0, |peak: f32, sample| peak.max(sample.abs()));
//!         let utt_id = &env.dataset.get(idx)?.id;
//!         Record::new(json!({"utt_id": utt_id, "seconds": audio.duration(), "peak": peak}))
//!     }
//! }
//!
//! # let folder = tempfile::tempdir()?;
//! # let wav = folder.path().join("silence.wav");
//! # // The header of a WAV file of 32000 bytes: 16-bit PCM, mono, 16 kHz.
//! # let mut bytes = b"RIFF\x24\x7d\0\0WAVE\
//! #     fmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0\
//! #     data\0\x7d\0\0".to_vec();
//! # bytes.resize(44 + 2 * 16_000, 0);
//! # std::fs::write(&wav, bytes)?;
//! // One second of silence.
//! let manifest = folder.path().join("wav.scp");
//! std::fs::write(&manifest, format!("utt1 {}\n", wav.display()))?;
//! let env = LoudnessProvider { manifest }.build_env_local()?;
//! let record = Loudness::forward(0, &env)?;
//! assert_eq!((record.get::<f64>("seconds")?, record.get::<f32>("peak")?), (1.0, 0.0));
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod ark;
pub mod audio;
#[cfg(test)]
mod audio_tests;
pub(crate) mod convolve;
mod decode;
pub(crate) mod fault;
pub mod fbank;
pub(crate) mod inspect;
pub(crate) mod manifest;
#[cfg(test)]
mod manifest_tests;
pub(crate) mod mel;
pub mod npy;
pub(crate) mod pcm;
pub(crate) mod power;
pub(crate) mod resample;
#[cfg(feature = "candle")]
pub(crate) mod slaney;
mod sphere;
pub(crate) mod tables;
#[cfg(test)]
pub(crate) mod testing;
mod utterances;
pub(crate) mod vectors;

pub use audio::Audio;
pub use fbank::Fbank;
pub use manifest::Utterance;
pub use utterances::Utterances;
pub(crate) use utterances::locate;
