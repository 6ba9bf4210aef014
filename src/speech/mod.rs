//! Speech data for stages: audio files, manifests, Kaldi features and archives.
//!
//! [`Utterances`] is the dataset, [`Source`] the part of a stage's section that describes it,
//! [`audio::read`] one piece of audio, [`Fbank`] the features.

pub mod ark;
pub mod audio;
mod decode;
pub mod fbank;
pub mod manifest;
#[cfg(test)]
mod manifest_tests;
mod mel;
pub mod npy;
mod resample;
pub mod sphere;
mod tables;
#[cfg(test)]
pub(crate) mod testing;
mod utterances;

pub use audio::Audio;
pub use fbank::Fbank;
pub use manifest::Utterance;
pub use utterances::{Source, Utterances};
