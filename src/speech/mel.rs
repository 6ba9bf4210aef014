//! Triangular mel filters, as Kaldi places them and as librosa does.

/// One filter: its first FFT bin and the weights from there.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub first: usize,
    pub weights: Vec<f32>,
}

fn mel(hertz: f32) -> f32 {
    1127.0 * (1.0 + hertz / 700.0).ln()
}

/// Kaldi's (`feat/mel-computations.cc`), triangles in mel: `count` filters between `low` and `high` Hz over the `fft / 2` bins of an FFT of `fft` points.
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
        trimmed(&(0..fft / 2).map(weight).collect::<Vec<_>>())
    };
    (0..count).map(filter).collect()
}

/// librosa's (`filters.mel` with its defaults), triangles in Hz on Slaney's scale, each of area one:
/// `count` filters from 0 Hz to the Nyquist frequency over all `fft / 2 + 1` bins.
pub(crate) fn slaney(count: usize, sample_rate: u32, fft: usize) -> Vec<Filter> {
    let rate = f64::from(sample_rate);
    let step = hertz_to_slaney(rate / 2.0) / (count + 1) as f64;
    let filter = |index: usize| {
        let [left, center, right] =
            [0, 1, 2].map(|edge| slaney_to_hertz(step * (index + edge) as f64));
        let weight = |bin: usize| {
            let hertz = rate * bin as f64 / fft as f64;
            let up = (hertz - left) / (center - left);
            let down = (right - hertz) / (right - center);
            (up.min(down).max(0.0) * 2.0 / (right - left)) as f32
        };
        trimmed(&(0..=fft / 2).map(weight).collect::<Vec<_>>())
    };
    (0..count).map(filter).collect()
}

/// Slaney's Auditory Toolbox: linear up to 1000 Hz, which is 15 mel, then 27 mel for a factor of 6.4.
fn hertz_to_slaney(hertz: f64) -> f64 {
    if hertz < 1000.0 {
        return hertz * 3.0 / 200.0;
    }
    15.0 + (hertz / 1000.0).ln() * 27.0 / 6.4_f64.ln()
}

fn slaney_to_hertz(mel: f64) -> f64 {
    if mel < 15.0 {
        return mel * 200.0 / 3.0;
    }
    1000.0 * ((mel - 15.0) * 6.4_f64.ln() / 27.0).exp()
}

fn trimmed(weights: &[f32]) -> Filter {
    let first = weights.iter().position(|weight| *weight > 0.0).unwrap_or(0);
    let last = weights.iter().rposition(|weight| *weight > 0.0).map_or(first, |last| last + 1);
    Filter { first, weights: weights[first..last].to_vec() }
}

#[cfg(test)]
mod tests {
    use super::{filters, slaney};

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

    #[test]
    fn slaneys_are_librosas() {
        // librosa.filters.mel(sr=16000, n_fft=400, n_mels=40): where the filters start and end, and
        // the largest weight.
        let filters = slaney(40, 16000, 400);
        let spans = [0, 20, 39].map(|index| {
            let filter = &filters[index];
            let peak = filter.weights.iter().copied().fold(0.0, f32::max);
            (filter.first, filter.weights.len(), (1e5 * peak).round())
        });
        assert_eq!(spans, [(1, 3, 1240.0), (41, 7, 719.0), (172, 28, 172.0)]);
    }
}
