//! NIST SPHERE files (`.sph`), as LDC and AN4 distribute speech: 16-bit PCM and 8-bit mu-law.
//!
//! The format: a text header, whose second line gives its own length, of `name -type value` lines,
//! then the samples. <https://www.isip.piconepress.com/projects/speech/software/tutorials/production/fundamentals/v1.0/section_02/s02_01_p04.html>

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use anyhow::{Context, Result, bail};

use super::audio::{Decoded, Span, frames};
use super::fault::Fault;

/// The first bytes of every SPHERE file.
pub(crate) const MAGIC: &[u8; 4] = b"NIST";

#[derive(Clone, Copy, PartialEq)]
enum Coding {
    LittleEndian,
    BigEndian,
    Ulaw,
}

struct Header {
    bytes: u64,
    frames: u64,
    channels: usize,
    sample_rate: u32,
    coding: Coding,
    checksum: Option<u16>,
}

/// Reads the frames of `span`. The checksum is of all samples, so it is verified when all are read.
pub(crate) fn read(mut file: File, span: Span) -> Result<Decoded> {
    file.rewind()?;
    let header = read_header(&mut file)?;
    let width = header.width();
    let (start, end) = frames(span, header.sample_rate)?;
    let (start, end) = (start.min(header.frames), end.min(header.frames));
    header.check_length(&file, end)?;
    file.seek(SeekFrom::Start(header.bytes + start * width))?;
    let mut bytes = Vec::new();
    file.take((end - start) * width).read_to_end(&mut bytes)?;
    let samples = decode(&bytes, header.coding);
    if let Some(expected) = header.checksum.filter(|_| end - start == header.frames) {
        let sum = checksum(&bytes, header.coding);
        if sum != expected {
            bail!("wrong checksum: its samples sum to {sum}, its header says {expected}");
        }
    }
    Ok(Decoded {
        samples,
        channels: header.channels,
        sample_rate: header.sample_rate,
        total_frames: Some(header.frames),
    })
}

/// Reads the header alone: no samples. A file that is shorter than it says is an error.
pub(crate) fn header(mut file: File) -> Result<Decoded> {
    file.rewind()?;
    let header = read_header(&mut file)?;
    header.check_length(&file, header.frames)?;
    let Header { frames, channels, sample_rate, .. } = header;
    Ok(Decoded { samples: Vec::new(), channels, sample_rate, total_frames: Some(frames) })
}

impl Header {
    /// Bytes of a frame.
    fn width(&self) -> u64 {
        let width = if self.coding == Coding::Ulaw { 1 } else { 2 };
        width * self.channels as u64
    }

    /// Whether there are the frames up to `end`.
    fn check_length(&self, file: &File, end: u64) -> Result<()> {
        let present = file.metadata()?.len().saturating_sub(self.bytes) / self.width();
        if present < end {
            let message = format!("the file ends after {present} of {} samples", self.frames);
            return Err(Fault::Truncated.is(message));
        }
        Ok(())
    }
}

/// Why a header could not be read.
fn cut(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Fault::Truncated.is("the file ends within its header"),
        _ => error.into(),
    }
}

fn read_header(file: &mut File) -> Result<Header> {
    let mut start = [0; 16];
    file.read_exact(&mut start).map_err(cut)?;
    let start = String::from_utf8_lossy(&start);
    let bytes: u64 = match start.split_whitespace().collect::<Vec<_>>()[..] {
        ["NIST_1A", bytes] => bytes.parse().context("a SPHERE header without its length")?,
        _ => bail!("not a SPHERE header: it starts with {start:?}"),
    };
    // Headers are 1024 bytes, rarely a multiple of it; a huge one is damage.
    if !(16..=1 << 20).contains(&bytes) {
        bail!("a SPHERE header of {bytes} bytes");
    }
    let mut text = vec![0; bytes as usize - 16];
    file.read_exact(&mut text).map_err(cut)?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().take_while(|line| line.trim() != "end_head");
    let fields: Vec<(&str, &str)> = lines
        .filter_map(|line| {
            let (name, typed) = line.trim_end().split_once(' ')?;
            Some((name, typed.split_once(' ')?.1))
        })
        .collect();
    let get = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let number = |name: &str| -> Result<u64> {
        let value = get(name).with_context(|| format!("no `{name}` in the SPHERE header"))?;
        value.trim().parse().with_context(|| format!("`{name}` is `{value}` in the SPHERE header"))
    };
    let coding = match (get("sample_coding").unwrap_or("pcm"), get("sample_byte_format")) {
        ("pcm", Some("01")) => Coding::LittleEndian,
        ("pcm", Some("10")) => Coding::BigEndian,
        ("ulaw" | "mu-law", _) => Coding::Ulaw,
        (coding, _) if coding.contains("shorten") => bail!(
            "compressed with shorten (`sample_coding {coding}`); convert it once: `sph2pipe -f wav IN OUT`"
        ),
        (coding, order) => bail!("cannot decode `sample_coding {coding}`, byte order {order:?}"),
    };
    let width = if coding == Coding::Ulaw { 1 } else { 2 };
    if let Some(other) = number("sample_n_bytes").ok().filter(|bytes| *bytes != width) {
        bail!("cannot decode samples of {other} bytes");
    }
    let (channels, rate) = (number("channel_count").unwrap_or(1), number("sample_rate")?);
    if channels == 0 || channels > 64 || rate == 0 {
        bail!("{channels} channels at {rate} Hz in the SPHERE header");
    }
    Ok(Header {
        bytes,
        frames: number("sample_count")?,
        channels: channels as usize,
        sample_rate: u32::try_from(rate)?,
        coding,
        checksum: number("sample_checksum").ok().map(|sum| (sum & 0xffff) as u16),
    })
}

fn decode(bytes: &[u8], coding: Coding) -> Vec<f32> {
    match coding {
        Coding::Ulaw => bytes.iter().map(|&byte| f32::from(ulaw(byte)) / 32768.0).collect(),
        pcm => words(bytes, pcm).map(|sample| f32::from(sample) / 32768.0).collect(),
    }
}

/// The sum of all samples modulo 65536: of 16-bit words for PCM, of bytes for mu-law.
fn checksum(bytes: &[u8], coding: Coding) -> u16 {
    match coding {
        Coding::Ulaw => bytes.iter().fold(0, |sum: u16, &byte| sum.wrapping_add(byte.into())),
        pcm => words(bytes, pcm).fold(0, |sum: u16, word| sum.wrapping_add(word.cast_unsigned())),
    }
}

fn words(bytes: &[u8], coding: Coding) -> impl Iterator<Item = i16> {
    let order = if coding == Coding::BigEndian { i16::from_be_bytes } else { i16::from_le_bytes };
    bytes.as_chunks::<2>().0.iter().map(move |&word| order(word))
}

/// ITU-T G.711 mu-law to 16-bit linear.
fn ulaw(byte: u8) -> i16 {
    const BIAS: i16 = 0x84;
    let byte = !byte;
    let magnitude = ((i16::from(byte & 0x0f) << 3) + BIAS) << ((byte >> 4) & 7);
    if byte & 0x80 == 0 { magnitude - BIAS } else { BIAS - magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::testing::{sphere, write};

    const WHOLE: Span = Span { start: 0.0, end: None };
    const LITTLE: &str = "sample_coding -s3 pcm\nsample_byte_format -s2 01\nsample_n_bytes -i 2";

    fn decoded(fields: &str, bytes: &[u8], span: Span) -> Result<Decoded> {
        let (_dir, path) = write("a.sph", &sphere(fields, bytes));
        read(File::open(path).expect("just written"), span)
    }

    fn fields(count: usize, coding: &str) -> String {
        format!("sample_count -i {count}\nsample_rate -i 16000\nchannel_count -i 1\n{coding}")
    }

    #[test]
    fn both_byte_orders_and_the_checksum() {
        // 1 + 256 - 1 = 256
        let samples: [i16; 3] = [1, 256, -1];
        let big = LITTLE.replace("01", "10");
        let little = samples.iter().flat_map(|s| s.to_le_bytes()).collect::<Vec<_>>();
        let swapped = samples.iter().flat_map(|s| s.to_be_bytes()).collect::<Vec<_>>();
        for (coding, bytes) in [(LITTLE, little), (&big, swapped)] {
            let right = fields(3, &format!("{coding}\nsample_checksum -i 256"));
            let found = decoded(&right, &bytes, WHOLE).expect("a right checksum");
            assert_eq!(found.samples, samples.map(|s| f32::from(s) / 32768.0));
            let wrong = fields(3, &format!("{coding}\nsample_checksum -i 257"));
            let error = decoded(&wrong, &bytes, WHOLE).map(|_| ()).expect_err("a wrong checksum");
            assert!(error.to_string().contains("sum to 256, its header says 257"), "{error}");
        }
    }

    #[test]
    fn ulaw_is_g711() {
        let bytes = [0xff, 0x7f, 0x00, 0x80, 0xf0];
        let found =
            decoded(&fields(5, "sample_coding -s4 ulaw\nsample_n_bytes -i 1"), &bytes, WHOLE);
        let found = found.expect("mu-law").samples;
        assert_eq!(found, [0.0, 0.0, -32124.0, 32124.0, 120.0].map(|s: f32| s / 32768.0));
    }

    #[test]
    fn a_segment_reads_only_its_bytes() {
        let bytes: Vec<u8> = (0..32000_i16).flat_map(i16::to_le_bytes).collect();
        // The checksum is wrong, and a part cannot tell.
        let fields = fields(32000, &format!("{LITTLE}\nsample_checksum -i 1"));
        let part = Span { start: 0.5, end: Some(0.501) };
        let found = decoded(&fields, &bytes, part).expect("a part").samples;
        assert_eq!(found.len(), 16);
        assert_eq!(found[0], 8000.0 / 32768.0);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let cases = [
            (fields(22528, LITTLE), "the file ends after 1000 of 22528 samples"),
            (fields(9, "sample_coding -s26 pcm,embedded-shorten-v2.00"), "sph2pipe -f wav"),
            (fields(9, "sample_coding -s4 alaw"), "cannot decode `sample_coding alaw`"),
            (fields(9, &LITTLE.replace("-i 2", "-i 3")), "samples of 3 bytes"),
            (fields(9, LITTLE).replace("sample_rate -i 16000\n", ""), "no `sample_rate`"),
            (fields(9, LITTLE).replace("16000", "x"), "`sample_rate` is `x`"),
            (fields(9, LITTLE).replace("channel_count -i 1", "channel_count -i 0"), "0 channels"),
        ];
        for (fields, expected) in cases {
            let error = decoded(&fields, &[0; 2000], WHOLE).map(|_| ()).expect_err(expected);
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
        for header in ["NIST_1A\n   1024\nsample_rate", "NIST_1A\n   zzz4\n", "NIST_1A\n      0\n"]
        {
            let (_dir, path) = write("a.sph", header.as_bytes());
            assert!(read(File::open(path).expect("just written"), WHOLE).is_err(), "{header}");
        }
    }
}
