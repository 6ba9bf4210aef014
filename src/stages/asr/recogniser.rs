//! What the stage `asr` asks of a recogniser.

use anyhow::Result;

/// Turns audio into words.
pub(crate) trait Recogniser: Send + Sync {
    /// Hz of the audio that it takes.
    fn sample_rate(&self) -> u32;

    /// Seconds of audio that it takes at once.
    fn longest(&self) -> f64;

    /// One hypothesis for each piece of audio (mono samples in `[-1, 1)`), in their order.
    ///
    /// # Errors
    /// What keeps a piece from being recognised; then there is no hypothesis at all.
    fn recognise(&self, pieces: &[&[f32]]) -> Result<Vec<Hypothesis>>;
}

/// What was said in a piece of audio.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hypothesis {
    /// Words with single spaces between them.
    pub text: String,
    /// Its log-probability (natural logarithm), as the recogniser's own model has it.
    pub score: f64,
    /// The tokens of the text, where the recogniser has tokens.
    pub tokens: Option<Vec<u32>>,
}
