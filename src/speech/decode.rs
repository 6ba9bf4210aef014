//! WAV and FLAC by symphonia.

use std::fs::File;
use std::io::{ErrorKind, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context, Result, anyhow, bail};
use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, SeekMode, SeekTo, Track, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use super::audio::{Decoded, Kind, Span, frames};
use super::fault::Fault;

/// A WAV header that a program wrote into a pipe, before the length was known, says about 2 GiB
/// (sox) or 4 GiB (ffmpeg).
const UNKNOWN_LENGTH: u64 = 0x7fff_0000;

/// Bytes before the samples of a WAV file, at least.
const WAV_HEADER: u64 = 44;

/// Decodes the frames of `span`; damage is an error, not a gap.
pub(crate) fn read(file: File, kind: Kind, span: Span) -> Result<Decoded> {
    guarded(|| decode_file(file, kind, span))
}

/// Reads the header alone: no samples. A WAV file that is shorter than its header says is an error;
/// of a FLAC file nobody can tell.
pub(crate) fn header(file: File, kind: Kind) -> Result<Decoded> {
    let length = file.metadata()?.len();
    guarded(|| {
        let Opened { channels, sample_rate, width, mut total_frames, .. } = open(file, kind)?;
        if kind == Kind::Wav {
            let there = length.saturating_sub(WAV_HEADER) / width;
            let total = *total_frames.get_or_insert(there);
            if total > there {
                let message = format!("the file ends early: {there} of {total} samples are there");
                return Err(Fault::Truncated.is(message));
            }
        }
        Ok(Decoded { samples: Vec::new(), channels, sample_rate, total_frames })
    })
}

/// Built with overflow checks, symphonia panics at some damaged files.
fn guarded(work: impl FnOnce() -> Result<Decoded>) -> Result<Decoded> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| bail!("wrong header or samples: the decoder gave up"))
}

/// A file whose header was read.
struct Opened {
    reader: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: Track,
    channels: usize,
    sample_rate: u32,
    /// Bytes of a frame, where it is PCM.
    width: u64,
    /// Where the header says.
    total_frames: Option<u64>,
}

fn open(mut file: File, kind: Kind) -> Result<Opened> {
    file.rewind()?;
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut hint = Hint::new();
    hint.with_extension(if kind == Kind::Flac { "flac" } else { "wav" });
    let reader = symphonia::default::get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|error| no_header(&error))?;
    let track = reader.default_track(TrackType::Audio).context("no audio in the file")?.clone();
    let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
    let parameters = parameters.context("the header does not say how the audio is coded")?;
    let sample_rate = parameters.sample_rate.context("the header gives no sample rate")?;
    let channels = parameters.channels.as_ref().map_or(1, Channels::count);
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default().verify(true))
        .map_err(|error| no_header(&error))?;
    let width = channels as u64 * u64::from(parameters.bits_per_sample.unwrap_or(16)).div_ceil(8);
    let width = width.max(1);
    let known = |frames: &u64| kind == Kind::Flac || frames * width < UNKNOWN_LENGTH;
    let total_frames = track.num_frames.filter(known);
    Ok(Opened { reader, decoder, track, channels, sample_rate, width, total_frames })
}

fn decode_file(file: File, kind: Kind, span: Span) -> Result<Decoded> {
    let Opened { mut reader, mut decoder, track, channels, sample_rate, total_frames, .. } =
        open(file, kind)?;
    let total = total_frames;
    let (start, end) = frames(span, sample_rate)?;
    let mut decoded = Decoded { samples: Vec::new(), channels, sample_rate, total_frames: total };
    if total.is_some_and(|total| start >= total) {
        return Ok(decoded);
    }
    let wanted = (start, end.min(total.unwrap_or(u64::MAX)));
    let frames = decode(reader.as_mut(), decoder.as_mut(), &track, wanted, &mut decoded.samples)?;
    if wanted.1 != u64::MAX && frames < wanted.1 - start {
        let total = total.unwrap_or(wanted.1);
        let read = start + frames;
        // Of a FLAC file whose last frame is none, nobody can tell.
        let what = if kind == Kind::Flac { "ends early or is damaged" } else { "ends early" };
        let message = format!("the file {what}: {read} of {total} samples could be read");
        return Err(Fault::Truncated.is(message));
    }
    // FLAC carries the MD5 of all its samples.
    if start == 0 && total == Some(frames) && decoder.finalize().verify_ok == Some(false) {
        bail!("wrong checksum: its samples do not have the MD5 in its header");
    }
    Ok(decoded)
}

/// Appends the interleaved samples of the frames `start..end`; returns how many frames there were.
fn decode(
    reader: &mut dyn FormatReader,
    decoder: &mut dyn AudioDecoder,
    track: &Track,
    (start, end): (u64, u64),
    samples: &mut Vec<f32>,
) -> Result<u64> {
    let mut position = 0;
    if start > 0 {
        let ts = i64::try_from(start)?.into();
        let to = SeekTo::Timestamp { ts, track_id: track.id };
        let sought = reader.seek(SeekMode::Accurate, to);
        let sought = sought.map_err(|error| anyhow!("cannot seek: {}", words(&error)))?;
        position = u64::try_from(sought.actual_ts.get()).unwrap_or(0);
        decoder.reset();
    }
    let (mut frames, mut packet_samples) = (0, Vec::new());
    while position < end {
        let packet = match reader.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => bail!("damaged after {position} samples: {}", words(&error)),
        };
        let at = u64::try_from(packet.pts.get()).unwrap_or(position);
        if at > position {
            // FLAC's reader passes over frames that are none.
            bail!("damaged after {position} samples: the next {} cannot be read", at - position);
        }
        let buffer = decoder
            .decode(&packet)
            .map_err(|error| anyhow!("damaged after {position} samples: {}", words(&error)))?;
        let (channels, length) = (buffer.num_planes(), buffer.frames() as u64);
        packet_samples.clear();
        buffer.copy_to_vec_interleaved(&mut packet_samples);
        let from = start.saturating_sub(position).min(length);
        let to = (end - position).min(length);
        if from < to {
            samples.extend_from_slice(
                &packet_samples[from as usize * channels..to as usize * channels],
            );
            frames += to - from;
        }
        position += length;
    }
    Ok(frames)
}

/// Why a header could not be read.
fn no_header(error: &Error) -> anyhow::Error {
    match error {
        Error::IoError(cut) if cut.kind() == ErrorKind::UnexpectedEof => {
            Fault::Truncated.is("the file ends within its header")
        }
        // Of its formats, none is this one.
        Error::Unsupported(what) if what.starts_with("core (probe)") => {
            Fault::NotAudio.is("it begins like a WAV or FLAC file, and is none")
        }
        Error::Unsupported(what) => {
            Fault::Unreadable.is(format!("cannot decode this kind of audio: {what}"))
        }
        error => anyhow!("wrong header: {}", words(error)),
    }
}

/// symphonia's message without its own prefix.
fn words(error: &Error) -> String {
    match error {
        Error::DecodeError(reason) | Error::Unsupported(reason) => (*reason).to_owned(),
        error => error.to_string(),
    }
}
