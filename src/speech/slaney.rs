//! Triangular mel filters as librosa places them (`filters.mel` with its defaults): triangles in Hz on
//! Slaney's scale, each of area one.

use super::mel::Filter;

/// `count` filters from 0 Hz to the Nyquist frequency over all `fft / 2 + 1` bins.
pub(crate) fn filters(count: usize, sample_rate: u32, fft: usize) -> Vec<Filter> {
    let rate = f64::from(sample_rate);
    let step = to_mel(rate / 2.0) / (count + 1) as f64;
    let filter = |index: usize| {
        let [left, center, right] = [0, 1, 2].map(|edge| to_hertz(step * (index + edge) as f64));
        let weight = |bin: usize| {
            let hertz = rate * bin as f64 / fft as f64;
            let up = (hertz - left) / (center - left);
            let down = (right - hertz) / (right - center);
            (up.min(down).max(0.0) * 2.0 / (right - left)) as f32
        };
        Filter::of(&(0..=fft / 2).map(weight).collect::<Vec<_>>())
    };
    (0..count).map(filter).collect()
}

/// Slaney's Auditory Toolbox: linear up to 1000 Hz, which is 15 mel, then 27 mel for a factor of 6.4.
fn to_mel(hertz: f64) -> f64 {
    if hertz < 1000.0 {
        return hertz * 3.0 / 200.0;
    }
    15.0 + (hertz / 1000.0).ln() * 27.0 / 6.4_f64.ln()
}

fn to_hertz(mel: f64) -> f64 {
    if mel < 15.0 {
        return mel * 200.0 / 3.0;
    }
    1000.0 * ((mel - 15.0) * 6.4_f64.ln() / 27.0).exp()
}

#[cfg(test)]
mod tests {
    use super::filters;

    #[test]
    fn they_are_librosas() {
        // librosa.filters.mel(sr=16000, n_fft=400, n_mels=40): where the filters start and end, and
        // the largest weight.
        let filters = filters(40, 16000, 400);
        let spans = [0, 20, 39].map(|index| {
            let filter = &filters[index];
            let peak = filter.weights.iter().copied().fold(0.0, f32::max);
            (filter.first, filter.weights.len(), (1e5 * peak).round())
        });
        assert_eq!(spans, [(1, 3, 1240.0), (41, 7, 719.0), (172, 28, 172.0)]);
    }

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
            let filters = filters(count, 16000, 400);
            assert_eq!(filters.len(), count);
            let found = &filters[index];
            for bin in 0..=200_usize {
                let of = |from: usize, weights: &[f32]| {
                    bin.checked_sub(from).and_then(|at| weights.get(at).copied()).unwrap_or(0.0)
                };
                let (found, expected) = (of(found.first, &found.weights), of(first, expected));
                assert!((found - expected).abs() < 1e-8, "{index} of {count}, bin {bin}: {found}");
            }
        }
    }
}
