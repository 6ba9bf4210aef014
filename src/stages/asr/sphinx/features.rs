//! Features of a model: cepstra less their mean, and their first and second differences
//! (`1s_c_d_dd`).

use super::params::Cmn;

/// Takes the mean from cepstra of `dim` values a frame.
pub(super) fn normalise(cepstra: &mut [f32], dim: usize, cmn: &Cmn) {
    let mean = match cmn {
        Cmn::Batch => mean(cepstra, dim),
        Cmn::Live(mean) => mean.iter().copied().chain(std::iter::repeat(0.0)).take(dim).collect(),
        Cmn::None => return,
    };
    for frame in cepstra.chunks_exact_mut(dim) {
        // PocketSphinx does this to its fixed mean only.
        if matches!(cmn, Cmn::Live(_)) && frame[0] < 0.0 {
            continue;
        }
        for (value, mean) in frame.iter_mut().zip(&mean) {
            *value -= mean;
        }
    }
}

/// The mean of the frames that are not silent in the digital sense, with a negative energy.
fn mean(cepstra: &[f32], dim: usize) -> Vec<f32> {
    let mut sums = vec![0_f32; dim];
    let mut count = 0_u32;
    for frame in cepstra.chunks_exact(dim).filter(|frame| frame[0] >= 0.0) {
        sums.iter_mut().zip(frame).for_each(|(sum, value)| *sum += value);
        count += 1;
    }
    sums.iter().map(|sum| sum / count.max(1) as f32).collect()
}

/// Appends differences: the first over two frames to both sides, the second of those beside it. The
/// first and last frame stand for those beyond. Gives `3 * dim` values a frame.
pub(super) fn with_deltas(cepstra: &[f32], dim: usize) -> Vec<f32> {
    let count = cepstra.len() / dim;
    let frame = |at: usize, offset: isize| {
        let at = at.saturating_add_signed(offset).min(count - 1);
        &cepstra[at * dim..(at + 1) * dim]
    };
    let mut features = Vec::with_capacity(3 * cepstra.len());
    for at in 0..count {
        features.extend_from_slice(frame(at, 0));
        let (after, before) = (frame(at, 2), frame(at, -2));
        features.extend(after.iter().zip(before).map(|(after, before)| after - before));
        let next = frame(at, 3).iter().zip(frame(at, -1)).map(|(a, b)| a - b);
        let last = frame(at, 1).iter().zip(frame(at, -3)).map(|(a, b)| a - b);
        features.extend(next.zip(last).map(|(next, last)| next - last));
    }
    features
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_passes_over_digital_silence() {
        let mut cepstra = vec![1.0, 5.0, 3.0, 7.0, -9.0, 100.0];
        normalise(&mut cepstra, 2, &Cmn::Batch);
        assert_eq!(cepstra, [-1.0, -1.0, 1.0, 1.0, -11.0, 94.0]);
        normalise(&mut cepstra, 2, &Cmn::None);
        assert_eq!(cepstra[4], -11.0);
        let mut cepstra = vec![41.0, 5.0, -1.0, 7.0];
        normalise(&mut cepstra, 2, &Cmn::Live(vec![40.0]));
        assert_eq!(cepstra, [1.0, 5.0, -1.0, 7.0]);
        // No frame to take a mean of.
        let mut cepstra = vec![-1.0];
        normalise(&mut cepstra, 1, &Cmn::Batch);
        assert_eq!(cepstra, [-1.0]);
    }

    #[test]
    fn differences_are_taken_over_two_frames() {
        let cepstra = [0.0, 1.0, 4.0, 9.0, 16.0, 25.0, 36.0, 49.0];
        let features = with_deltas(&cepstra, 1);
        // (t+2)² - (t-2)² = 8t; its difference over two frames is 16 - 0.
        assert_eq!(features[4 * 3..5 * 3], [16.0, 32.0, 16.0]);
        // At the start the first frame stands for those before: (9 - 0) - (1 - 0).
        assert_eq!(features[..3], [0.0, 4.0, 8.0]);
        assert_eq!(features.len(), 24);
    }
}
