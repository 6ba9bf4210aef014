//! Convolution with a long filter, such as a room impulse response, by FFT.

use realfft::RealFftPlanner;

/// `signal` convolved with `kernel`, as long as `signal`: what sounds on after its end is cut off.
/// Overlap-add, so the memory needed depends on the kernel alone.
pub(crate) fn convolve(signal: &[f64], kernel: &[f64]) -> Vec<f64> {
    // The rest of the kernel would be heard after the end only.
    let kernel = &kernel[..kernel.len().min(signal.len())];
    if kernel.is_empty() {
        return vec![0.0; signal.len()];
    }
    let points = (2 * kernel.len()).next_power_of_two().max(1024);
    let step = points - kernel.len() + 1;
    let mut planner = RealFftPlanner::new();
    let (forward, inverse) = (planner.plan_fft_forward(points), planner.plan_fft_inverse(points));
    let transform = |samples: &[f64]| {
        let mut padded = forward.make_input_vec();
        padded[..samples.len()].copy_from_slice(samples);
        let mut spectrum = forward.make_output_vec();
        forward.process(&mut padded, &mut spectrum).expect("the buffers were made by this plan");
        spectrum
    };
    let response = transform(kernel);
    let mut sound = inverse.make_output_vec();
    let mut sum = vec![0.0; signal.len()];
    for (number, block) in signal.chunks(step).enumerate() {
        let mut spectrum = transform(block);
        for (bin, factor) in spectrum.iter_mut().zip(&response) {
            *bin *= factor / points as f64;
        }
        // The inverse of a real signal's spectrum wants these exactly real; products of two such
        // spectra are.
        inverse.process(&mut spectrum, &mut sound).expect("a spectrum of a real signal");
        for (sum, value) in sum[number * step..].iter_mut().zip(&sound) {
            *sum += value;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize, mut seed: u64) -> Vec<f64> {
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 40) as f64 / f64::from(1 << 23) - 1.0
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn blocks_add_up_to_the_sum_of_products() {
        for (length, taps) in [(5000, 700), (1000, 1), (300, 900), (1, 1), (2600, 513), (0, 3)] {
            let (signal, kernel) = (noise(length, 1), noise(taps, 2));
            let found = convolve(&signal, &kernel);
            assert_eq!(found.len(), length);
            for (at, found) in found.iter().enumerate() {
                let products = kernel.iter().zip(signal[..=at].iter().rev());
                let expected: f64 = products.map(|(kernel, signal)| kernel * signal).sum();
                assert!((found - expected).abs() < 1e-11, "{length}, {taps}: {at}");
            }
        }
        assert_eq!(convolve(&[1.0, 2.0], &[]), [0.0, 0.0]);
    }
}
