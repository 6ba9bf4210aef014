//! One piece of audio as mono samples at the rate a stage wants.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::libc::O_NONBLOCK;

use super::fault::Fault;
use super::resample::{self, RATES};
use super::{decode, sphere};
use crate::plain_file::what_else;

/// Mono audio.
///
/// ```
/// use espnet3_par::speech::Audio;
///
/// let audio = Audio { samples: vec![0.0; 8_000], sample_rate: 16_000 };
/// assert_eq!(audio.duration(), 0.5);
/// ```
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
///
/// ```
/// use espnet3_par::speech::audio::Span;
///
/// let whole = Span::default();
/// assert_eq!(whole, Span { start: 0.0, end: None });
/// let second_minute = Span { start: 60.0, end: Some(120.0) };
/// ```
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

impl Decoded {
    /// Whether the rate and the samples can be those of sound. Files of floats can hold anything: no
    /// scale that is in use, of 32-bit integers either, has larger samples, and sums of their squares
    /// would overflow.
    ///
    /// # Errors
    /// When they cannot.
    pub(crate) fn check(self) -> Result<Self> {
        const LARGEST: f32 = 1e10;
        if !RATES.contains(&self.sample_rate) {
            let rate = self.sample_rate;
            return Err(Fault::Damaged.is(format!("wrong header: a sample rate of {rate} Hz")));
        }
        let odd = |sample: &f32| sample.is_nan() || sample.abs() > LARGEST;
        match self.samples.iter().position(odd) {
            None => Ok(self),
            Some(at) => {
                let (frame, sample) = (at / self.channels.max(1), self.samples[at]);
                Err(Fault::Damaged.is(format!("no sound: sample {frame} is {sample}")))
            }
        }
    }
}

/// Reads `span` of the WAV, FLAC or NIST SPHERE file `path`, one channel of it (counted from 0) or
/// the mean of all, at `sample_rate` Hz. Only the span is decoded where the format can seek.
///
/// ```
/// use espnet3_par::speech::audio::{self, Span};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("silence.wav");
/// # // The header of a WAV file of 32000 bytes: 16-bit PCM, mono, 16 kHz.
/// # let mut bytes = b"RIFF\x24\x7d\0\0WAVE\
/// #     fmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0\
/// #     data\0\x7d\0\0".to_vec();
/// # bytes.resize(44 + 2 * 16_000, 0);
/// # std::fs::write(&path, bytes)?;
/// // `path` is one second of silence at 16 kHz.
/// let all = audio::read(&path, Span::default(), None, 16_000)?;
/// assert_eq!(all.samples, vec![0.0; 16_000]);
/// let quarter = audio::read(&path, Span { start: 0.5, end: Some(0.75) }, Some(0), 8_000)?;
/// assert_eq!((quarter.samples.len(), quarter.duration()), (2_000, 0.25));
///
/// let error = audio::read(&path, Span::default(), Some(1), 16_000).expect_err("it is mono");
/// assert!(format!("{error:#}").ends_with("no channel 1: the file has 1, counted from 0"));
/// # Ok::<(), anyhow::Error>(())
/// ```
/// # Errors
/// Names the path and what is wrong: no such file, an unknown format, a damaged or truncated file,
/// no such channel, a span that ends more than half a second after the recording.
pub fn read(path: &Path, span: Span, channel: Option<usize>, sample_rate: u32) -> Result<Audio> {
    read_native(path, span, channel)
        .and_then(|audio| resample::resample(audio, sample_rate))
        .with_context(|| format!("failed to read audio `{}`", path.display()))
}

fn read_native(path: &Path, span: Span, channel: Option<usize>) -> Result<Audio> {
    let (file, kind) = open(path)?;
    let decoded = kind.decode(file, span)?;
    let sample_rate = decoded.sample_rate;
    Ok(Audio { samples: mono(decoded, channel)?, sample_rate })
}

/// The kinds of audio file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Wav,
    Flac,
    Sphere,
}

impl Kind {
    /// In one word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Flac => "flac",
            Self::Sphere => "sphere",
        }
    }

    /// The samples of `span`, as the file has them.
    pub(crate) fn decode(self, file: File, span: Span) -> Result<Decoded> {
        let decoded = match self {
            Self::Sphere => sphere::read(file, span)?,
            Self::Wav | Self::Flac => decode::read(file, self, span)?,
        };
        check_span(span, decoded.total_frames, decoded.sample_rate)?;
        decoded.check()
    }
}

/// Opens an audio file, and looks at its first bytes.
pub(crate) fn open(path: &Path) -> Result<(File, Kind)> {
    // A pipe would be waited for without end.
    let mut file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
    let mut magic = [0; 4];
    let metadata = file.metadata()?;
    if let Some(what) = what_else(metadata.file_type()) {
        return Err(Fault::Unreadable.is(format!("it is {what}")));
    }
    match metadata.len() {
        0 => return Err(Fault::Empty.is("the file is empty")),
        length @ 1..4 => {
            return Err(Fault::NotAudio.is(format!("too short for any audio: {length} B")));
        }
        _ => {}
    }
    file.read_exact(&mut magic)?;
    let kind = match &magic {
        sphere::MAGIC => Kind::Sphere,
        b"RIFF" => Kind::Wav,
        b"fLaC" => Kind::Flac,
        b"#!/b" => {
            let message = "it is a script; a manifest must name the audio itself";
            return Err(Fault::NotAudio.is(message));
        }
        _ => {
            let start = lossy(&magic);
            let message = format!("neither WAV, FLAC nor NIST SPHERE: it starts with {start:?}");
            return Err(Fault::NotAudio.is(message));
        }
    };
    Ok((file, kind))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The frames `start..end` that a span names at a sample rate.
pub(crate) fn frames(span: Span, sample_rate: u32) -> Result<(u64, u64)> {
    let frame = |seconds: f64| (seconds * f64::from(sample_rate)).round() as u64;
    let (start, end) = (frame(span.start), span.end.map_or(u64::MAX, frame));
    if !(span.start >= 0.0 && span.start.is_finite()) || end <= start {
        return Err(Fault::Empty.is(format!(
            "the segment from {} s to {} s holds no audio",
            span.start,
            span.end.map_or_else(|| "the end".to_owned(), |end| end.to_string()),
        )));
    }
    Ok((start, end))
}

/// Kaldi's extract-segments lets a segment end up to half a second after its recording
/// (`--max-overshoot=0.5`), because segment times are rounded; so does this.
pub(crate) fn check_span(span: Span, total_frames: Option<u64>, sample_rate: u32) -> Result<()> {
    const MAX_OVERSHOOT: f64 = 0.5;
    let Some(total) = total_frames else { return Ok(()) };
    let seconds = total as f64 / f64::from(sample_rate);
    if span.start > 0.0 && span.start >= seconds {
        return Err(Fault::BeyondTheEnd.is(format!(
            "the segment starts at {} s, but the recording ends at {seconds} s",
            span.start
        )));
    }
    match span.end {
        Some(end) if end > seconds + MAX_OVERSHOOT => Err(Fault::BeyondTheEnd
            .is(format!("the segment ends at {end} s, but the recording ends at {seconds} s"))),
        _ => Ok(()),
    }
}

fn mono(decoded: Decoded, channel: Option<usize>) -> Result<Vec<f32>> {
    let channels = decoded.channels;
    if let Some(channel) = channel.filter(|channel| *channel >= channels) {
        bail!("no channel {channel}: the file has {channels}, counted from 0");
    }
    if channels == 1 {
        return Ok(decoded.samples);
    }
    let frames = decoded.samples.chunks_exact(channels);
    Ok(match channel {
        Some(channel) => frames.map(|frame| frame[channel]).collect(),
        None => frames.map(|frame| frame.iter().sum::<f32>() / channels as f32).collect(),
    })
}
