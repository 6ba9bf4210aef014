//! The dataset of the speech stages.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::audio::Span;
use super::inspect::{Inspected, inspect};
use super::manifest::{self, Ids};
use super::{Audio, Utterance, audio};
use crate::Dataset;
use crate::checksum;

/// Where a stage's audio comes from.
///
/// ```
/// use std::fs;
/// use espnet3_par::speech::Source;
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let manifest = folder.join("wav.scp");
/// let segments = folder.join("segments");
/// fs::write(&manifest, "meeting audio/meeting.flac\n")?;
/// // UTT_ID RECORDING START END, in seconds.
/// fs::write(&segments, "meeting-a meeting 0.5 2\nmeeting-b meeting 2.5 3\n")?;
/// let source = Source {
///     manifest: &manifest,
///     segments: Some(&segments),
///     channel: None,
///     sample_rate: 16_000,
/// };
///
/// // The audio need not be there yet.
/// let utterances = source.utterances()?;
/// let second = utterances.get(1)?;
/// assert_eq!((second.id.as_str(), second.span.start, second.span.end), ("meeting-b", 2.5, Some(3.0)));
/// assert_eq!(second.path.to_str(), Some("audio/meeting.flac"));
/// assert_eq!(second.duration, Some(0.5));
/// // For a provider's `inputs`.
/// assert_eq!(source.inputs()?["segments"], espnet3_par::sha256(&segments)?);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// `*.jsonl` and `*.json` are JSON lines, `*.tsv` is a table, everything else is a `wav.scp`.
    pub manifest: &'a Path,
    /// A Kaldi `segments` file, which cuts recordings into utterances; without it the one beside a
    /// `wav.scp`, if any.
    pub segments: Option<&'a Path>,
    /// The channel to take, counted from 0; `None` is the mean of all.
    pub channel: Option<usize>,
    /// Hz; other audio is resampled.
    pub sample_rate: u32,
}

/// The utterances of a manifest.
///
/// ```
/// use espnet3_par::Dataset;
/// use espnet3_par::speech::Source;
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// # // The header of a WAV file of 32000 bytes: 16-bit PCM, mono, 16 kHz.
/// # let mut bytes = b"RIFF\x24\x7d\0\0WAVE\
/// #     fmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0\
/// #     data\0\x7d\0\0".to_vec();
/// # bytes.resize(44 + 2 * 16_000, 0);
/// # std::fs::write(folder.join("silence.wav"), bytes)?;
/// // `silence.wav` is one second at 16 kHz.
/// let manifest = folder.join("train.jsonl");
/// std::fs::write(&manifest, r#"{"utt_id": "utt1", "path": "silence.wav", "duration": 1.0}"#)?;
/// let source = Source { manifest: &manifest, segments: None, channel: None, sample_rate: 8_000 };
/// let utterances = source.utterances()?;
///
/// assert_eq!((utterances.len(), utterances.costs()), (1, Some(vec![1.0])));
/// assert_eq!(utterances.name(0).as_deref(), Some("utt1 (silence.wav)"));
/// // The path is beside the manifest, and the audio comes at 8 kHz, as the source says.
/// assert_eq!(utterances.audio(0)?.samples.len(), 8_000);
/// assert!(utterances.get(1).is_err());
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Utterances {
    utterances: Vec<Utterance>,
    folder: PathBuf,
    channel: Option<usize>,
    sample_rate: u32,
}

impl Source<'_> {
    /// Lists the utterances, without touching their audio.
    ///
    /// # Errors
    /// Names the file and line of the first thing wrong: a malformed line, a missing field, two
    /// utterances of one id, a pipe command.
    pub fn utterances(&self) -> Result<Utterances> {
        self.read(Ids::Any)
    }

    /// The same, where every utterance id must be one word: for a stage that writes archives or an scp.
    ///
    /// ```
    /// # use espnet3_par::speech::Source;
    /// # let folder = tempfile::tempdir()?;
    /// let manifest = folder.path().join("train.jsonl");
    /// std::fs::write(&manifest, r#"{"path": "my recording.wav"}"#)?;
    /// let source = Source { manifest: &manifest, segments: None, channel: None, sample_rate: 16_000 };
    /// assert_eq!(source.utterances()?.get(0)?.id, "my recording");
    /// // Kaldi would read the id `my`.
    /// assert!(source.utterances_for_scp().is_err());
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    /// # Errors
    /// As [`utterances`](Self::utterances), and for an id that is empty or has a blank or a control
    /// character.
    pub fn utterances_for_scp(&self) -> Result<Utterances> {
        self.read(Ids::Words)
    }

    fn read(&self, ids: Ids) -> Result<Utterances> {
        Ok(Utterances {
            utterances: manifest::read(self.manifest, self.segments, ids)?,
            folder: self.manifest.parent().map(Path::to_path_buf).unwrap_or_default(),
            channel: self.channel,
            sample_rate: self.sample_rate,
        })
    }

    /// The SHA-256 of the manifest and of its segments.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn inputs(&self) -> Result<Value> {
        let beside = manifest::segments_beside(self.manifest);
        let segments = self.segments.or(beside.as_deref());
        let mut inputs = json!({"manifest": checksum::sha256(self.manifest)?});
        if let Some(segments) = segments {
            inputs["segments"] = checksum::sha256(segments)?.into();
        }
        Ok(inputs)
    }
}

impl Utterances {
    /// Utterance `idx`.
    ///
    /// # Errors
    /// When there are not so many, which means that the manifest became shorter during the run.
    pub fn get(&self, idx: u64) -> Result<&Utterance> {
        usize::try_from(idx).ok().and_then(|idx| self.utterances.get(idx)).with_context(|| {
            format!("no utterance {idx}: the manifest has {}", self.utterances.len())
        })
    }

    /// Reads the audio of utterance `idx`, mono and at the stage's sample rate.
    ///
    /// # Errors
    /// As [`audio::read`].
    pub fn audio(&self, idx: u64) -> Result<Audio> {
        self.part(idx, self.get(idx)?.span)
    }

    /// As [`audio`](Self::audio), another part of the same file.
    pub(crate) fn part(&self, idx: u64, span: Span) -> Result<Audio> {
        let path = locate(&self.folder, &self.get(idx)?.path);
        audio::read(&path, span, self.channel, self.sample_rate)
    }

    /// What the file of utterance `idx` is, by its header.
    pub(crate) fn header(&self, idx: u64) -> Result<Inspected> {
        let path = locate(&self.folder, &self.get(idx)?.path);
        inspect(&path, Span::default(), false)
            .with_context(|| format!("failed to read audio `{}`", path.display()))
    }

    /// The utterances, and where their files are.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Utterance, Cow<'_, Path>)> {
        self.utterances.iter().map(|utterance| (utterance, locate(&self.folder, &utterance.path)))
    }

    /// Hz.
    pub(crate) fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// What a person calls utterance `idx`: `UTT_ID (PATH)`.
    #[must_use]
    pub fn name(&self, idx: u64) -> Option<String> {
        let utterance = self.get(idx).ok()?;
        Some(format!("{} ({})", utterance.id, utterance.path.display()))
    }
}

/// A relative path starts at the current directory, as in Kaldi; if nothing is there, at the
/// manifest's. Asked when the audio is read, since asking for all would touch every file.
pub(crate) fn locate<'a>(folder: &Path, path: &'a Path) -> Cow<'a, Path> {
    let beside = folder.join(path);
    if path.is_relative() && !path.exists() && beside.exists() {
        return Cow::Owned(beside);
    }
    Cow::Borrowed(path)
}

impl Dataset for Utterances {
    fn len(&self) -> u64 {
        self.utterances.len() as u64
    }

    /// Seconds, if the manifest says so for every utterance.
    fn costs(&self) -> Option<Vec<f64>> {
        self.utterances.iter().map(|utterance| utterance.duration).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::speech::testing::{sine, wav, write};

    #[test]
    fn audio_is_found_beside_the_manifest_and_cut() {
        let (dir, _) = write("a.wav", &wav(&sine(440.0, 8000, 1.0), 8000, 1));
        let manifest = dir.path().join("a.tsv");
        let text = "utt_id\tpath\tstart\tend\nutt1\ta.wav\t0\t1\nutt2\ta.wav\t0.25\t0.5\n";
        fs::write(&manifest, text).expect("a file");
        let source =
            Source { manifest: &manifest, segments: None, channel: None, sample_rate: 16000 };
        let utterances = source.utterances().expect("a manifest");
        assert_eq!(utterances.costs(), Some(vec![1.0, 0.25]));
        assert_eq!(utterances.name(1).as_deref(), Some("utt2 (a.wav)"));
        let lengths = [0, 1].map(|idx| utterances.audio(idx).expect("audio").samples.len());
        assert_eq!(lengths, [16000, 4000]);
        let error = utterances.audio(2).expect_err("only two").to_string();
        assert_eq!(error, "no utterance 2: the manifest has 2");

        // One duration missing: no costs at all, rather than wrong ones.
        fs::write(&manifest, text.replace("\t0.5\n", "\t\n")).expect("a file");
        assert_eq!(source.utterances().expect("a manifest").costs(), None);
    }
}
