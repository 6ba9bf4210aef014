//! Sample rate conversion by rubato's FFT resampler.

use std::ops::RangeInclusive;

use anyhow::{Context, Result, bail};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler, Sample};

use super::Audio;

/// What a sample rate can be in Hz; anything else is a damaged header, and would need a filter of
/// gigabytes.
const RATES: RangeInclusive<u32> = 1_000..=768_000;

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
            bail!("a sample rate of {rate} Hz");
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
