//! One piece of audio as mono samples at the rate a stage wants.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::fault::Fault;
use super::{decode, resample, sphere};

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
        .and_then(sane)
        .and_then(|audio| resample::resample(audio, sample_rate))
        .with_context(|| format!("failed to read audio `{}`", path.display()))
}

/// Files of floats can hold anything. No scale that is in use, of 32-bit integers either, has larger
/// samples, and sums of their squares would overflow.
fn sane(audio: Audio) -> Result<Audio> {
    const LARGEST: f32 = 1e10;
    match audio.samples.iter().position(|sample| sample.is_nan() || sample.abs() > LARGEST) {
        None => Ok(audio),
        Some(at) => bail!("damaged: sample {at} is {}", audio.samples[at]),
    }
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
        Ok(decoded)
    }
}

/// Opens an audio file, and looks at its first bytes.
pub(crate) fn open(path: &Path) -> Result<(File, Kind)> {
    let mut file = File::open(path)?;
    let mut magic = [0; 4];
    let length = file.metadata()?.len();
    if length == 0 {
        return Err(Fault::Empty.is("the file is empty"));
    }
    if length < 4 {
        return Err(Fault::NotAudio.is(format!("the file has only {length} bytes")));
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::speech::testing::{sine, sphere, wav, write};

    const WHOLE: Span = Span { start: 0.0, end: None };

    fn error(path: &Path, span: Span, channel: Option<usize>) -> String {
        let error = read(path, span, channel, 16000).expect_err("should not be readable");
        format!("{error:#}")
    }

    fn tone(name: &str, rate: u32, seconds: f64) -> (tempfile::TempDir, PathBuf) {
        write(name, &wav(&sine(440.0, rate, seconds), rate, 1))
    }

    #[test]
    fn wav_samples_are_exact() {
        let samples = [0, 1, -1, i16::MAX, i16::MIN];
        let (_dir, path) = write("a.wav", &wav(&samples, 16000, 1));
        let audio = read(&path, WHOLE, None, 16000).expect("a WAV file");
        assert_eq!(audio.samples, samples.map(|s| f32::from(s) / 32768.0));
    }

    #[test]
    fn flac_channels() {
        let (_dir, path) = write("a.flac", include_bytes!("fixtures/tones.flac"));
        // 4000 frames of 440 Hz at 0.25 on the left, 880 Hz at 0.125 on the right.
        let left = read(&path, WHOLE, Some(0), 16000).expect("FLAC");
        let both = read(&path, WHOLE, None, 16000).expect("FLAC");
        let peak = |audio: &Audio| audio.samples.iter().fold(0.0, |peak: f32, s| peak.max(*s));
        assert_eq!(left.samples.len(), 4000);
        assert!((peak(&left) - 0.25).abs() < 1e-3, "{}", peak(&left));
        assert!(peak(&both) < 0.188, "{}", peak(&both));
        assert!(
            error(&path, WHOLE, Some(2)).ends_with("no channel 2: the file has 2, counted from 0")
        );
    }

    #[test]
    fn segments_are_the_same_samples() {
        let flac = write("a.flac", include_bytes!("fixtures/tones.flac"));
        for (_dir, path) in [tone("a.wav", 16000, 0.25), flac] {
            let whole = read(&path, WHOLE, None, 16000).expect("audio").samples;
            let part = Span { start: 0.1, end: Some(0.2) };
            assert_eq!(read(&path, part, None, 16000).expect("audio").samples, whole[1600..3200]);
            let rest = Span { start: 0.2, end: Some(0.6) };
            assert_eq!(read(&path, rest, None, 16000).expect("audio").samples, whole[3200..]);
            let late = Span { start: 0.2, end: Some(0.8) };
            let late = error(&path, late, None);
            assert!(late.contains("ends at 0.8 s, but the recording ends at 0.25 s"), "{late}");
            let outside = error(&path, Span { start: 1.0, end: Some(1.1) }, None);
            assert!(outside.contains("starts at 1 s, but the recording ends at 0.25 s"));
            let backwards = error(&path, Span { start: 0.2, end: Some(0.1) }, None);
            assert!(backwards.contains("from 0.2 s to 0.1 s holds no audio"), "{backwards}");
        }
    }

    #[test]
    fn resampling_keeps_the_tone_and_the_length() {
        for rate in [8000, 11025, 22050, 44100, 48000] {
            let (_dir, path) = tone("a.wav", rate, 0.5);
            let audio = read(&path, WHOLE, None, 16000).expect("a WAV file");
            assert_eq!((audio.samples.len(), audio.sample_rate), (8000, 16000), "{rate}");
            let expected = sine(440.0, 16000, 0.5);
            let middle = audio.samples.iter().zip(expected).skip(1000).take(6000);
            let difference =
                middle.map(|(found, expected)| (found - f32::from(expected) / 32768.0).abs());
            let worst = difference.fold(0.0, f32::max);
            assert!(worst < 2e-3, "{rate} Hz: off by {worst}");
        }
    }

    #[test]
    fn empty_audio_is_audio() {
        let (_dir, path) = write("a.wav", &wav(&[], 8000, 1));
        assert!(read(&path, WHOLE, None, 16000).expect("no samples").samples.is_empty());
    }

    #[test]
    fn a_header_from_a_pipe_does_not_know_the_length() {
        let samples = sine(440.0, 16000, 0.5);
        // What sox and ffmpeg write.
        for (riff, data) in [(0x7fff_f024_u32, 0x7fff_f000_u32), (u32::MAX, u32::MAX)] {
            let mut bytes = wav(&samples, 16000, 1);
            bytes[4..8].copy_from_slice(&riff.to_le_bytes());
            bytes[40..44].copy_from_slice(&data.to_le_bytes());
            let (_dir, path) = write("a.wav", &bytes);
            let audio = read(&path, WHOLE, None, 16000).expect("a WAV file");
            assert_eq!(audio.samples.len(), samples.len(), "{data:#x}");
        }
    }

    #[test]
    fn broken_files_say_what_is_wrong() {
        let whole = wav(&sine(440.0, 16000, 0.5), 16000, 1);
        let flac = include_bytes!("fixtures/tones.flac");
        let mut corrupt = flac.to_vec();
        corrupt[2000..2100].fill(0x55);
        let mut wrong_md5 = flac.to_vec();
        wrong_md5[30] ^= 1;
        let cases: [(&str, &[u8], &str); 8] = [
            ("a.flac", &wrong_md5, "wrong checksum"),
            ("a.wav", &[], "the file is empty"),
            ("a.wav", b"RI", "the file has only 2 bytes"),
            ("a.wav", b"ID3\x04 an mp3", "neither WAV, FLAC nor NIST SPHERE"),
            ("a.wav", &whole[..20], "damaged header: "),
            (
                "a.wav",
                &whole[..44 + 2000],
                "the file ends early: 1000 of 8000 samples could be read",
            ),
            ("a.flac", &flac[..2000], "samples"),
            ("a.flac", &corrupt, "samples"),
        ];
        for (name, bytes, expected) in cases {
            let (_dir, path) = write(name, bytes);
            let error = error(&path, WHOLE, None);
            assert!(error.contains(expected), "{error}");
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
        let missing = error(Path::new("no/such.wav"), WHOLE, None);
        assert!(missing.contains("`no/such.wav`: No such file or directory"), "{missing}");
        let mut rate = whole;
        rate[24..28].fill(0xff);
        let (_dir, path) = write("a.wav", &rate);
        let error = error(&path, WHOLE, None);
        assert!(error.ends_with("a sample rate of 4294967295 Hz"), "{error}");
    }

    #[test]
    fn floats_that_are_no_samples() {
        for (value, said) in
            [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf"), (1e11, "100000000000")]
        {
            // The same bytes as 32-bit floats, format tag 3.
            let mut file = wav(&[0; 1000], 8000, 1);
            (file[20], file[32], file[34]) = (3, 4, 32);
            file[44 + 4 * 7..][..4].copy_from_slice(&value.to_le_bytes());
            let (_dir, path) = write("a.wav", &file);
            assert!(error(&path, WHOLE, None).ends_with(&format!("damaged: sample 7 is {said}")));
        }
    }

    #[test]
    fn damage_anywhere_is_an_error_or_audio_never_a_panic() {
        let samples = sine(440.0, 16000, 0.1);
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let fields = "sample_count -i 1600\nsample_rate -i 16000\nsample_byte_format -s2 01\n";
        let files = [
            wav(&samples, 16000, 1),
            include_bytes!("fixtures/tones.flac").to_vec(),
            sphere(fields, &bytes),
        ];
        let mut seed: u64 = 1;
        let mut random = move |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for whole in files {
            let (_dir, path) = write("damaged", &whole);
            let intact = read(&path, WHOLE, None, 16000).expect("an intact file").samples.len();
            for _ in 0..150 {
                let mut damaged = whole.clone();
                // Mostly in the header, where it matters most.
                for _ in 0..=random(3) {
                    let within = if random(4) == 0 { damaged.len() } else { 120 };
                    damaged[random(within)] = random(256) as u8;
                }
                if random(4) == 0 {
                    damaged.truncate(random(damaged.len()));
                }
                std::fs::write(&path, damaged).expect("a file");
                if let Ok(audio) = read(&path, WHOLE, None, 16000) {
                    assert!(audio.samples.len() <= 100 * intact, "{}", audio.samples.len());
                }
            }
        }
    }
}
