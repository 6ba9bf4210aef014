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
}
