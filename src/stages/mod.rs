//! The built-in stages: runners in Rust, and those that have other programs compute.

use crate::Stage;
use crate::spec::PYTHON;

#[cfg(feature = "speech")]
mod arrays;
#[cfg(feature = "candle")]
mod asr;
#[cfg(feature = "speech")]
mod augment;
#[cfg(feature = "speech")]
mod collect_stats;
mod command;
#[cfg(feature = "speech")]
mod cosine_score;
#[cfg(feature = "speech")]
mod fbank;
#[cfg(feature = "speech")]
mod prepare;
mod python;
mod queue;
mod score;
#[cfg(feature = "candle")]
mod speaker_embedding;
#[cfg(feature = "candle")]
mod vad;

pub(crate) use queue::{Jobs, QUEUE};

#[cfg(feature = "candle")]
pub use asr::Asr;
#[cfg(feature = "speech")]
pub use augment::Augment;
#[cfg(feature = "speech")]
pub use collect_stats::CollectStats;
#[cfg(feature = "speech")]
pub use cosine_score::CosineScore;
#[cfg(feature = "speech")]
pub use fbank::Fbank;
#[cfg(feature = "speech")]
pub use prepare::Prepare;
pub use score::Score;
#[cfg(feature = "candle")]
pub use speaker_embedding::SpeakerEmbedding;
#[cfg(feature = "candle")]
pub use vad::Vad;

/// The stages that this build has; a recipe's own program can list its own after them.
///
/// ```no_run
/// # use espnet3_par::{EnvironmentProvider, Items, Record, Result, Runner, Stage};
/// # #[derive(serde::Deserialize)]
/// # struct Numbers { n: u64 }
/// # impl EnvironmentProvider for Numbers {
/// #     type Env = u64;
/// #     fn items(&self) -> Result<Items> { Ok(Items::new(self.n)) }
/// #     fn build_env_local(&self) -> Result<u64> { Ok(self.n) }
/// # }
/// # struct Square;
/// # impl Runner for Square {
/// #     type Provider = Numbers;
/// #     fn forward(idx: u64, _n: &u64) -> Result<Record> { Record::new(idx * idx) }
/// # }
/// use espnet3_par::stages::STAGES;
///
/// fn main() -> std::process::ExitCode {
///     let own = [Stage::new::<Square>("square", "squares of the first n numbers")];
///     espnet3_par::main(&[STAGES, &own].concat())
/// }
/// ```
pub static STAGES: &[Stage] = &[
    Stage::outside(PYTHON, "`provider` and `runner`, classes in Python", python::load).taking_all(),
    #[cfg(feature = "speech")]
    Stage::new::<Prepare>(
        "prepare",
        "whether a corpus is whole; its good utterances and durations",
    ),
    #[cfg(feature = "candle")]
    Stage::new::<Vad>("vad", "speech segments by Silero VAD"),
    #[cfg(feature = "speech")]
    Stage::new::<Fbank>("fbank", "log-mel filterbank features, as Kaldi's"),
    #[cfg(feature = "speech")]
    Stage::new::<CollectStats>("collect_stats", "mean and variance of the features"),
    #[cfg(feature = "speech")]
    Stage::new::<Augment>("augment", "speed perturbation, rooms and noise into audio files"),
    #[cfg(feature = "candle")]
    Stage::new::<Asr>("asr", "what is said, by Whisper or a model of CMU Sphinx"),
    #[cfg(feature = "candle")]
    Stage::new::<SpeakerEmbedding>(
        "speaker_embedding",
        "speaker embeddings by Resemblyzer's encoder",
    ),
    #[cfg(feature = "speech")]
    Stage::new::<CosineScore>("cosine_score", "scores of speaker trials, EER and minDCF"),
    Stage::new::<Score>("score", "word, character and token error rates of hypotheses"),
    Stage::outside("command", "another program, for each item of a manifest", command::load),
];
