//! What audio is read, and what is no audio.

use std::path::{Path, PathBuf};

use super::audio::*;
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
    assert!(error(&path, WHOLE, Some(2)).ends_with("no channel 2: the file has 2, counted from 0"));
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
    let mut mp3 = whole.clone();
    mp3[20] = 0x55;
    let cases: [(&str, &[u8], &str); 11] = [
        ("a.flac", &wrong_md5, "wrong checksum"),
        ("a.wav", &[], "the file is empty"),
        ("a.wav", b"RI", "too short for any audio: 2 B"),
        ("a.wav", b"ID3\x04 an mp3", "neither WAV, FLAC nor NIST SPHERE"),
        ("a.wav", &whole[..20], "the file ends within its header"),
        ("a.sph", b"NIST_1A\n   1024\nsample_", "the file ends within its header"),
        ("a.wav", &mp3, "cannot decode this kind of audio: "),
        ("a.wav", b"RIFF\x24\0\0\0AVI LIST", "it begins like a WAV or FLAC file, and is none"),
        ("a.wav", &whole[..44 + 2000], "the file ends early: 1000 of 8000 samples could be read"),
        ("a.flac", &flac[..2000], "the file ends early or is damaged: 0 of 4000 samples"),
        ("a.flac", &corrupt, "the file ends early or is damaged: 0 of 4000 samples"),
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
    assert!(error.ends_with("wrong header: a sample rate of 4294967295 Hz"), "{error}");
}

#[test]
fn a_pipe_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.wav");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let error = error(&path, WHOLE, None);
    assert!(error.ends_with("it is a pipe, and no file"), "{error}");
}

#[test]
fn floats_that_are_no_samples() {
    for (value, said) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf"), (1e11, "100000000000")] {
        // The same bytes as 32-bit floats, format tag 3.
        let mut file = wav(&[0; 1000], 8000, 1);
        (file[20], file[32], file[34]) = (3, 4, 32);
        file[44 + 4 * 7..][..4].copy_from_slice(&value.to_le_bytes());
        let (_dir, path) = write("a.wav", &file);
        assert!(error(&path, WHOLE, None).ends_with(&format!("no sound: sample 7 is {said}")));
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
