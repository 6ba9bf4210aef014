//! Writing audio: 16-bit mono, as WAV or FLAC.

use anyhow::{Context, Result};
use libflac_rs::{Encoder, EncoderConfig};
use serde::Deserialize;

/// The kind of audio file.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// RIFF WAVE.
    #[default]
    Wav,
    /// FLAC, about half as large.
    Flac,
}

/// One step of a 16-bit sample.
const STEP: f64 = 1.0 / 32768.0;

/// The factor, at most 1, at which no sample is over the full scale of 16 bits; a multiple of
/// 0.000001.
pub(crate) fn gain_within_scale(samples: &[f64]) -> f64 {
    let (low, high) = samples
        .iter()
        .fold((0.0, 0.0), |(low, high): (f64, f64), sample| (low.min(*sample), high.max(*sample)));
    let over = (high / (1.0 - STEP)).max(-low);
    if over > 1.0 { (1e6 / over).floor() / 1e6 } else { 1.0 }
}

/// Samples in `[-1, 1)` as 16-bit integers, rounded; what is over the scale is cut.
pub(crate) fn quantise(samples: &[f64]) -> Vec<i16> {
    // A cast saturates.
    samples.iter().map(|sample| (sample / STEP).round() as i16).collect()
}

impl Format {
    /// How names of such files end.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Flac => "flac",
        }
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// When a WAV file would be of 4 GiB or more.
    pub(crate) fn encode(self, samples: &[i16], sample_rate: u32) -> Result<Vec<u8>> {
        match self {
            Self::Wav => wav(samples, sample_rate),
            Self::Flac => {
                let samples: Vec<i32> = samples.iter().map(|&sample| sample.into()).collect();
                // 5 is what flac(1) takes.
                let config = EncoderConfig::new(1, 16, sample_rate).with_compression_level(5);
                Ok(Encoder::new(config).encode(&samples))
            }
        }
    }
}

fn wav(samples: &[i16], sample_rate: u32) -> Result<Vec<u8>> {
    const HEADER: u32 = 44;
    let data = u32::try_from(2 * samples.len()).ok();
    let riff = data.and_then(|data| data.checked_add(HEADER - 8));
    let (data, riff) =
        data.zip(riff).context("too long for a WAV file; `format: flac` takes it")?;
    let mut bytes = Vec::with_capacity(HEADER as usize + 2 * samples.len());
    let numbers = |bytes: &mut Vec<u8>, numbers: &[u32]| {
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    };
    bytes.extend(b"RIFF");
    numbers(&mut bytes, &[riff]);
    bytes.extend(b"WAVEfmt ");
    // Sixteen bytes follow; PCM, one channel; frames and bytes a second; two bytes a frame, 16 bits.
    numbers(&mut bytes, &[16, 1 | 1 << 16, sample_rate, 2 * sample_rate, 2 | 16 << 16]);
    bytes.extend(b"data");
    numbers(&mut bytes, &[data]);
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::audio::{Span, read};
    use crate::speech::testing::{self, sine, write};

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(
            Format::Wav.encode(&[1, -2, i16::MIN], 22_050).expect("a WAV file"),
            testing::wav(&[1, -2, i16::MIN], 22_050, 1)
        );
        let mut seed: u64 = 1;
        let mut noise = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((seed >> 48) as u16).cast_signed()
        };
        let signals = [
            vec![0],
            vec![0; 9000],
            [i16::MIN, i16::MAX].repeat(5000),
            sine(440.0, 16_000, 1.0),
            (0..10_000).map(|_| noise()).collect(),
            (0..10_000).map(|_| noise() >> 9).collect(),
            [sine(100.0, 16_000, 0.2), vec![0; 5000], (0..5000).map(|_| noise()).collect()]
                .concat(),
        ];
        for samples in signals {
            for format in [Format::Wav, Format::Flac] {
                let bytes = format.encode(&samples, 16_000).expect("audio");
                let (_dir, path) = write("a", &bytes);
                // Reading FLAC checks the MD5 of its samples, too.
                let found = read(&path, Span::default(), None, 16_000).expect("readable");
                let found: Vec<_> = found.samples.iter().map(|&s| f64::from(s)).collect();
                assert!(quantise(&found) == samples, "{format:?} of {} samples", samples.len());
            }
        }
    }

    #[test]
    fn the_gain_keeps_all_within_16_bits() {
        let top = 32767.0 / 32768.0;
        assert_eq!(gain_within_scale(&[0.5, -1.0, top]), 1.0);
        for samples in [[1.0, 0.1], [-1.5, 0.1], [3.7, -3.9], [top + 1e-9, 0.0]] {
            let gain = gain_within_scale(&samples);
            assert!(gain < 1.0);
            let scaled = samples.map(|sample| sample * gain);
            assert_eq!(gain_within_scale(&scaled), 1.0);
            // No quieter than it must be: the loudest is at the scale.
            assert!(scaled.iter().any(|sample| sample.abs() > top - 1e-5), "{scaled:?}");
        }
        assert_eq!(quantise(&[1.0, -1.0, 0.5 * STEP, -2.6 * STEP]), [32767, -32768, 1, -3]);
    }
}
