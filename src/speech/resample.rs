//! Sample rate conversion by rubato's FFT resampler.

use anyhow::{Context, Result};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

use super::Audio;

/// Converts to `sample_rate` Hz; audio that has it already is returned as it is.
///
/// # Errors
/// When either rate is zero.
pub(crate) fn resample(audio: Audio, sample_rate: u32) -> Result<Audio> {
    if audio.sample_rate == sample_rate {
        return Ok(audio);
    }
    let length = audio.samples.len();
    let (from, to) = (audio.sample_rate as usize, sample_rate as usize);
    let what = || format!("cannot resample from {from} Hz to {to} Hz");
    let mut resampler = Fft::<f32>::new(from, to, 1024, 1, FixedSync::Both).with_context(what)?;
    if length == 0 {
        return Ok(Audio { samples: Vec::new(), sample_rate });
    }
    let input = InterleavedSlice::new(&audio.samples, 1, length).with_context(what)?;
    let output = resampler.process_all(&input, length, None).with_context(what)?;
    let mut samples = output.take_data();
    samples.truncate((length * to).div_ceil(from));
    Ok(Audio { samples, sample_rate })
}
