//! `feat.params`: how the features were made that the model was trained on.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

use crate::lines::read_text;

/// What PocketSphinx calls the options of the same names, with its defaults.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Params {
    /// `-samprate`, Hz.
    pub sample_rate: u32,
    /// `-frate`, frames a second.
    pub frame_rate: u32,
    /// `-wlen`, seconds.
    pub window: f32,
    /// `-alpha`.
    pub preemphasis: f32,
    /// `-nfft`; 0 is the power of two that holds a window.
    pub fft: usize,
    /// `-nfilt`.
    pub filters: usize,
    /// `-lowerf` and `-upperf`, Hz.
    pub low: f32,
    pub high: f32,
    pub unit_area: bool,
    pub round_filters: bool,
    /// `-ncep`, the values of a frame before deltas.
    pub cepstra: usize,
    pub transform: Transform,
    /// `-lifter`; 0 is none.
    pub lifter: u32,
    pub remove_dc: bool,
    pub cmn: Cmn,
}

/// `-transform`: the cosine transform.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Transform {
    Legacy,
    Dct,
    Htk,
}

/// `-cmn`: which mean is taken from the cepstra.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cmn {
    /// That of the utterance.
    Batch,
    /// A fixed one (`-cmninit`). PocketSphinx goes on from the mean of the utterances before; here
    /// no result depends on what else a worker has done.
    Live(Vec<f32>),
    None,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            sample_rate: 16_000,
            frame_rate: 100,
            window: 0.025_625,
            preemphasis: 0.97,
            fft: 0,
            filters: 40,
            low: 133.333_34,
            high: 6855.4976,
            unit_area: true,
            round_filters: true,
            cepstra: 13,
            transform: Transform::Legacy,
            lifter: 0,
            remove_dc: false,
            cmn: Cmn::Live(vec![40.0, 3.0, -1.0]),
        }
    }
}

impl Params {
    /// Reads a `feat.params`: options and their values, as on PocketSphinx's command line.
    ///
    /// # Errors
    /// Names the file and line of an option that is unknown, or has a value that would give other
    /// features than can be computed here.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut params = Self::default();
        let text = read_text(path)?;
        let mut cmn_init = vec![40.0, 3.0, -1.0];
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default();
            let fields: Vec<&str> = line.split_whitespace().collect();
            for pair in fields.chunks(2) {
                let mut set = || match pair {
                    ["-cmninit", list] => {
                        cmn_init = list.split(',').map(value).collect::<Result<_>>()?;
                        Ok(())
                    }
                    [key, text] => params.set(key, text),
                    _ => bail!("no value for `{}`", pair[0]),
                };
                set().with_context(|| format!("{}:{number}", path.display()))?;
            }
        }
        if let Cmn::Live(mean) = &mut params.cmn {
            *mean = cmn_init;
        }
        params.check().with_context(|| path.display().to_string())?;
        Ok(params)
    }

    fn set(&mut self, key: &str, text: &str) -> Result<()> {
        match key {
            "-samprate" => self.sample_rate = value::<f32>(text)? as u32,
            "-frate" => self.frame_rate = value(text)?,
            "-wlen" => self.window = value(text)?,
            "-alpha" => self.preemphasis = value(text)?,
            "-nfft" => self.fft = value(text)?,
            "-nfilt" => self.filters = value(text)?,
            "-lowerf" => self.low = value(text)?,
            "-upperf" => self.high = value(text)?,
            "-unit_area" => self.unit_area = yes(text)?,
            "-round_filters" => self.round_filters = yes(text)?,
            "-ncep" | "-ceplen" => self.cepstra = value(text)?,
            "-lifter" => self.lifter = value(text)?,
            "-remove_dc" => self.remove_dc = yes(text)?,
            "-transform" => {
                self.transform = match text {
                    "legacy" => Transform::Legacy,
                    "dct" => Transform::Dct,
                    "htk" => Transform::Htk,
                    _ => bail!("-transform `{text}`, which is neither legacy, dct nor htk"),
                }
            }
            "-cmn" => {
                self.cmn = match text {
                    "batch" | "current" => Cmn::Batch,
                    "live" | "prior" => Cmn::Live(Vec::new()),
                    "none" => Cmn::None,
                    _ => bail!("-cmn `{text}`, which is neither batch, live nor none"),
                }
            }
            // Says which module of PocketSphinx computes scores; the files say so too.
            "-model" => {}
            "-feat" => only(key, text, text == "1s_c_d_dd", "1s_c_d_dd")?,
            "-agc" => only(key, text, text == "none", "none")?,
            "-varnorm" | "-dither" | "-doublebw" | "-logspec" | "-smoothspec" | "-remove_noise" => {
                only(key, text, !yes(text)?, "no")?;
            }
            _ => bail!(
                "unknown option `{key}`: without it, the features may not be the model's; \
                 remove the line if it does not change them"
            ),
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let (low, high, nyquist) = (self.low, self.high, self.sample_rate as f32 / 2.0);
        ensure!(
            self.sample_rate > 0 && (1..=self.sample_rate / 2).contains(&self.frame_rate),
            "{} frames a second at {} Hz",
            self.frame_rate,
            self.sample_rate
        );
        ensure!(
            (0.0..=nyquist + 1.0).contains(&high) && (0.0..high).contains(&low),
            "filters from {low} to {high} Hz, with audio of {} Hz",
            self.sample_rate
        );
        ensure!(
            (1..=self.filters).contains(&self.cepstra) && self.filters < 1000,
            "{} cepstra of {} filters",
            self.cepstra,
            self.filters
        );
        ensure!(self.preemphasis.is_finite(), "-alpha {}", self.preemphasis);
        let (size, shift) = (self.frame_size(), self.frame_shift());
        ensure!(
            (shift..=0x4000).contains(&size),
            "windows of {size} samples, one every {shift} samples"
        );
        let fft = self.fft_size();
        ensure!(
            (size..=0x4000).contains(&fft) && fft.is_power_of_two(),
            "an FFT of {fft} points for windows of {size} samples"
        );
        Ok(())
    }

    /// Samples of a window.
    pub(super) fn frame_size(&self) -> usize {
        (self.window * self.sample_rate as f32 + 0.5) as usize
    }

    /// Samples from one window to the next.
    pub(super) fn frame_shift(&self) -> usize {
        (self.sample_rate as f32 / self.frame_rate as f32 + 0.5) as usize
    }

    /// Points of the FFT.
    pub(super) fn fft_size(&self) -> usize {
        match self.fft {
            0 => self.frame_size().next_power_of_two(),
            fft => fft,
        }
    }
}

fn value<T: FromStr>(text: &str) -> Result<T> {
    text.parse().ok().with_context(|| format!("`{text}` is no number, or not of this kind"))
}

fn yes(text: &str) -> Result<bool> {
    match text.as_bytes().first() {
        Some(b'y' | b't' | b'Y' | b'T' | b'1') => Ok(true),
        Some(b'n' | b'f' | b'N' | b'F' | b'0') => Ok(false),
        _ => bail!("`{text}` is neither yes nor no"),
    }
}

fn only(key: &str, text: &str, right: bool, known: &str) -> Result<()> {
    ensure!(right, "{key} {text}: only `{key} {known}` can be computed here");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(text: &str) -> Result<Params> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), text).expect("a file");
        Params::read(file.path())
    }

    fn error(text: &str) -> String {
        let error = format!("{:#}", read(text).expect_err("bad parameters"));
        error
            .rsplit_once('/')
            .expect("a path")
            .1
            .split_once([':', ' '])
            .expect("a name")
            .1
            .to_owned()
    }

    #[test]
    fn options_are_those_of_an4() {
        let text = "-nfilt 25\n-lowerf 130  -upperf 6800\n-feat 1s_c_d_dd\n-agc none\n-cmn current\n\
            -varnorm no\n# -nfilt 3\n-transform dct -lifter 22\n";
        let expected = Params {
            filters: 25,
            low: 130.0,
            high: 6800.0,
            cmn: Cmn::Batch,
            transform: Transform::Dct,
            lifter: 22,
            ..Params::default()
        };
        assert_eq!(read(text).expect("parameters"), expected);
        let sizes = (expected.frame_size(), expected.frame_shift(), expected.fft_size());
        assert_eq!(sizes, (410, 160, 512));
        let live = read("-cmninit 1,2.5\n-cmn live\n").expect("parameters");
        assert_eq!(live.cmn, Cmn::Live(vec![1.0, 2.5]));
        assert_eq!(read("").expect("parameters"), Params::default());
    }

    #[test]
    fn what_cannot_be_computed_is_an_error() {
        let other = "2: -feat s2_4x: only `-feat 1s_c_d_dd` can be computed here";
        assert_eq!(error("-nfilt 40\n-feat s2_4x\n"), other);
        assert_eq!(error("-dither yes"), "1: -dither yes: only `-dither no` can be computed here");
        assert_eq!(error("-nfilt"), "1: no value for `-nfilt`");
        assert_eq!(error("-nfilt many"), "1: `many` is no number, or not of this kind");
        assert!(error("-svspec 0-12/13-25").starts_with("1: unknown option `-svspec`: "));
        assert_eq!(
            error("-upperf 9000"),
            " filters from 133.33334 to 9000 Hz, with audio of 16000 Hz"
        );
        assert_eq!(error("-nfft 256"), " an FFT of 256 points for windows of 410 samples");
        let windows = " windows of 18446744073709551615 samples, one every 160 samples";
        assert_eq!(error("-wlen 1e30"), windows);
        assert_eq!(error("-frate 0"), " 0 frames a second at 16000 Hz");
        assert_eq!(error("-ncep 50"), " 50 cepstra of 40 filters");
    }
}
