//! Greedy decoding: the likeliest token, then the likeliest after it.

use anyhow::Result;
use candle_core::Tensor;
use candle_transformers::models::whisper::model::TextDecoder;

use super::checkpoint::Checkpoint;
use super::vocabulary::Vocabulary;

/// How transcripts begin and end.
pub(super) struct Rules {
    /// What the decoder is given before the first token.
    pub prompt: Vec<u32>,
    /// Ends a transcript.
    pub end: u32,
    /// 0, or minus infinity for tokens that never come.
    pub mask: Vec<f32>,
    /// The same for the first token.
    pub mask_first: Vec<f32>,
    /// A transcript has no more tokens.
    pub longest: usize,
}

impl Rules {
    /// The rules of a checkpoint.
    pub(super) fn new(checkpoint: &Checkpoint, vocabulary: &Vocabulary) -> Self {
        let mut mask = vec![0.0; checkpoint.dimensions.vocab_size];
        let suppress = |mask: &mut Vec<f32>, tokens: &[u32]| {
            for token in tokens {
                if let Some(value) = mask.get_mut(*token as usize) {
                    *value = f32::NEG_INFINITY;
                }
            }
        };
        suppress(&mut mask, &checkpoint.suppressed);
        let mut mask_first = mask.clone();
        suppress(&mut mask_first, &checkpoint.suppressed_first);
        Self {
            prompt: vocabulary.prompt.clone(),
            end: vocabulary.end,
            mask,
            mask_first,
            // As OpenAI's: the other half is for what was said before.
            longest: checkpoint.dimensions.max_target_positions / 2,
        }
    }
}

/// A transcript as it grows.
pub(super) struct Transcript {
    /// Without the prompt and without the end.
    pub tokens: Vec<u32>,
    /// The natural logarithm of its probability, the end included.
    pub score: f64,
    ended: bool,
}

/// Transcribes what the encoder made of some pieces of audio: (pieces, positions, d_model).
///
/// # Errors
/// None are expected: shapes were checked when the model was loaded.
pub(super) fn decode(
    decoder: &mut TextDecoder,
    encoded: &Tensor,
    rules: &Rules,
) -> Result<Vec<Transcript>> {
    let pieces = encoded.dim(0)?;
    let new = || Transcript { tokens: Vec::new(), score: 0.0, ended: false };
    let mut transcripts: Vec<_> = std::iter::repeat_with(new).take(pieces).collect();
    for step in 0..rules.longest {
        let rows = transcripts.iter().flat_map(|transcript| {
            // One that has ended goes on as padding: all rows are of the same length.
            let padding = std::iter::repeat_n(&rules.end, step - transcript.tokens.len());
            rules.prompt.iter().chain(&transcript.tokens).chain(padding).copied()
        });
        let length = rules.prompt.len() + step;
        let rows = Tensor::from_iter(rows, encoded.device())?.reshape((pieces, length))?;
        let states = decoder.forward(&rows, encoded, step == 0)?;
        // All pieces' last states are one matrix, that is multiplied once.
        let last = states.narrow(1, length - 1, 1)?.transpose(0, 1)?.contiguous()?;
        let logits = decoder.final_linear(&last)?.squeeze(0)?.to_vec2::<f32>()?;
        let mask = if step == 0 { &rules.mask_first } else { &rules.mask };
        for (transcript, logits) in transcripts.iter_mut().zip(&logits) {
            transcript.extend(logits, mask, rules.end);
        }
        if transcripts.iter().all(|transcript| transcript.ended) {
            break;
        }
    }
    Ok(transcripts)
}

impl Transcript {
    fn extend(&mut self, logits: &[f32], mask: &[f32], end: u32) {
        if self.ended {
            return;
        }
        let (token, log_probability) = likeliest(logits, mask);
        self.score += log_probability;
        if token == end {
            self.ended = true;
        } else {
            self.tokens.push(token);
        }
    }
}

/// The token with the highest logit among those that the mask leaves (the first of several), and the
/// logarithm of its probability among them.
fn likeliest(logits: &[f32], mask: &[f32]) -> (u32, f64) {
    let allowed = || (0..).zip(logits.iter().zip(mask).map(|(logit, mask)| logit + mask));
    let (mut token, mut highest) = (0, f32::NEG_INFINITY);
    for (id, logit) in allowed() {
        if logit > highest {
            (token, highest) = (id, logit);
        }
    }
    let sum: f64 = allowed().map(|(_, logit)| f64::from((logit - highest).exp())).sum();
    (token, -sum.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_of_what_the_mask_leaves() {
        let never = f32::NEG_INFINITY;
        let logits = [2.0, 5.0, 3.0, 3.0];
        let (token, score) = likeliest(&logits, &[0.0; 4]);
        let expected = 5.0 - (2.0_f64.exp() + 5.0_f64.exp() + 2.0 * 3.0_f64.exp()).ln();
        assert_eq!(token, 1);
        assert!((score - expected).abs() < 1e-6, "{score}, {expected}");
        let (token, score) = likeliest(&logits, &[0.0, never, 0.0, 0.0]);
        let expected = 3.0 - (2.0_f64.exp() + 2.0 * 3.0_f64.exp()).ln();
        assert_eq!(token, 2, "the first of two");
        assert!((score - expected).abs() < 1e-6, "{score}, {expected}");
    }
}
