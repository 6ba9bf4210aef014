//! The lists of noises and of room impulse responses.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::draws::Draws;
use crate::Dataset;
use crate::lines::read_text;
use crate::speech::Utterances;
use crate::speech::audio::{self, Span};
use crate::speech::power::power;

/// Where a piece of noise has no sound, another is drawn; so many are tried.
const ATTEMPTS: u32 = 10;

/// What an scp file lists, and how often one of it is wanted.
pub(super) struct Sounds {
    list: Utterances,
    sample_rate: u32,
    apply_prob: f64,
}

/// One of them, or a part of it.
pub(super) struct Sound<'a> {
    pub id: &'a str,
    pub samples: Vec<f64>,
}

impl Sounds {
    /// Reads the list; of files with several channels the first is taken, since microphones of one
    /// room do not add up.
    pub(super) fn read(scp: &Path, sample_rate: u32, apply_prob: f64) -> Result<Self> {
        Ok(Self { list: list(scp)?, sample_rate, apply_prob })
    }

    /// Whether an item shall have one.
    pub(super) fn apply(&self, what: &str, draws: &Draws) -> bool {
        draws.unit(&format!("{what}_apply_prob")) < self.apply_prob
    }

    /// One of the room impulse responses.
    pub(super) fn rir(&self, draws: &Draws) -> Result<Sound<'_>> {
        let idx = draws.below("rir", self.list.len());
        let samples =
            self.list.audio(idx, self.sample_rate)?.samples.into_iter().map(f64::from).collect();
        Ok(Sound { id: &self.list.get(idx)?.id, samples })
    }

    /// `length` samples of one of the noises: a part that is chosen at random, or, if it is shorter,
    /// all of it again and again, from a random place on.
    pub(super) fn noise(&self, length: usize, draws: &Draws) -> Result<Sound<'_>> {
        let mut silent = "";
        for attempt in 0..ATTEMPTS {
            let name = |what: &str| format!("{what} {attempt}");
            let idx = draws.below(&name("noise"), self.list.len());
            let samples = self.part(idx, length, draws.unit(&name("noise offset")))?;
            silent = &self.list.get(idx)?.id;
            if power(&samples) > 0.0 {
                return Ok(Sound { id: silent, samples });
            }
        }
        bail!("{ATTEMPTS} pieces of noise have no sound, the last one of noise `{silent}`")
    }

    fn part(&self, idx: u64, length: usize, place: f64) -> Result<Vec<f64>> {
        let span = self.list.get(idx)?.span;
        let file = self.list.header(idx)?;
        let (start, end) = audio::frames(span, file.sample_rate)?;
        let rates = f64::from(file.sample_rate) / f64::from(self.sample_rate);
        let needed = (length as f64 * rates).ceil() as u64;
        let spare =
            file.total_frames.and_then(|frames| end.min(frames).checked_sub(start + needed));
        let (audio, first) = match spare {
            // Only what is needed of perhaps an hour is read.
            Some(spare) => {
                let start = start + (place * (spare + 1) as f64) as u64;
                let seconds = |frame: u64| frame as f64 / f64::from(file.sample_rate);
                let span = Span { start: seconds(start), end: Some(seconds(start + needed)) };
                (self.list.part(idx, span, self.sample_rate)?, 0)
            }
            None => {
                let audio = self.list.audio(idx, self.sample_rate)?;
                let first = (place * audio.samples.len() as f64) as usize;
                (audio, first)
            }
        };
        Ok(audio.samples.iter().cycle().skip(first).take(length).copied().map(f64::from).collect())
    }
}

/// What results depend on: the list, and the sizes of its files. Checksums of tens of gigabytes
/// would be read before every run.
pub(super) fn inventory(scp: &Path) -> Result<String> {
    let mut sizes = read_text(scp)?;
    for (sound, path) in list(scp)?.files() {
        let size = fs::metadata(&path)
            .with_context(|| format!("{}: `{}`: {}", scp.display(), sound.id, path.display()))?
            .len();
        sizes += &format!("{} {size}\n", sound.id);
    }
    Ok(sizes)
}

fn list(scp: &Path) -> Result<Utterances> {
    Utterances::read(scp, None, Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::testing::wav;

    /// A file whose samples count from 1 on.
    fn counting(rate: u32, length: i16, more: &str) -> (tempfile::TempDir, Sounds) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let samples: Vec<i16> = (1..=length).collect();
        fs::write(dir.path().join("a.wav"), wav(&samples, rate, 1)).expect("a file");
        fs::write(dir.path().join("silent.wav"), wav(&[0; 5000], rate, 1)).expect("a file");
        let scp = dir.path().join("noise.scp");
        fs::write(&scp, format!("a a.wav\n{more}")).expect("a file");
        let sounds = Sounds::read(&scp, 16_000, 0.25).expect("a list");
        (dir, sounds)
    }

    fn numbers(sounds: &Sounds, length: usize, place: f64) -> Vec<i32> {
        let samples = sounds.part(0, length, place).expect("a part");
        samples.iter().map(|sample| (sample * 32768.0).round() as i32).collect()
    }

    #[test]
    fn a_part_of_a_long_noise_and_repetitions_of_a_short_one() {
        let (_dir, sounds) = counting(16_000, 1000, "");
        let almost_one = 1.0 - f64::EPSILON;
        assert_eq!(numbers(&sounds, 3, 0.0), [1, 2, 3]);
        assert_eq!(numbers(&sounds, 3, 0.5), [500, 501, 502]);
        assert_eq!(numbers(&sounds, 3, almost_one), [998, 999, 1000]);
        let whole: Vec<_> = (1..=1000).collect();
        assert_eq!(numbers(&sounds, 1000, almost_one), whole);
        let twice = numbers(&sounds, 1500, 0.9);
        assert_eq!((twice[0], twice[99], twice[100], twice[1499]), (901, 1000, 1, 400));
    }

    #[test]
    fn a_part_at_another_rate_is_as_long() {
        for rate in [8_000, 11_025, 44_100] {
            let (_dir, sounds) = counting(rate, 20_000, "");
            for length in [1, 999, 5000] {
                assert_eq!(sounds.part(0, length, 0.3).expect("a part").len(), length, "{rate}");
            }
        }
    }

    #[test]
    fn silence_is_not_drawn() {
        let (_dir, sounds) = counting(16_000, 5000, "silent silent.wav\n");
        for utterance in 0..40 {
            let draws = Draws::new(0, &format!("utt{utterance}"));
            let noise = sounds.noise(10, &draws).expect("a noise");
            assert_eq!((noise.id, noise.samples.len()), ("a", 10));
        }
        let (_dir, sounds) = counting(16_000, 0, "silent silent.wav\n");
        let error = sounds.noise(10, &Draws::new(0, "utt")).map(|_| ()).expect_err("silence");
        assert!(error.to_string().starts_with("10 pieces of noise have no sound"), "{error}");
        let applied = (0..400).filter(|n| sounds.apply("rir", &Draws::new(*n, "utt"))).count();
        assert!((60..140).contains(&applied), "a quarter of 400: {applied}");
    }

    #[test]
    fn inputs_follow_list_and_sizes() {
        let (dir, _sounds) = counting(16_000, 1000, "");
        let scp = dir.path().join("noise.scp");
        let before = inventory(&scp).expect("files");
        fs::write(dir.path().join("a.wav"), wav(&[1, 2], 16_000, 1)).expect("a file");
        assert_ne!(before, inventory(&scp).expect("files"));
        fs::write(&scp, "a  a.wav\n").expect("a file");
        fs::write(dir.path().join("a.wav"), wav(&vec![0; 1000], 16_000, 1)).expect("a file");
        assert_ne!(before, inventory(&scp).expect("files"));
        fs::remove_file(dir.path().join("a.wav")).expect("removes");
        let error = format!("{:#}", inventory(&scp).expect_err("no file"));
        assert!(error.ends_with("noise.scp: `a`: a.wav: No such file or directory (os error 2)"));
    }
}
