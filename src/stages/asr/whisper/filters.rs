//! Triangular mel filters as Whisper has them: librosa's `filters.mel(sr=16000, n_fft=400)` with its
//! defaults, Slaney's mel scale and filters of equal area, from 0 Hz to 8000 Hz.

use super::log_mel::{N_FFT, SAMPLE_RATE};

/// One filter: its first FFT bin and the weights from there.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub first: usize,
    pub weights: Vec<f32>,
}

/// Slaney's scale is linear up to here, and logarithmic above.
const BREAK_HERTZ: f64 = 1000.0;
const BREAK_MEL: f64 = 15.0;
/// A factor of 6.4 is 27 mel.
const MEL_OF_FACTOR: (f64, f64) = (6.4, 27.0);

fn mel(hertz: f64) -> f64 {
    let (factor, mels) = MEL_OF_FACTOR;
    if hertz < BREAK_HERTZ {
        hertz * BREAK_MEL / BREAK_HERTZ
    } else {
        BREAK_MEL + (hertz / BREAK_HERTZ).ln() * mels / factor.ln()
    }
}

fn hertz(mel: f64) -> f64 {
    let (factor, mels) = MEL_OF_FACTOR;
    if mel < BREAK_MEL {
        mel * BREAK_HERTZ / BREAK_MEL
    } else {
        BREAK_HERTZ * ((mel - BREAK_MEL) * factor.ln() / mels).exp()
    }
}

/// `count` filters over the `N_FFT / 2 + 1` bins of a power spectrum.
pub(super) fn filters(count: usize) -> Vec<Filter> {
    let rate = f64::from(SAMPLE_RATE);
    let step = mel(rate / 2.0) / (count + 1) as f64;
    let edge = |index: usize| hertz(step * index as f64);
    let filter = |index: usize| {
        let [left, center, right] = [index, index + 1, index + 2].map(edge);
        let area = 2.0 / (right - left);
        let weight = |bin: usize| {
            let hertz = bin as f64 * rate / N_FFT as f64;
            let (up, down) = ((hertz - left) / (center - left), (right - hertz) / (right - center));
            (up.min(down).max(0.0) * area) as f32
        };
        let weights: Vec<f32> = (0..=N_FFT / 2).map(weight).collect();
        let first = weights.iter().position(|weight| *weight > 0.0).unwrap_or(0);
        let last = weights.iter().rposition(|weight| *weight > 0.0).map_or(first, |last| last + 1);
        Filter { first, weights: weights[first..last].to_vec() }
    };
    (0..count).map(filter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_librosas() {
        let cases: [(usize, usize, usize, &[f32]); 6] = [
            (80, 0, 1, &[0.024862595]),
            (80, 1, 1, &[0.001990822, 0.022871772]),
            (80, 40, 42, &[0.0054111048, 0.014735566, 0.00651819]),
            (128, 40, 24, &[0.040376365]),
            (
                80,
                79,
                186,
                &[
                    0.00036674167,
                    0.00083307,
                    0.0012993984,
                    0.0017657268,
                    0.002232055,
                    0.0026983833,
                    0.0031647119,
                    0.0031413133,
                    0.0026925541,
                    0.0022437952,
                    0.001795036,
                    0.0013462771,
                    0.000897518,
                    0.000448759,
                ],
            ),
            (
                128,
                127,
                191,
                &[
                    0.0004756951,
                    0.0016171717,
                    0.0027586485,
                    0.0039001252,
                    0.0050416016,
                    0.004457121,
                    0.0033428406,
                    0.0022285604,
                    0.0011142802,
                ],
            ),
        ];
        for (count, index, first, expected) in cases {
            let filters = filters(count);
            assert_eq!(filters.len(), count);
            let found = &filters[index];
            for bin in 0..=N_FFT / 2 {
                let of = |from: usize, weights: &[f32]| {
                    bin.checked_sub(from).and_then(|at| weights.get(at).copied()).unwrap_or(0.0)
                };
                let (found, expected) = (of(found.first, &found.weights), of(first, expected));
                assert!((found - expected).abs() < 1e-8, "{index} of {count}, bin {bin}: {found}");
            }
        }
    }
}
