//! The stage `prepare`: whether a corpus is what it should be, before anything is run on it.

mod check;
mod corpus;
mod data_dir;
mod good;
mod report;
mod tables;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use serde::Deserialize;

use crate::speech::audio::Span;
use crate::speech::{locate, manifest};
use crate::{CompleteRun, Env, InferenceProvider, Record, Runner};
use check::look_at;
use corpus::Corpus;
use good::Good;

/// What stands beside the manifest of a Kaldi data directory.
const TABLES: [&str; 3] = ["text", "utt2spk", "spk2utt"];

/// The parameters of `prepare`, the section of that name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrepareProvider {
    /// A Kaldi data directory or its `wav.scp`, `*.tsv` or `*.jsonl`.
    pub manifest: PathBuf,
    /// A Kaldi `segments` file; for a `wav.scp` the one beside it, if any.
    pub segments: Option<PathBuf>,
    /// Decode all samples; else headers and lengths of files alone are looked at.
    #[serde(default = "default::decode")]
    pub decode: bool,
    /// Hz that all audio must have.
    pub sample_rate: Option<u32>,
    /// Channels that all audio must have.
    pub num_channels: Option<usize>,
    /// Seconds; shorter utterances are broken.
    pub min_wav_duration: Option<f64>,
    /// Seconds; longer utterances are broken.
    pub max_wav_duration: Option<f64>,
    /// Whether utterances without words are broken; by default where there are any transcripts.
    pub require_text: Option<bool>,
}

mod default {
    pub(super) fn decode() -> bool {
        true
    }
}

impl PrepareProvider {
    fn manifest(&self) -> PathBuf {
        manifest::file(&self.manifest).into_owned()
    }

    /// Where [`TABLES`] are, of a Kaldi data directory.
    fn tables(&self) -> [Option<PathBuf>; 3] {
        let manifest = self.manifest();
        let kaldi = manifest.file_name().is_some_and(|name| name == "wav.scp");
        TABLES.map(|name| kaldi.then(|| manifest.with_file_name(name)))
    }
}

impl InferenceProvider for PrepareProvider {
    type Dataset = Corpus;
    type Model = Self;

    fn build_dataset(&self) -> Result<Corpus> {
        Corpus::read(self)
    }

    fn build_model(&self) -> Result<Self> {
        Ok(self.clone())
    }

    fn validate(&self) -> Result<()> {
        let (shortest, longest) = (self.min_wav_duration, self.max_wav_duration);
        if let Some((shortest, longest)) = shortest.zip(longest) {
            ensure!(
                shortest <= longest,
                "min_wav_duration {shortest} with max_wav_duration {longest}"
            );
        }
        Ok(())
    }
}

/// The runner of `prepare`: a record of what a good utterance is, an error for one that is broken.
///
/// ```
/// use espnet3_par::stages::Prepare;
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
/// std::fs::write(folder.join("wav.scp"), "utt1 silence.wav\nutt2 lost.wav\n")?;
/// type Provider = <Prepare as Runner>::Provider;
/// // The section `prepare:` of a config.
/// let section = json!({"manifest": folder});
/// let env = serde_json::from_value::<Provider>(section)?.build_env_local()?;
/// let record = Prepare::forward(0, &env)?;
/// assert_eq!((record.get::<f64>("duration")?, record.get::<u32>("sample_rate")?), (1.0, 16_000));
/// let error = Prepare::forward(1, &env).expect_err("there is no lost.wav");
/// assert_eq!(error.to_string(), "missing file: No such file or directory (os error 2)");
/// # Ok::<(), anyhow::Error>(())
/// ```
pub struct Prepare;

impl Runner for Prepare {
    type Provider = PrepareProvider;

    fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
        let item = env.dataset.get(idx)?;
        let mut faults = item.faults.clone();
        let audio = item.utterance.as_ref().and_then(|utterance| {
            let path = locate(&env.dataset.folder, &utterance.path);
            let found = look_at(&path, utterance, &env.model, &mut faults)?;
            Some((utterance, path, found))
        });
        let Some((utterance, path, found)) = audio.filter(|_| faults.is_empty()) else {
            let faults = faults.iter().map(|(fault, why)| format!("{}: {why}", fault.name()));
            bail!("{}", faults.collect::<Vec<_>>().join("; "));
        };
        let seconds = |frames: u64| frames as f64 / f64::from(found.sample_rate);
        let (start, duration) = (utterance.span.start, seconds(found.frames));
        let recording_duration = found.total_frames.map(seconds);
        let last = recording_duration.unwrap_or(start + duration);
        let end = utterance.span.end.map_or(last, |end| end.min(last));
        let cut = utterance.span != Span::default() || item.recording.is_some();
        let mut warnings = item.warnings.clone();
        if found.silent {
            warnings.push("all samples are zero");
        }
        if utterance.span.end.zip(recording_duration).is_some_and(|(end, last)| end > last) {
            warnings.push("the segment ends after its recording");
        }
        Record::new(Good {
            utt_id: utterance.id.clone(),
            path: path.to_string_lossy().into_owned(),
            start: cut.then_some(start),
            end: cut.then_some(end),
            duration,
            recording: item.recording.clone(),
            recording_duration: recording_duration.filter(|_| item.recording.is_some()),
            sample_rate: found.sample_rate,
            num_channels: found.num_channels,
            format: found.kind.name().to_owned(),
            text: item.text.clone(),
            speaker: item.speaker.clone(),
            warnings: warnings.into_iter().map(str::to_owned).collect(),
            more: item.more.clone(),
        })
    }

    /// Writes `data/`, with the good utterances, and `report.json` and `report.txt`.
    fn merge(run: CompleteRun<'_, Self::Provider>) -> Result<()> {
        let good = |record: Result<Record>| -> Result<Good> {
            let mut good: Good = serde_json::from_str(record?.json())?;
            good.more.shift_remove("idx");
            Ok(good)
        };
        let mut all: Vec<Good> = run.records.map(good).collect::<Result<_>>()?;
        // As `LC_ALL=C sort`.
        all.sort_by(|a, b| a.utt_id.cmp(&b.utt_id));
        data_dir::write(&all, run.output_dir)?;
        report::write(&all, run.failed, run.output_dir)
    }
}
