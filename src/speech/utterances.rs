//! The dataset of the speech stages.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::audio::Span;
use super::inspect::{Inspected, inspect};
use super::manifest::{self, Ids};
use super::{Audio, Utterance, audio};
use crate::{Dataset, Inputs};

/// The utterances of a manifest.
///
/// ```
/// use std::fs;
/// use espnet3_par::speech::Utterances;
/// use espnet3_par::{Dataset, Inputs};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// # // The header of a WAV file of 32000 bytes: 16-bit PCM, mono, 16 kHz.
/// # let mut bytes = b"RIFF\x24\x7d\0\0WAVE\
/// #     fmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0\
/// #     data\0\x7d\0\0".to_vec();
/// # bytes.resize(44 + 2 * 16_000, 0);
/// # fs::write(folder.join("silence.wav"), bytes)?;
/// let manifest = folder.join("wav.scp");
/// let segments = folder.join("segments");
/// // `silence.wav` is one second at 16 kHz.
/// fs::write(&manifest, "meeting silence.wav\n")?;
/// // UTT_ID RECORDING START END, in seconds.
/// fs::write(&segments, "meeting-a meeting 0 0.25\nmeeting-b meeting 0.5 1\n")?;
/// let utterances = Utterances::read(&manifest, Some(&segments), None)?;
///
/// assert_eq!((utterances.len(), utterances.costs()), (2, Some(vec![0.25, 0.5])));
/// let second = utterances.get(1)?;
/// assert_eq!((second.id.as_str(), second.span.start, second.span.end), ("meeting-b", 0.5, Some(1.0)));
/// assert_eq!(utterances.item_name(1).as_deref(), Some("meeting-b (silence.wav)"));
/// // The path is beside the manifest, and the audio comes at the rate that is asked for.
/// assert_eq!(utterances.audio(1, 8_000)?.samples.len(), 4_000);
/// assert!(utterances.get(2).is_err());
/// let inputs = Inputs::default().file("manifest", &*manifest)?.file("segments", &*segments)?;
/// assert_eq!(utterances.inputs(), inputs);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Utterances {
    utterances: Vec<Utterance>,
    inputs: Inputs,
    folder: PathBuf,
    channel: Option<usize>,
}

impl Utterances {
    /// Lists the utterances, without touching their audio. `*.jsonl` and `*.json` are JSON lines,
    /// `*.tsv` is a table, a folder is a Kaldi data directory, everything else is a `wav.scp`. A Kaldi
    /// `segments` file cuts recordings into utterances; without it the one beside a `wav.scp`, if any.
    /// The `channel` to take counts from 0; `None` is the mean of all.
    ///
    /// # Errors
    /// Names the file and line of the first thing wrong: a malformed line, a missing field, two
    /// utterances of one id, a pipe command.
    pub fn read(manifest: &Path, segments: Option<&Path>, channel: Option<usize>) -> Result<Self> {
        Self::of(manifest, segments, channel, Ids::Any)
    }

    /// The same, where every utterance id must be one word: for a stage that writes archives or an scp.
    ///
    /// ```
    /// # use espnet3_par::speech::Utterances;
    /// # let folder = tempfile::tempdir()?;
    /// let manifest = folder.path().join("train.jsonl");
    /// std::fs::write(&manifest, r#"{"path": "my recording.wav"}"#)?;
    /// assert_eq!(Utterances::read(&manifest, None, None)?.get(0)?.id, "my recording");
    /// // Kaldi would read the id `my`.
    /// assert!(Utterances::read_for_scp(&manifest, None, None).is_err());
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    /// # Errors
    /// As [`read`](Self::read), and for an id that is empty or has a blank or a control character.
    pub fn read_for_scp(
        manifest: &Path,
        segments: Option<&Path>,
        channel: Option<usize>,
    ) -> Result<Self> {
        Self::of(manifest, segments, channel, Ids::Words)
    }

    fn of(
        manifest: &Path,
        segments: Option<&Path>,
        channel: Option<usize>,
        ids: Ids,
    ) -> Result<Self> {
        let manifest = manifest::file(manifest);
        let (utterances, inputs) = manifest::read(&manifest, segments, ids)?;
        let folder = manifest.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self { utterances, inputs, folder, channel })
    }

    /// Utterance `idx`.
    ///
    /// # Errors
    /// When there are not so many, which means that the manifest became shorter during the run.
    pub fn get(&self, idx: u64) -> Result<&Utterance> {
        usize::try_from(idx).ok().and_then(|idx| self.utterances.get(idx)).with_context(|| {
            format!("no utterance {idx}: the manifest has {}", self.utterances.len())
        })
    }

    /// Reads the audio of utterance `idx`, mono; audio of another rate than `sample_rate`, in Hz, is
    /// resampled.
    ///
    /// # Errors
    /// As [`audio::read`].
    pub fn audio(&self, idx: u64, sample_rate: u32) -> Result<Audio> {
        self.part(idx, self.get(idx)?.span, sample_rate)
    }

    /// As [`audio`](Self::audio), another part of the same file.
    pub(crate) fn part(&self, idx: u64, span: Span, sample_rate: u32) -> Result<Audio> {
        let path = locate(&self.folder, &self.get(idx)?.path);
        audio::read(&path, span, self.channel, sample_rate)
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

    /// `UTT_ID (PATH)`.
    fn item_name(&self, idx: u64) -> Option<String> {
        let utterance = self.get(idx).ok()?;
        Some(format!("{} ({})", utterance.id, utterance.path.display()))
    }

    /// The manifest and its segments, as they were read.
    fn inputs(&self) -> Inputs {
        self.inputs.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::speech::testing::{sine, wav, write};

    #[test]
    fn a_data_directory_is_its_wav_scp() {
        let (dir, _) = write("a.wav", &wav(&sine(440.0, 8000, 1.0), 8000, 1));
        fs::write(dir.path().join("wav.scp"), "utt1 a.wav\n").expect("a file");
        fs::write(dir.path().join("utt2dur"), "utt1 1\n").expect("a file");
        let [folder, file] = [dir.path().to_owned(), dir.path().join("wav.scp")]
            .map(|manifest| Utterances::read(&manifest, None, None).expect("a manifest"));
        assert_eq!((folder.costs(), folder.inputs()), (Some(vec![1.0]), file.inputs()));
        assert_eq!(folder.audio(0, 8000).expect("audio beside wav.scp").samples.len(), 8000);
    }

    #[test]
    fn audio_is_found_beside_the_manifest_and_cut() {
        let (dir, _) = write("a.wav", &wav(&sine(440.0, 8000, 1.0), 8000, 1));
        let manifest = dir.path().join("a.tsv");
        let text = "utt_id\tpath\tstart\tend\nutt1\ta.wav\t0\t1\nutt2\ta.wav\t0.25\t0.5\n";
        fs::write(&manifest, text).expect("a file");
        let read = || Utterances::read(&manifest, None, None).expect("a manifest");
        let utterances = read();
        assert_eq!(utterances.costs(), Some(vec![1.0, 0.25]));
        assert_eq!(utterances.item_name(1).as_deref(), Some("utt2 (a.wav)"));
        let lengths = [0, 1].map(|idx| utterances.audio(idx, 16000).expect("audio").samples.len());
        assert_eq!(lengths, [16000, 4000]);
        let error = utterances.audio(2, 16000).expect_err("only two").to_string();
        assert_eq!(error, "no utterance 2: the manifest has 2");

        // One duration missing: no costs at all, rather than wrong ones.
        fs::write(&manifest, text.replace("\t0.5\n", "\t\n")).expect("a file");
        assert_eq!(read().costs(), None);
    }
}
