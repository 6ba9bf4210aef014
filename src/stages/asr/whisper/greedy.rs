//! Greedy decoding: the likeliest token, then the likeliest after it.

use anyhow::{Result, ensure};
use candle_core::Tensor;

use super::checkpoint::Checkpoint;
use super::network::Decoder;
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

/// Transcribes what the encoder made of some pieces of audio: (pieces, positions, size).
///
/// # Errors
/// Where the network's output is not a number: its weights are broken.
pub(super) fn decode(
    decoder: &Decoder,
    encoded: &Tensor,
    rules: &Rules,
) -> Result<Vec<Transcript>> {
    let pieces = encoded.dim(0)?;
    let new = || Transcript { tokens: Vec::new(), score: 0.0, ended: false };
    let mut transcripts: Vec<_> = std::iter::repeat_with(new).take(pieces).collect();
    let mut state = decoder.start(encoded)?;
    let mut next = rules.prompt.repeat(pieces);
    for step in 0..rules.longest {
        let columns = next.len() / pieces;
        let tokens = Tensor::from_vec(next, (pieces, columns), encoded.device())?;
        let logits = decoder.forward(&tokens, &mut state)?.to_vec2::<f32>()?;
        let mask = if step == 0 { &rules.mask_first } else { &rules.mask };
        for (transcript, logits) in transcripts.iter_mut().zip(&logits) {
            transcript.extend(logits, mask, rules.end)?;
        }
        if transcripts.iter().all(|transcript| transcript.ended) {
            break;
        }
        // One that has ended is fed with ends while others go on: it does not see them, nor they it.
        let last = |transcript: &Transcript| match transcript.tokens.last() {
            Some(token) if !transcript.ended => *token,
            _ => rules.end,
        };
        next = transcripts.iter().map(last).collect();
    }
    Ok(transcripts)
}

impl Transcript {
    fn extend(&mut self, logits: &[f32], mask: &[f32], end: u32) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        let (token, log_probability) = likeliest(logits, mask);
        ensure!(log_probability.is_finite(), "the network's output is not a number");
        self.score += log_probability;
        if token == end {
            self.ended = true;
        } else {
            self.tokens.push(token);
        }
        Ok(())
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
        for (logits, mask) in [([f32::NAN; 4], [0.0; 4]), (logits, [never; 4])] {
            assert!(!likeliest(&logits, &mask).1.is_finite());
        }
    }
}
