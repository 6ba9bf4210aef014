//! Sample rate conversion by rubato's FFT resampler.

use std::ops::RangeInclusive;

use anyhow::{Context, Result, bail};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler, Sample};

use super::Audio;

/// What a sample rate can be in Hz; anything else is a damaged header, and would need a filter of
/// gigabytes.
pub(crate) const RATES: RangeInclusive<u32> = 1_000..=768_000;

/// Converts to `sample_rate` Hz; audio that has it already is returned as it is.
///
/// # Errors
/// When either rate is impossible.
pub(crate) fn resample(audio: Audio, sample_rate: u32) -> Result<Audio> {
    if audio.sample_rate == sample_rate {
        return Ok(audio);
    }
    for rate in [audio.sample_rate, sample_rate] {
        if !RATES.contains(&rate) {
            bail!("no sound has a sample rate of {rate} Hz");
        }
    }
    let (from, to) = (audio.sample_rate as usize, sample_rate as usize);
    let what = || format!("cannot resample from {from} Hz to {to} Hz");
    Ok(Audio { samples: change_rate(&audio.samples, from, to).with_context(what)?, sample_rate })
}

/// `to` samples for each `from` samples, of the same sound without delay; as many as its length
/// needs, rounded up.
///
/// # Errors
/// When the library refuses the numbers.
pub(crate) fn change_rate<T: Sample>(samples: &[T], from: usize, to: usize) -> Result<Vec<T>> {
    let length = samples.len();
    let block = from / gcd(from, to);
    // An even number of blocks, at least 1024 samples: with an odd FFT the result would be half a
    // sample late, because the resampler's delay would not be a whole number of samples.
    let chunk = 2 * 512_usize.div_ceil(block) * block;
    let mut resampler = Fft::<T>::new(from, to, chunk, 1, FixedSync::Both)?;
    if length == 0 {
        return Ok(Vec::new());
    }
    let input = InterleavedSlice::new(samples, 1, length)?;
    let mut changed = resampler.process_all(&input, length, None)?.take_data();
    changed.truncate((length * to).div_ceil(from));
    Ok(changed)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest sample in the middle of a tone of amplitude 1 after the change, and what is left
    /// of it when the tone that should be there is taken away.
    fn tone(hertz: f64, from: usize, to: usize) -> (f64, f64) {
        let step = std::f64::consts::TAU * hertz / 16_000.0;
        let sine = |step: f64, length: usize| (0..length).map(move |i| (step * i as f64).sin());
        let changed =
            change_rate(&sine(step, 16_000).collect::<Vec<_>>(), from, to).expect("rates");
        let expected = sine(step * from as f64 / to as f64, changed.len());
        let middle = changed.iter().zip(expected).skip(3000).take(changed.len() - 6000);
        middle.fold((0.0, 0.0), |(loudest, off): (f64, f64), (found, expected)| {
            (loudest.max(found.abs()), off.max((found - expected).abs()))
        })
    }

    #[test]
    fn what_both_rates_can_hold_passes_and_nothing_else() {
        for (from, to) in [(9, 10), (11, 10), (937, 1000)] {
            // The Nyquist frequencies are at 8000 Hz before, and here after the change.
            let nyquist = 8000.0 * (to as f64 / from as f64).min(1.0);
            for part in [0.1, 0.5, 0.9, 0.95] {
                let (_, off) = tone(part * nyquist, from, to);
                assert!(off < 1e-4, "{from}:{to}, {part} of Nyquist: off by {off}");
            }
            if from > to {
                let (loudest, _) = tone(1.03 * nyquist, from, to);
                assert!(loudest < 1e-4, "{from}:{to}: {loudest}");
            }
        }
        assert!(change_rate::<f64>(&[], 9, 10).expect("rates").is_empty());
    }
}
