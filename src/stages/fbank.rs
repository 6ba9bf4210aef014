//! The stage `fbank`: log-mel filterbank features into Kaldi archives or `.npy` files.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::arrays::{Format, scp_line};
use crate::collect::write_own;
use crate::speech::{self, Utterances, fbank};
use crate::{CompleteRun, Env, InferenceProvider, Record, Runner};

/// The parameters of `fbank`, the section of that name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FbankProvider {
    /// `wav.scp`, `*.tsv` or `*.jsonl`.
    pub manifest: PathBuf,
    /// A Kaldi `segments` file; for a `wav.scp` the one beside it, if any.
    pub segments: Option<PathBuf>,
    /// The channel to take, counted from 0; without it the mean of all channels.
    pub channel: Option<usize>,
    /// Hz; other audio is resampled.
    #[serde(default = "default::sample_rate")]
    pub sample_rate: u32,
    /// Values per frame.
    #[serde(default = "default::num_mel_bins")]
    pub num_mel_bins: usize,
    /// Milliseconds.
    #[serde(default = "default::frame_length")]
    pub frame_length: f64,
    /// Milliseconds.
    #[serde(default = "default::frame_shift")]
    pub frame_shift: f64,
    /// Hz.
    #[serde(default = "default::low_freq")]
    pub low_freq: f64,
    /// Hz; zero or negative counts from the Nyquist frequency.
    #[serde(default)]
    pub high_freq: f64,
    /// The kind of file.
    #[serde(default)]
    pub format: Format,
}

/// Kaldi's defaults, but 80 bins.
pub(super) mod default {
    pub(crate) fn sample_rate() -> u32 {
        16_000
    }
    pub(crate) fn num_mel_bins() -> usize {
        80
    }
    pub(crate) fn frame_length() -> f64 {
        25.0
    }
    pub(crate) fn frame_shift() -> f64 {
        10.0
    }
    pub(crate) fn low_freq() -> f64 {
        20.0
    }
}

/// The features and how to store them.
pub struct Model {
    fbank: speech::Fbank,
    format: Format,
}

impl InferenceProvider for FbankProvider {
    type Dataset = Utterances;
    type Model = Model;

    fn build_dataset(&self) -> Result<Utterances> {
        Utterances::read_for_scp(&self.manifest, self.segments.as_deref(), self.channel)
    }

    fn build_model(&self) -> Result<Model> {
        let fbank = speech::Fbank::new(&fbank::Options {
            sample_rate: self.sample_rate,
            num_mel_bins: self.num_mel_bins,
            frame_length: self.frame_length,
            frame_shift: self.frame_shift,
            low_freq: self.low_freq,
            high_freq: self.high_freq,
        })?;
        Ok(Model { fbank, format: self.format })
    }

    fn validate(&self) -> Result<()> {
        self.build_model().map(drop)
    }
}

/// The runner of `fbank`: features of one utterance, into an archive (`format: ark`)
/// or a file of its own (`format: npy`).
///
/// ```
/// use espnet3_par::stages::Fbank;
/// use espnet3_par::{EnvironmentProvider, Runner};
/// use serde_json::json;
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// # // The header of a WAV file of 32000 bytes: 16-bit PCM, mono, 16 kHz.
/// # let mut bytes = b"RIFF\x24\x7d\0\0WAVE\
/// #     fmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0\
/// #     data\0\x7d\0\0".to_vec();
/// # bytes.resize(44 + 2 * 16_000, 0);
/// # std::fs::write(folder.join("silence.wav"), bytes)?;
/// // One second of silence at 16 kHz.
/// std::fs::write(folder.join("wav.scp"), "utt1 silence.wav\n")?;
/// type Provider = <Fbank as Runner>::Provider;
/// // The section `fbank:` of a config.
/// let section = json!({"manifest": folder.join("wav.scp"), "num_mel_bins": 40, "format": "npy"});
/// let env = serde_json::from_value::<Provider>(section)?.build_env_local()?;
/// let record = Fbank::forward(0, &env)?;
/// assert_eq!(record.get::<String>("utt_id")?, "utt1");
/// // 25 ms every 10 ms of one second.
/// assert_eq!(record.get::<u64>("num_frames")?, 98);
/// assert_eq!(record.get::<u64>("dim")?, 40);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub struct Fbank;

#[derive(Serialize)]
struct Item<'a> {
    utt_id: &'a str,
    num_frames: usize,
    dim: usize,
    duration: f64,
}

impl Runner for Fbank {
    type Provider = FbankProvider;

    fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
        let utt_id = &env.dataset.get(idx)?.id;
        let audio = env.dataset.audio(idx, env.model.fbank.sample_rate())?;
        let Model { fbank, format } = &env.model;
        let features = fbank.compute(&audio.samples);
        let num_frames = features.num_frames();
        if num_frames == 0 {
            let length = fbank.frame_length();
            bail!("too short: {} samples, one frame has {length}", audio.samples.len());
        }
        let dim = features.dim;
        let record = Record::new(Item { utt_id, num_frames, dim, duration: audio.duration() })?;
        Ok(format.matrix(record, "feats", utt_id, &features))
    }

    /// Writes `feats.scp` and `utt2num_frames`, as in a Kaldi data directory.
    fn merge(run: CompleteRun<'_, Self::Provider>) -> Result<()> {
        let frames = run.output_dir.join("utt2num_frames");
        write_own(&run.output_dir.join("feats.scp"), |scp| {
            write_own(&frames, |utt2num_frames| {
                for record in run.records {
                    let record = record?;
                    let utt_id = scp_line(scp, &record, "feats", run.output_dir)?;
                    writeln!(utt2num_frames, "{utt_id} {}", record.get::<u64>("num_frames")?)?;
                }
                Ok(())
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::EnvironmentProvider;
    use crate::speech::testing::{sine, wav, write};
    use crate::stage::merge_all;

    fn forward(format: &str) -> Result<Record> {
        let (dir, _) = write("a.wav", &wav(&sine(1000.0, 16000, 0.1), 16000, 1));
        let manifest = dir.path().join("wav.scp");
        fs::write(&manifest, "spk/utt1 a.wav\n").expect("a file");
        let parameters = json!({"manifest": manifest, "format": format, "num_mel_bins": 23});
        let provider: FbankProvider = serde_json::from_value(parameters).expect("parameters");
        Fbank::forward(0, &provider.build_env_local().expect("an env"))
    }

    #[test]
    fn features_peak_at_the_tone_and_go_where_the_format_says() {
        let ark = forward("ark").expect("features");
        assert_eq!(
            (ark.get::<u32>("num_frames").ok(), ark.get::<u32>("dim").ok()),
            (Some(8), Some(23))
        );
        let file = &ark.files[0];
        assert_eq!((file.name.as_str(), file.skip, file.whole), ("feats.ark", 9, false));
        assert!(file.bytes.starts_with(b"spk/utt1 \0BFM \x04\x08\0\0\0\x04\x17\0\0\0"));
        let words = file.bytes[file.skip + 15..].as_chunks::<4>().0;
        let frame: Vec<f32> = words[..23].iter().map(|word| f32::from_le_bytes(*word)).collect();
        let loudest = (0..23).max_by(|&a, &b| frame[a].total_cmp(&frame[b]));
        // mel(1000 Hz) = 1000, the centers are 31.7 + 117.0 (i + 1).
        assert_eq!(loudest, Some(7), "{frame:?}");

        let npy = forward("npy").expect("features");
        assert_eq!((npy.files[0].name.as_str(), npy.files[0].whole), ("spk%2Futt1.npy", true));
        assert!(npy.files[0].bytes.starts_with(b"\x93NUMPY"));
    }

    #[test]
    fn merge_writes_what_kaldi_reads() {
        let dir = tempfile::tempdir().expect("a directory");
        let record = |utt: &str, at: u32| {
            let feats = format!("shards/split.0/feats.ark:{at}");
            Record::new(json!({"utt_id": utt, "num_frames": 10 * at, "feats": feats}))
        };
        let section = json!({"manifest": "wav.scp"});
        let merge = |records| merge_all::<Fbank>(&section, records, dir.path());
        merge([record("b", 2), record("a", 40)]).expect("a merge");
        let root = dir.path().display();
        let scp = fs::read_to_string(dir.path().join("feats.scp")).expect("feats.scp");
        let expected =
            format!("b {root}/shards/split.0/feats.ark:2\na {root}/shards/split.0/feats.ark:40\n");
        assert_eq!(scp, expected);
        let frames = fs::read_to_string(dir.path().join("utt2num_frames")).expect("utt2num_frames");
        assert_eq!(frames, "b 20\na 400\n");

        // A merge that fails leaves what was there, and nothing else.
        let broken = [record("c", 3), Record::new(json!({"utt_id": "d"}))];
        merge(broken).expect_err("a record without features");
        assert_eq!(fs::read_to_string(dir.path().join("feats.scp")).expect("feats.scp"), expected);
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 2);
    }
}
