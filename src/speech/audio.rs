//! One piece of audio as mono samples at the rate a stage wants.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{decode, resample, sphere};

/// Mono audio.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// Samples in `[-1, 1)`.
    pub samples: Vec<f32>,
    /// Samples per second.
    pub sample_rate: u32,
}

impl Audio {
    /// The length in seconds.
    #[must_use]
    pub fn duration(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate)
    }
}

/// Which part of a recording is wanted: from `start` to `end` in seconds, the end of the recording
/// if there is no `end`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Span {
    /// Seconds from the start of the recording.
    pub start: f64,
    /// Seconds from the start of the recording; `None` is its end.
    pub end: Option<f64>,
}

/// Samples as a file has them.
pub(crate) struct Decoded {
    /// Interleaved samples of the frames that were asked for.
    pub samples: Vec<f32>,
    pub channels: usize,
    pub sample_rate: u32,
    /// Frames of the whole recording, where the header says.
    pub total_frames: Option<u64>,
}

/// Reads `span` of the WAV, FLAC or NIST SPHERE file `path`, one channel of it (counted from 0) or
/// the mean of all, at `sample_rate` Hz. Only the span is decoded where the format can seek.
///
/// # Errors
/// Names the path and what is wrong: no such file, an unknown format, a damaged or truncated file,
/// no such channel, a span that ends more than half a second after the recording.
pub fn read(path: &Path, span: Span, channel: Option<usize>, sample_rate: u32) -> Result<Audio> {
    read_native(path, span, channel)
        .and_then(|audio| resample::resample(audio, sample_rate))
        .with_context(|| format!("failed to read audio `{}`", path.display()))
}

fn read_native(path: &Path, span: Span, channel: Option<usize>) -> Result<Audio> {
    let mut file = File::open(path)?;
    let mut magic = [0; 4];
    let length = file.metadata()?.len();
    if length == 0 {
        bail!("the file is empty");
    }
    if length < 4 {
        bail!("the file has only {length} bytes");
    }
    file.read_exact(&mut magic)?;
    let decoded = match &magic {
        sphere::MAGIC => sphere::read(file, span)?,
        b"RIFF" | b"fLaC" => decode::read(file, &magic, span)?,
        b"#!/b" => bail!("it is a script; a manifest must name the audio itself"),
        _ => bail!("neither WAV, FLAC nor NIST SPHERE: it starts with {:?}", lossy(&magic)),
    };
    check_span(span, &decoded)?;
    let samples = mono(&decoded, channel)?;
    Ok(Audio { samples, sample_rate: decoded.sample_rate })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The frames `start..end` that a span names at a sample rate.
pub(crate) fn frames(span: Span, sample_rate: u32) -> Result<(u64, u64)> {
    let frame = |seconds: f64| (seconds * f64::from(sample_rate)).round() as u64;
    let (start, end) = (frame(span.start), span.end.map_or(u64::MAX, frame));
    if !(span.start >= 0.0 && span.start.is_finite()) || end <= start {
        bail!(
            "the segment from {} s to {} s holds no audio",
            span.start,
            span.end.map_or_else(|| "the end".to_owned(), |end| end.to_string()),
        );
    }
    Ok((start, end))
}

/// Kaldi's extract-segments lets a segment end up to half a second after its recording
/// (`--max-overshoot=0.5`), because segment times are rounded; so does this.
fn check_span(span: Span, decoded: &Decoded) -> Result<()> {
    const MAX_OVERSHOOT: f64 = 0.5;
    let Some(total) = decoded.total_frames else { return Ok(()) };
    let seconds = total as f64 / f64::from(decoded.sample_rate);
    if span.start > 0.0 && span.start >= seconds {
        bail!("the segment starts at {} s, but the recording ends at {seconds} s", span.start);
    }
    match span.end {
        Some(end) if end > seconds + MAX_OVERSHOOT => {
            bail!("the segment ends at {end} s, but the recording ends at {seconds} s")
        }
        _ => Ok(()),
    }
}

fn mono(decoded: &Decoded, channel: Option<usize>) -> Result<Vec<f32>> {
    let channels = decoded.channels;
    if let Some(channel) = channel.filter(|channel| *channel >= channels) {
        bail!("no channel {channel}: the file has {channels}, counted from 0");
    }
    if channels == 1 {
        return Ok(decoded.samples.clone());
    }
    let frames = decoded.samples.chunks_exact(channels);
    Ok(match channel {
        Some(channel) => frames.map(|frame| frame[channel]).collect(),
        None => frames.map(|frame| frame.iter().sum::<f32>() / channels as f32).collect(),
    })
}
