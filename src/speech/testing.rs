//! Audio that tests make for themselves.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

/// Writes a file into a directory of its own.
pub(crate) fn write(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join(name);
    fs::write(&path, bytes).expect("a temporary file");
    (directory, path)
}

/// A sine of half the full scale.
pub(crate) fn sine(hertz: f64, sample_rate: u32, seconds: f64) -> Vec<i16> {
    let rate = f64::from(sample_rate);
    let sample = |i| (16384.0 * (std::f64::consts::TAU * hertz * f64::from(i) / rate).sin()) as i16;
    (0..(seconds * rate) as u32).map(sample).collect()
}

/// A WAV file of 16-bit PCM.
pub(crate) fn wav(interleaved: &[i16], sample_rate: u32, channels: u16) -> Vec<u8> {
    let size = 2 * u32::try_from(interleaved.len()).expect("a short test file");
    let mut bytes = [b"RIFF", &(36 + size).to_le_bytes()[..], b"WAVEfmt ", &[16, 0, 0, 0]].concat();
    for word in [1, channels] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(sample_rate.to_le_bytes());
    bytes.extend((sample_rate * 2 * u32::from(channels)).to_le_bytes());
    for word in [2 * channels, 16] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(b"data");
    bytes.extend(size.to_le_bytes());
    bytes.extend(interleaved.iter().flat_map(|sample| sample.to_le_bytes()));
    bytes
}

/// A NIST SPHERE file with these header fields and sample bytes.
pub(crate) fn sphere(fields: &str, samples: &[u8]) -> Vec<u8> {
    let mut bytes = format!("NIST_1A\n   1024\n{fields}\nend_head\n").into_bytes();
    bytes.resize(1024, b' ');
    bytes.extend_from_slice(samples);
    bytes
}
