//! The stage `collect_stats`: mean and variance of filterbank features over all utterances, as
//! ESPnet's `collect_stats` has them.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::fbank::default;
use crate::collect::write_own;
use crate::speech::{self, Utterances, ark, fbank, npy};
use crate::{CompleteRun, Env, InferenceProvider, Record, Runner};

/// The parameters of `collect_stats`: those of `fbank` but the kind of file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectStatsProvider {
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
}

impl InferenceProvider for CollectStatsProvider {
    type Dataset = Utterances;
    type Model = speech::Fbank;

    fn build_dataset(&self) -> Result<Utterances> {
        Utterances::read(&self.manifest, self.segments.as_deref(), self.channel)
    }

    fn build_model(&self) -> Result<speech::Fbank> {
        speech::Fbank::new(&fbank::Options {
            sample_rate: self.sample_rate,
            num_mel_bins: self.num_mel_bins,
            frame_length: self.frame_length,
            frame_shift: self.frame_shift,
            low_freq: self.low_freq,
            high_freq: self.high_freq,
        })
    }

    fn validate(&self) -> Result<()> {
        self.build_model().map(drop)
    }
}

/// The runner of `collect_stats`: sums over the frames of one utterance. Its merge makes them the
/// mean and variance of all.
///
/// ```
/// use espnet3_par::stages::CollectStats;
/// use espnet3_par::{CompleteRun, EnvironmentProvider, Runner};
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
/// type Provider = <CollectStats as Runner>::Provider;
/// // The section `collect_stats:` of a config.
/// let section = json!({"manifest": folder.join("wav.scp"), "num_mel_bins": 40});
/// let provider: Provider = serde_json::from_value(section)?;
/// let record = CollectStats::forward(0, &provider.build_env_local()?)?;
/// assert_eq!(record.get::<String>("utt_id")?, "utt1");
/// // 25 ms every 10 ms of one second.
/// assert_eq!(record.get::<u64>("num_frames")?, 98);
/// assert_eq!(record.get::<Vec<f64>>("sum")?.len(), 40);
///
/// let records = &mut [Ok(record)].into_iter();
/// let run = CompleteRun { provider: &provider, records, failed: &[], output_dir: folder };
/// CollectStats::merge(run)?;
/// assert!(folder.join("feats_stats.npz").exists());
/// # Ok::<(), anyhow::Error>(())
/// ```
pub struct CollectStats;

#[derive(Serialize, Deserialize)]
struct Item {
    utt_id: String,
    num_frames: u64,
    duration: f64,
    sum: Vec<f64>,
    sum_square: Vec<f64>,
}

impl Runner for CollectStats {
    type Provider = CollectStatsProvider;

    fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
        let audio = env.dataset.audio(idx, env.model.sample_rate())?;
        let features = env.model.compute(&audio.samples);
        let (mut sum, mut sum_square) = (vec![0.0; features.dim], vec![0.0; features.dim]);
        for frame in features.frames() {
            for ((value, sum), square) in frame.iter().zip(&mut sum).zip(&mut sum_square) {
                let value = f64::from(*value);
                *sum += value;
                *square += value * value;
            }
        }
        Record::new(Item {
            utt_id: env.dataset.get(idx)?.id.clone(),
            num_frames: features.num_frames() as u64,
            duration: audio.duration(),
            sum,
            sum_square,
        })
    }

    /// Writes `feats_stats.npz` (`count`, `sum`, `sum_square`: what ESPnet's `GlobalMVN` reads),
    /// `cmvn.ark` (the same as Kaldi's `compute-cmvn-stats` writes them for a whole set) and
    /// `feats_stats.json` (`count`, `mean`, `var`). Sums are taken in index order, so the bytes do
    /// not depend on how the run was split.
    fn merge(run: CompleteRun<'_, Self::Provider>) -> Result<()> {
        let mut records = run.records.peekable();
        if records.peek().is_none() {
            return Ok(());
        }
        let (mut count, mut sum, mut sum_square) = (0, Vec::new(), Vec::new());
        for record in records {
            let record = record?;
            count += record.get::<i64>("num_frames")?;
            add(&mut sum, &record.get::<Vec<f64>>("sum")?)?;
            add(&mut sum_square, &record.get::<Vec<f64>>("sum_square")?)?;
        }
        if count == 0 {
            bail!("no frames: every utterance is shorter than one frame");
        }
        let npz = npy::npz(&[
            ("count", npy::int64(count)),
            ("sum", npy::float64(&sum, &[sum.len()])),
            ("sum_square", npy::float64(&sum_square, &[sum_square.len()])),
        ]);
        write_own(&run.output_dir.join("feats_stats.npz"), |file| Ok(file.write_all(&npz)?))?;
        let cmvn = ark::matrix_of_doubles(&cmvn(count as f64, &sum, &sum_square), 2);
        write_own(&run.output_dir.join("cmvn.ark"), |file| Ok(file.write_all(&cmvn)?))?;
        let mean: Vec<f64> = sum.iter().map(|sum| sum / count as f64).collect();
        let squares = sum_square.iter().zip(&mean);
        let var: Vec<f64> = squares.map(|(sq, mean)| sq / count as f64 - mean * mean).collect();
        let stats = json!({"count": count, "mean": mean, "var": var});
        write_own(&run.output_dir.join("feats_stats.json"), |file| Ok(writeln!(file, "{stats}")?))
    }
}

/// Kaldi's statistics for cepstral mean and variance normalisation, 2 × (dim + 1): sums and the
/// number of frames, sums of squares and a zero (`InitCmvnStats` in `transform/cmvn.cc`).
fn cmvn(count: f64, sum: &[f64], sum_square: &[f64]) -> Vec<f64> {
    [sum, &[count], sum_square, &[0.0]].concat()
}

fn add(total: &mut Vec<f64>, values: &[f64]) -> Result<()> {
    if total.is_empty() {
        total.resize(values.len(), 0.0);
    }
    if total.len() != values.len() {
        bail!("a record has {} values, another {}", values.len(), total.len());
    }
    total.iter_mut().zip(values).for_each(|(total, value)| *total += value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::EnvironmentProvider;
    use crate::speech::testing::{sine, wav, write};
    use crate::stage::merge_all;

    #[test]
    fn sums_become_mean_and_variance() {
        let dir = tempfile::tempdir().expect("a directory");
        let item = |frames: u32, sum: [f64; 2], square: [f64; 2]| {
            Record::new(json!({"num_frames": frames, "sum": sum, "sum_square": square}))
        };
        // 1, 2, 3 and 6: mean 3, variance 3.5; and all 1.
        let items = [item(3, [6.0, 3.0], [14.0, 3.0]), item(1, [6.0, 1.0], [36.0, 1.0])];
        let section = json!({"manifest": "wav.scp"});
        let merge = |items: Vec<_>| merge_all::<CollectStats>(&section, items, dir.path());
        merge(items.into()).expect("a merge");
        let json = fs::read_to_string(dir.path().join("feats_stats.json")).expect("statistics");
        assert_eq!(json, "{\"count\":4,\"mean\":[3.0,1.0],\"var\":[3.5,0.0]}\n");
        let npz = fs::read(dir.path().join("feats_stats.npz")).expect("statistics");
        assert!(npz.starts_with(b"PK\x03\x04"));
        let cmvn = fs::read(dir.path().join("cmvn.ark")).expect("statistics");
        let values = [12.0, 4.0, 4.0, 50.0, 4.0, 0.0_f64].map(f64::to_le_bytes).concat();
        assert_eq!(cmvn, [&b"\0BDM \x04\x02\0\0\0\x04\x03\0\0\0"[..], &values].concat());

        let items = [item(1, [0.0, 0.0], [0.0, 0.0]), Record::new(json!({"num_frames": 1}))];
        merge(items.into()).expect_err("a record without sums");
        let none = merge(vec![item(0, [0.0, 0.0], [0.0, 0.0])]).expect_err("no frames");
        assert!(none.to_string().starts_with("no frames"));
        merge(Vec::new()).expect("nothing to tell where every item failed");
    }

    #[test]
    fn short_audio_counts_for_nothing() {
        let (dir, _) = write("a.wav", &wav(&sine(1000.0, 16000, 0.1), 16000, 1));
        fs::write(dir.path().join("b.wav"), wav(&[5; 399], 16000, 1)).expect("a file");
        let manifest = dir.path().join("wav.scp");
        fs::write(&manifest, "a a.wav\nb b.wav\n").expect("a file");
        let provider: CollectStatsProvider =
            serde_json::from_value(json!({"manifest": manifest})).expect("parameters");
        let env = provider.build_env_local().expect("an env");
        let item = |idx| {
            let record = CollectStats::forward(idx, &env).expect("a record");
            let sum: Vec<f64> = record.get("sum").expect("sums");
            (record.get::<u64>("num_frames").expect("frames"), sum)
        };
        let (frames, sum) = item(0);
        assert_eq!((frames, sum.len()), (8, 80));
        assert_eq!(item(1), (0, vec![0.0; 80]));
    }
}
