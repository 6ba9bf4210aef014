//! What an audio file is, and whether it is whole.

use std::path::Path;

use anyhow::Result;

use super::audio::{self, Kind, Span};
use super::{decode, sphere};

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Inspected {
    pub kind: Kind,
    /// Hz, as in the file.
    pub sample_rate: u32,
    pub num_channels: usize,
    /// Frames of the span.
    pub frames: u64,
    /// Frames of the whole file, where that is known.
    pub total_frames: Option<u64>,
    /// Samples were decoded, and all are zero.
    pub silent: bool,
}

/// Looks at `span` of the audio file `path`: at its samples, or with `decode: false` at the header and
/// the file's length alone.
///
/// # Errors
/// As [`audio::read`], without the path.
pub(crate) fn inspect(path: &Path, span: Span, decode: bool) -> Result<Inspected> {
    let (file, kind) = audio::open(path)?;
    let decoded = match (decode, kind) {
        (true, kind) => kind.decode(file, span)?,
        (false, Kind::Sphere) => sphere::header(file)?.check()?,
        (false, kind) => decode::header(file, kind)?.check()?,
    };
    let (sample_rate, num_channels) = (decoded.sample_rate, decoded.channels);
    let mut frames = decoded.samples.len() as u64 / num_channels.max(1) as u64;
    let mut total_frames = decoded.total_frames;
    if decode {
        let whole = span == Span::default();
        total_frames = total_frames.or(whole.then_some(frames));
    } else {
        audio::check_span(span, total_frames, sample_rate)?;
        let (start, end) = audio::frames(span, sample_rate)?;
        frames = end.min(total_frames.unwrap_or(end)).saturating_sub(start);
    }
    let silent = frames > 0 && decode && decoded.samples.iter().all(|sample| *sample == 0.0);
    Ok(Inspected { kind, sample_rate, num_channels, frames, total_frames, silent })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::fault::Fault;
    use crate::speech::testing::{sine, sphere, wav, write};

    const WHOLE: Span = Span { start: 0.0, end: None };

    fn files() -> Vec<(Kind, Vec<u8>)> {
        let samples = sine(440.0, 16000, 0.25);
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let fields = "sample_count -i 4000\nsample_rate -i 16000\nsample_byte_format -s2 01";
        vec![
            (Kind::Wav, wav(&samples, 16000, 1)),
            (Kind::Flac, include_bytes!("fixtures/tones.flac").to_vec()),
            (Kind::Sphere, sphere(fields, &bytes)),
        ]
    }

    #[test]
    fn the_header_tells_what_the_samples_do() {
        for (kind, bytes) in files() {
            let (_dir, path) = write("a", &bytes);
            let num_channels = if kind == Kind::Flac { 2 } else { 1 };
            let part = Span { start: 0.05, end: Some(0.15) };
            for (span, frames) in [(WHOLE, 4000), (part, 1600)] {
                for decode in [true, false] {
                    let found = inspect(&path, span, decode).expect("audio");
                    let total_frames = Some(4000);
                    let expected = Inspected {
                        kind,
                        sample_rate: 16000,
                        num_channels,
                        frames,
                        total_frames,
                        silent: false,
                    };
                    assert_eq!(found, expected);
                }
            }
        }
    }

    #[test]
    fn a_cut_file_is_truncated_and_a_late_segment_beyond_the_end() {
        for (kind, bytes) in files() {
            let (_dir, path) = write("a", &bytes);
            let (_cut_dir, cut) = write("b", &bytes[..bytes.len() - 100]);
            for decode in [true, false] {
                let late = Span { start: 0.0, end: Some(1.0) };
                let error = inspect(&path, late, decode).expect_err("ends before");
                assert_eq!(Fault::of(&error, Fault::Damaged), Fault::BeyondTheEnd, "{error:#}");
                let found = inspect(&cut, WHOLE, decode);
                if kind == Kind::Flac {
                    assert_eq!(found.is_ok(), !decode, "{found:?}");
                } else {
                    let error = found.expect_err("ends early");
                    assert_eq!(Fault::of(&error, Fault::Damaged), Fault::Truncated, "{error:#}");
                }
            }
        }
    }

    #[test]
    fn silence_is_noticed_and_a_length_that_a_pipe_did_not_know() {
        let mut bytes = wav(&[0; 800], 8000, 2);
        bytes[4..8].fill(0xff);
        bytes[40..44].fill(0xff);
        let (_dir, path) = write("a.wav", &bytes);
        for decode in [true, false] {
            let found = inspect(&path, WHOLE, decode).expect("audio");
            assert_eq!((found.frames, found.total_frames), (400, Some(400)));
            assert_eq!(found.silent, decode);
        }
    }
}
