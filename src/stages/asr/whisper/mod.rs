//! Whisper (<https://github.com/openai/whisper>), in candle.

mod checkpoint;
#[cfg(test)]
pub(super) mod fake;
mod greedy;
mod log_mel;
mod network;
#[cfg(test)]
mod tests;
mod vocabulary;
mod weights;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};

use super::recogniser::{Hypothesis, Recogniser};
use checkpoint::Checkpoint;
use greedy::{Rules, Transcript};
use log_mel::{HOP, LogMel, SAMPLE_RATE};
use network::{Decoder, Encoder};
use vocabulary::Vocabulary;

pub(crate) use checkpoint::{CONFIG, files};
pub(crate) use vocabulary::Wanted;

/// A Whisper model, ready to transcribe.
pub(crate) struct Whisper {
    encoder: Encoder,
    decoder: Decoder,
    log_mel: LogMel,
    vocabulary: Vocabulary,
    rules: Rules,
    device: Device,
    /// Frames that the encoder takes: 3000, which are 30 s.
    frames: usize,
}

/// Whether the checkpoint in `folder` is whole and can do what is wanted, without loading it.
///
/// # Errors
/// Says what is missing or cannot be.
pub(crate) fn check(folder: &Path, wanted: Wanted<'_>) -> Result<()> {
    let checkpoint = Checkpoint::open(folder)?;
    vocabulary::check(&checkpoint, wanted).with_context(|| format!("`{}`", folder.display()))
}

impl Whisper {
    /// Loads the checkpoint in `folder`.
    ///
    /// # Errors
    /// When it is not whole, or cannot do what is wanted.
    pub(crate) fn load(folder: &Path, wanted: Wanted<'_>, device: Device) -> Result<Self> {
        let checkpoint = Checkpoint::open(folder)?;
        let vocabulary = Vocabulary::load(&checkpoint, wanted)?;
        let path = checkpoint.weights();
        let weights = weights::load(&path, &device)?;
        let named = || format!("`{}`", path.display());
        Ok(Self {
            encoder: Encoder::load(&checkpoint.dimensions, &weights).with_context(named)?,
            decoder: Decoder::load(&checkpoint.dimensions, &weights).with_context(named)?,
            log_mel: LogMel::new(checkpoint.dimensions.num_mel_bins),
            rules: Rules::new(&checkpoint, &vocabulary),
            vocabulary,
            device,
            frames: 2 * checkpoint.dimensions.max_source_positions,
        })
    }

    /// Transcribes pieces in one pass of the network.
    fn transcribe(&self, pieces: &[&[f32]]) -> Result<Vec<Hypothesis>> {
        let window = self.frames * HOP;
        let mut mels = Vec::with_capacity(pieces.len());
        for piece in pieces {
            ensure!(piece.len() <= window, "{} samples at once, of at most {window}", piece.len());
            let mel = self.log_mel.compute(piece, self.frames);
            mels.push(Tensor::from_vec(mel, ((), self.frames), &Device::Cpu)?);
        }
        let mels = Tensor::stack(&mels, 0)?.to_device(&self.device)?;
        let encoded = self.encoder.forward(&mels)?;
        let transcripts = greedy::decode(&self.decoder, &encoded, &self.rules)?;
        let hypothesis = |transcript: Transcript| {
            Ok(Hypothesis {
                text: self.vocabulary.text(&transcript.tokens)?,
                score: transcript.score,
                tokens: Some(transcript.tokens),
            })
        };
        transcripts.into_iter().map(hypothesis).collect()
    }
}

impl Recogniser for Whisper {
    fn sample_rate(&self) -> u32 {
        SAMPLE_RATE
    }

    fn longest(&self) -> f64 {
        (self.frames * HOP) as f64 / f64::from(SAMPLE_RATE)
    }

    /// All pieces at once on a GPU. A processor is 10 to 20 % slower with four of tiny.en's at once than
    /// one after another: they do not fit into its cache.
    fn recognise(&self, pieces: &[&[f32]]) -> Result<Vec<Hypothesis>> {
        let at_once = if self.device.is_cpu() { 1 } else { pieces.len().max(1) };
        let mut hypotheses = Vec::with_capacity(pieces.len());
        for pieces in pieces.chunks(at_once) {
            hypotheses.extend(self.transcribe(pieces)?);
        }
        Ok(hypotheses)
    }
}
