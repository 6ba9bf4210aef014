//! Mel filters as SphinxBase places them (`fe_sigproc.c`): triangles in Hz whose corners are evenly
//! spaced in mel, by default moved to points of the FFT and scaled to unit area. Kaldi's
//! (`speech::mel`) are triangles in mel.

use anyhow::{Result, ensure};

use super::params::Params;

/// One filter: its first FFT bin and the weights from there.
#[derive(Debug)]
pub(super) struct Filter {
    pub first: usize,
    pub weights: Vec<f64>,
}

fn mel(hertz: f32) -> f32 {
    (2595.0 * (1.0 + f64::from(hertz) / 700.0).log10()) as f32
}

fn hertz(mel: f32) -> f32 {
    (700.0 * (10_f64.powf(f64::from(mel) / 2595.0) - 1.0)) as f32
}

/// The filters, in single precision as there: their weights are equal to the last bit.
///
/// # Errors
/// When there are so many filters that one has no bin of the FFT to itself.
pub(super) fn filters(params: &Params) -> Result<Vec<Filter>> {
    let width = params.sample_rate as f32 / params.fft_size() as f32;
    let (low, high) = (mel(params.low), mel(params.high));
    let step = (high - low) / (params.filters + 1) as f32;
    let corner = |index: usize| {
        let hertz = hertz(index as f32 * step + low);
        if !params.round_filters {
            return hertz;
        }
        (f64::from(hertz / width) + 0.5).trunc() as f32 * width
    };
    let filter = |index: usize| {
        let [left, center, right] = [0, 1, 2].map(|offset| corner(index + offset));
        let inside = |bin: &usize| (left..=right).contains(&(*bin as f32 * width));
        let bins: Vec<usize> = (0..params.fft_size() / 2).filter(inside).collect();
        let weight = |bin: &usize| {
            let hertz = *bin as f32 * width;
            let mut up = (hertz - left) / (center - left);
            let mut down = (right - hertz) / (right - center);
            if params.unit_area {
                up *= 2.0 / (right - left);
                down *= 2.0 / (right - left);
            }
            f64::from(if up < down { up } else { down })
        };
        let weights: Vec<f64> = bins.iter().map(weight).collect();
        ensure!(
            weights.iter().sum::<f64>() > 0.0 && weights.iter().all(|weight| weight.is_finite()),
            "{} filters are too many for an FFT of {} points: filter {index} has none to itself",
            params.filters,
            params.fft_size()
        );
        Ok(Filter { first: bins[0], weights })
    };
    (0..params.filters).map(filter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_points_of_the_fft() {
        let filters = filters(&Params::default()).expect("filters");
        assert_eq!(filters.len(), 40);
        // Corners at 133.3, 179.4 and 228.0 Hz, in bins 4, 6 and 7 of 31.25 Hz.
        let first = &filters[0];
        assert_eq!((first.first, first.weights.len()), (4, 4));
        let expected = [0.0, 0.5, 1.0, 0.0].map(|weight| weight * 2.0 / 93.75);
        for (weight, expected) in first.weights.iter().zip(expected) {
            assert!((weight - expected).abs() < 1e-8, "{:?}", first.weights);
        }
    }

    #[test]
    fn unit_area_and_rounding_can_be_off() {
        let params =
            Params { unit_area: false, round_filters: false, filters: 20, ..Params::default() };
        let highest = filters(&params).expect("filters").into_iter().flat_map(|f| f.weights);
        let highest = highest.fold(0.0, f64::max);
        assert!((0.9..=1.0).contains(&highest), "{highest}");
    }

    #[test]
    fn too_many_filters_are_an_error() {
        let error = filters(&Params { filters: 200, ..Params::default() }).expect_err("200");
        assert!(error.to_string().starts_with("200 filters are too many for an FFT of 512"));
    }
}
