//! What Resemblyzer does to audio before its network (`resemblyzer/audio.py` and `voice_encoder.py`).

use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};

use crate::speech::mel::Filter;
use crate::speech::slaney;

/// Hz.
pub(super) const SAMPLE_RATE: u32 = 16_000;
/// Values per frame.
pub(super) const MELS: usize = 40;
/// Frames of a partial utterance: 1.6 s.
pub(super) const PARTIAL: usize = 160;

/// Samples of a frame: 25 ms.
const WINDOW: usize = 400;
/// Samples between frames: 10 ms.
const HOP: usize = 160;
const TARGET_DBFS: f64 = -30.0;

/// Makes quiet audio as loud as -30 dBFS; louder audio stays as it is. Returns whether there is
/// anything to hear.
pub(super) fn normalize_volume(samples: &mut [f32]) -> bool {
    let power = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
    let dbfs = 10.0 * (power / samples.len() as f64).log10();
    if dbfs < TARGET_DBFS {
        let gain = 10_f64.powf((TARGET_DBFS - dbfs) / 20.0) as f32;
        samples.iter_mut().for_each(|sample| *sample *= gain);
    }
    dbfs.is_finite()
}

/// Frames between the starts of partial utterances, for `rate` of them per second.
pub(super) fn step(rate: f64) -> usize {
    (f64::from(SAMPLE_RATE) / rate / HOP as f64).round_ties_even() as usize
}

/// The first frame of each partial utterance of so many samples, `step` frames apart. The last one is
/// left out if the audio fills less than `min_coverage` of it, unless it is the only one.
pub(super) fn partials(samples: usize, step: usize, min_coverage: f64) -> Vec<usize> {
    let frames = (samples + 1).div_ceil(HOP);
    let starts = (frames + step + 1).saturating_sub(PARTIAL).max(1);
    let mut partials: Vec<usize> = (0..starts).step_by(step).collect();
    let last = partials[partials.len() - 1];
    let coverage = (samples as f64 - (last * HOP) as f64) / (PARTIAL * HOP) as f64;
    if coverage < min_coverage && partials.len() > 1 {
        partials.pop();
    }
    partials
}

/// librosa's `feature.melspectrogram`, not its logarithm: centred frames of a periodic Hann window,
/// power, Slaney's mel filters. Beyond its ends the audio is silent.
pub(super) struct MelSpectrogram {
    window: Vec<f32>,
    filters: Vec<Filter>,
    fft: Arc<dyn RealToComplex<f32>>,
}

impl MelSpectrogram {
    pub(super) fn new() -> Self {
        let step = std::f64::consts::TAU / WINDOW as f64;
        let hann = |i| (0.5 - 0.5 * (step * f64::from(i)).cos()) as f32;
        Self {
            window: (0..WINDOW as u32).map(hann).collect(),
            filters: slaney::filters(MELS, SAMPLE_RATE, WINDOW),
            fft: RealFftPlanner::new().plan_fft_forward(WINDOW),
        }
    }

    /// The first `frames` frames, [`MELS`] values each.
    pub(super) fn compute(&self, samples: &[f32], frames: usize) -> Vec<f32> {
        let mut frame = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let mut values = Vec::with_capacity(frames * MELS);
        for nth in 0..frames {
            for (i, (out, window)) in frame.iter_mut().zip(&self.window).enumerate() {
                let at = (nth * HOP + i).checked_sub(WINDOW / 2);
                *out = window * at.and_then(|at| samples.get(at)).copied().unwrap_or(0.0);
            }
            self.fft
                .process_with_scratch(&mut frame, &mut spectrum, &mut scratch)
                .expect("the buffers were made by this plan");
            values.extend(self.filters.iter().map(|filter| {
                let bins = &spectrum[filter.first..];
                filter.weights.iter().zip(bins).map(|(w, bin)| w * bin.norm_sqr()).sum::<f32>()
            }));
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partials_are_those_of_resemblyzer() {
        // VoiceEncoder.compute_partial_slices(samples, 1.3, 0.75), the starts of its mel slices.
        let step = step(1.3);
        assert_eq!(step, 77);
        let starts = |samples| partials(samples, step, 0.75);
        assert_eq!(starts(0), [0]);
        assert_eq!(starts(16_000), [0]);
        // The second would have 0.74997 of its samples, then 0.75.
        assert_eq!(starts(31_519), [0]);
        assert_eq!(starts(31_520), [0, 77]);
        assert_eq!(starts(46_400), [0, 77, 154]);
    }

    #[test]
    fn quiet_audio_becomes_louder_and_loud_audio_stays() {
        let mut quiet = vec![0.001, -0.001];
        assert!(normalize_volume(&mut quiet));
        // -30 dB
        assert!((quiet[0] - 0.031_623).abs() < 1e-5, "{quiet:?}");
        let mut loud = vec![0.5, -0.5];
        assert!(normalize_volume(&mut loud));
        assert_eq!(loud, [0.5, -0.5]);
        assert!(!normalize_volume(&mut [0.0; 10]));
        assert!(!normalize_volume(&mut []));
    }

    #[test]
    fn a_tone_is_where_librosa_has_it() {
        let step = std::f32::consts::TAU * 1000.0 / 16_000.0;
        let samples: Vec<f32> = (0..1600).map(|i| 0.5 * (step * i as f32).sin()).collect();
        let mels = MelSpectrogram::new().compute(&samples, 13);
        assert_eq!(mels.len(), 13 * MELS);
        // librosa.feature.melspectrogram, mels 12 to 14 of a frame that the audio only half fills, and
        // of one in its middle.
        for (frame, expected) in
            [(0, [9.712373, 10.034646, 1.614121]), (5, [22.10516, 26.129994, 0.782134])]
        {
            let found = &mels[frame * MELS + 12..][..3];
            let near = |(a, b): (&f32, f32)| (a - b).abs() < 1e-4 * b;
            assert!(found.iter().zip(expected).all(near), "{found:?}");
        }
        assert_eq!(mels[12 * MELS..], [0.0; MELS]);
    }
}
