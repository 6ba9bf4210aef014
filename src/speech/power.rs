//! The power of speech where there is speech, which a signal-to-noise ratio is about.

/// Samples of a frame, and from one frame to the next: those of ESPnet's `detect_non_silence`.
const LENGTH: usize = 1024;
const SHIFT: usize = 512;
/// Frames with less than this part of the mean power are silence.
const THRESHOLD: f64 = 0.01;

/// The mean square of samples.
pub(crate) fn power(samples: &[f64]) -> f64 {
    samples.iter().map(|sample| sample * sample).sum::<f64>() / samples.len().max(1) as f64
}

/// The mean square of the samples that are no silence, as ESPnet's `CommonPreprocessor` has it:
/// pauses, however long, do not make noise louder. A frame decides about its first half, the last
/// frame about all that is left. Zero is digital silence.
pub(crate) fn active_power(samples: &[f64]) -> f64 {
    if samples.len() < LENGTH {
        return power(samples);
    }
    let number = (samples.len() - LENGTH).div_ceil(SHIFT) + 1;
    // The last frame may be padded with zeros.
    let energy = |frame: &[f64]| power(frame) * frame.len() as f64 / LENGTH as f64;
    let frame = |at: usize| &samples[at * SHIFT..samples.len().min(at * SHIFT + LENGTH)];
    let powers: Vec<f64> = (0..number).map(|at| energy(frame(at))).collect();
    let mean = powers.iter().sum::<f64>() / number as f64;
    let (mut sum, mut count) = (0.0, 0);
    for (at, frame_power) in powers.iter().enumerate() {
        if *frame_power > THRESHOLD * mean {
            let end = if at + 1 == number { samples.len() } else { (at + 1) * SHIFT };
            let active = &samples[at * SHIFT..end];
            sum += active.iter().map(|sample| sample * sample).sum::<f64>();
            count += active.len();
        }
    }
    sum / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_do_not_count() {
        // A quarter of a second at amplitude 0.5, then two seconds of almost nothing.
        let mut samples = vec![0.5; 4096];
        samples.resize(36_000, 1e-4);
        // The frame that ends in the pause decides about its first half, which is speech.
        assert!((active_power(&samples) - 0.25).abs() < 1e-12, "{}", active_power(&samples));
        assert!((power(&samples) - 0.25 * 4096.0 / 36_000.0).abs() < 1e-6);
        // Steady sound is all active, whatever its length.
        for length in [1, 1023, 1024, 1025, 1536, 5000] {
            let steady = active_power(&vec![-0.1; length]);
            assert!((steady - 0.01).abs() < 1e-12, "{length}: {steady}");
        }
        for length in [0, 10, 4000] {
            assert_eq!(active_power(&vec![0.0; length]), 0.0);
        }
    }
}
