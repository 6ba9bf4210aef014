//! The built-in stages.

use crate::Stage;

#[cfg(feature = "speech")]
pub mod collect_stats;
#[cfg(feature = "speech")]
pub mod fbank;
#[cfg(feature = "speech")]
mod files;
#[cfg(feature = "candle")]
pub mod vad;

/// The stages that this build has.
pub static STAGES: &[Stage] = &[
    #[cfg(feature = "candle")]
    Stage::new::<vad::Vad>("vad", "speech segments by Silero VAD"),
    #[cfg(feature = "speech")]
    Stage::new::<fbank::Fbank>("fbank", "log-mel filterbank features, as Kaldi's"),
    #[cfg(feature = "speech")]
    Stage::new::<collect_stats::CollectStats>("collect_stats", "mean and variance of the features"),
];
