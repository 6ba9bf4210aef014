//! The part of an utterance in which somebody speaks.

use anyhow::{Context, Result, bail};

use super::front_end::SAMPLE_RATE;
use crate::stages::vad::speech::Speech;

/// Of these samples of an utterance those that are speech, one piece after the other.
pub(super) fn of(speech: &Speech, utt_id: &str, samples: &[f32]) -> Result<Vec<f32>> {
    let segments = speech.get(utt_id).context("`vad` has no line of it")?;
    let at = |seconds: f64| {
        let at = (seconds * f64::from(SAMPLE_RATE)).round() as usize;
        at.min(samples.len())
    };
    let mut pieces = Vec::new();
    for &(start, end) in segments {
        pieces.extend_from_slice(&samples[at(start)..at(end)]);
    }
    if pieces.is_empty() {
        bail!("no speech in it, as `vad` says");
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_cut_out_and_put_together() {
        let segments =
            [("a", vec![(0.0, 0.001), (0.002, 9.0)]), ("b", Vec::new()), ("c", vec![(7.0, 8.0)])];
        let speech: Speech = segments.map(|(id, found)| (id.to_owned(), found)).into();
        let samples: Vec<f32> = (0..48_u8).map(f32::from).collect();
        let expected: Vec<f32> = (0..16_u8).chain(32..48).map(f32::from).collect();
        assert_eq!(of(&speech, "a", &samples).expect("speech"), expected);
        for (utt_id, why) in [("b", "no speech"), ("c", "no speech"), ("d", "`vad` has no line")] {
            let error = of(&speech, utt_id, &samples).expect_err(why).to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
