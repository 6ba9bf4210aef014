//! Whisper's features: the log-mel spectrogram of OpenAI's `log_mel_spectrogram`.

use std::f64::consts::TAU;
use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};

use crate::speech::mel::Filter;
use crate::speech::slaney;

/// Hz of the audio that all Whisper models take.
pub(super) const SAMPLE_RATE: u32 = 16_000;
/// Samples in one frame: 25 ms.
pub(super) const N_FFT: usize = 400;
/// Samples from frame to frame: 10 ms.
pub(super) const HOP: usize = 160;

/// Smaller energies count as this one.
const FLOOR: f32 = 1e-10;
/// What is quieter than the loudest value by more than this, in powers of ten, counts as this.
const RANGE: f32 = 8.0;

/// Computes log-mel spectrograms; its tables are made once.
pub(super) struct LogMel {
    window: Vec<f32>,
    filters: Vec<Filter>,
    fft: Arc<dyn RealToComplex<f32>>,
}

impl LogMel {
    /// With so many mel bins: 80, or 128 in the newest models.
    pub(super) fn new(bins: usize) -> Self {
        // A periodic Hann window.
        let hann = |i| (0.5 - 0.5 * (TAU * f64::from(i) / N_FFT as f64).cos()) as f32;
        Self {
            window: (0..N_FFT as u32).map(hann).collect(),
            filters: slaney::filters(bins, SAMPLE_RATE, N_FFT),
            fft: RealFftPlanner::new().plan_fft_forward(N_FFT),
        }
    }

    /// `bins * frames` values, bin by bin, of samples in `[-1, 1)`, which are taken to be followed by
    /// silence up to `frames` frames.
    pub(super) fn compute(&self, samples: &[f32], frames: usize) -> Vec<f32> {
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let mut frame = self.fft.make_input_vec();
        let mut power = vec![0.0; spectrum.len()];
        let mut values = vec![FLOOR.log10(); self.filters.len() * frames];
        for at in 0..frames {
            if !self.fill(&mut frame, samples, at, frames * HOP) {
                continue;
            }
            self.fft
                .process_with_scratch(&mut frame, &mut spectrum, &mut scratch)
                .expect("the buffers were made by this plan");
            for (power, bin) in power.iter_mut().zip(&spectrum) {
                *power = bin.norm_sqr();
            }
            for (filter, row) in self.filters.iter().zip(values.chunks_exact_mut(frames)) {
                let bins = &power[filter.first..];
                let energy: f32 = filter.weights.iter().zip(bins).map(|(w, p)| w * p).sum();
                row[at] = energy.max(FLOOR).log10();
            }
        }
        let loudest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for value in &mut values {
            *value = (value.max(loudest - RANGE) + 4.0) / 4.0;
        }
        values
    }

    /// Frame `at` of audio of `length` samples, windowed; the audio is mirrored at both ends, so that
    /// a frame's middle is at `at * HOP`. Says whether there is anything but silence in it.
    fn fill(&self, frame: &mut [f32], samples: &[f32], at: usize, length: usize) -> bool {
        let mut silent = true;
        for ((out, window), index) in frame.iter_mut().zip(&self.window).zip(at * HOP..) {
            let position = index.abs_diff(N_FFT / 2);
            let mirrored = if position < length { position } else { 2 * (length - 1) - position };
            let sample = samples.get(mirrored).copied().unwrap_or(0.0);
            silent &= sample == 0.0;
            *out = sample * window;
        }
        !silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What librosa 0.11 and NumPy make of the same signal, by OpenAI's recipe.
    #[test]
    fn values_are_the_references() {
        let sample = |i: u32| ((i * i * 7 + i * 13) % 201) as f32 / 400.0 - 0.25;
        let samples: Vec<f32> = (0..960).map(sample).collect();
        let cases: [(usize, usize, usize, [f32; 6]); 5] = [
            // As long as the frames: mirrored at both ends.
            (80, 960, 0, [0.67523, 0.42963, 0.53183, 0.61381, 0.61566, 0.54057]),
            (80, 960, 79, [0.68524, 0.60751, 0.61069, 0.61842, 0.61866, 0.6112]),
            // Shorter: followed by silence.
            (80, 700, 0, [0.67523, 0.42963, 0.53183, 0.61381, 0.67307, 0.41788]),
            (80, 700, 20, [0.61177, 0.60907, 0.64554, 0.6895, 0.65148, 0.2268]),
            (128, 300, 64, [0.61917, 0.84766, 0.44317, -0.47106, -1.01773, -1.01773]),
        ];
        for (bins, length, row, expected) in cases {
            let values = LogMel::new(bins).compute(&samples[..length], 6);
            assert_eq!(values.len(), bins * 6);
            let found = &values[row * 6..][..6];
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < 2e-5;
            assert!(found.iter().zip(&expected).all(near), "{row} of {bins}: {found:?}");
        }
    }

    #[test]
    fn silence_is_the_floor() {
        for samples in [&[][..], &[0.0; 500]] {
            let values = LogMel::new(80).compute(samples, 10);
            assert!(values.iter().all(|value| *value == -1.5), "{values:?}");
        }
    }
}
