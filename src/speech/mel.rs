//! Triangular mel filters as Kaldi places them (`feat/mel-computations.cc`): triangles in mel, over
//! the FFT bins below the Nyquist frequency.

/// One filter: its first FFT bin and the weights from there.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub first: usize,
    pub weights: Vec<f32>,
}

impl Filter {
    /// From the weights of all bins.
    pub(crate) fn of(weights: &[f32]) -> Self {
        let first = weights.iter().position(|weight| *weight > 0.0).unwrap_or(0);
        let last = weights.iter().rposition(|weight| *weight > 0.0).map_or(first, |last| last + 1);
        Self { first, weights: weights[first..last].to_vec() }
    }
}

fn mel(hertz: f32) -> f32 {
    1127.0 * (1.0 + hertz / 700.0).ln()
}

/// `count` filters between `low` and `high` Hz over the `fft / 2` bins of an FFT of `fft` points.
pub(crate) fn filters(
    count: usize,
    (low, high): (f32, f32),
    sample_rate: u32,
    fft: usize,
) -> Vec<Filter> {
    let width = sample_rate as f32 / fft as f32;
    let (low, high) = (mel(low), mel(high));
    let delta = (high - low) / (count + 1) as f32;
    let filter = |index: usize| {
        let left = low + index as f32 * delta;
        let (center, right) = (left + delta, left + 2.0 * delta);
        let weight = |bin: usize| {
            let mel = mel(width * bin as f32);
            let up = (mel - left) / (center - left);
            let down = (right - mel) / (right - center);
            up.min(down).max(0.0)
        };
        Filter::of(&(0..fft / 2).map(weight).collect::<Vec<_>>())
    };
    (0..count).map(filter).collect()
}

#[cfg(test)]
mod tests {
    use super::filters;

    #[test]
    fn neighbours_add_up_to_one_between_the_first_and_last_center() {
        let filters = filters(23, (20.0, 8000.0), 16000, 512);
        let mut sums = vec![0.0; 256];
        for filter in &filters {
            for (bin, weight) in (filter.first..).zip(&filter.weights) {
                sums[bin] += weight;
            }
        }
        // 20 Hz is below bin 1; the first center is at about 108 Hz, the last at about 7200 Hz.
        assert!(sums[5..225].iter().all(|sum: &f32| (sum - 1.0).abs() < 1e-4), "{sums:?}");
        assert_eq!(sums[0], 0.0);
    }
}
