//! Manifests: which utterances there are. Kaldi's `wav.scp` (and `segments`), TSV, and JSON lines.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::audio::Span;
use super::tables;
use crate::lines::read_text;

/// One utterance of a manifest.
///
/// ```
/// use espnet3_par::speech::audio::Span;
/// use espnet3_par::speech::{Source, Utterance};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let manifest = folder.join("train.tsv");
/// std::fs::write(&manifest, "utt_id\tpath\tstart\tend\nutt1\tmeeting.flac\t1.5\t4\n")?;
/// let source = Source { manifest: &manifest, segments: None, channel: None, sample_rate: 16_000 };
/// let Utterance { id, path, span, duration } = source.utterances()?.get(0)?.clone();
/// assert_eq!((id.as_str(), path.to_str()), ("utt1", Some("meeting.flac")));
/// // Seconds.
/// assert_eq!((span, duration), (Span { start: 1.5, end: Some(4.0) }, Some(2.5)));
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Utterance {
    /// The utterance id.
    pub id: String,
    /// The audio file as the manifest has it; utterances of one recording share it.
    pub path: Arc<Path>,
    /// Which part of the file.
    pub span: Span,
    /// Seconds, where the manifest says; a hint for the cost, not a limit.
    pub duration: Option<f64>,
}

/// Reads the manifest `path`. `*.jsonl` and `*.json` are JSON lines, `*.tsv` is a table, everything
/// else is a `wav.scp`. `segments` (for a `wav.scp` also a file `segments` beside it) cuts
/// recordings into utterances.
///
/// # Errors
/// Names the file and line of the first thing wrong: a malformed line, a missing field, two
/// utterances of one id, a pipe command, an id that is not what `ids` asks for.
pub(crate) fn read(path: &Path, segments: Option<&Path>, ids: Ids) -> Result<Vec<Utterance>> {
    let text = read_text(path)?;
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let lines = match extension {
        "jsonl" | "json" => each_line(path, &text, tables::json_line)?,
        "tsv" => tables::tsv(path, &text)?,
        _ => each_line(path, &text, scp_line)?,
    };
    if lines.is_empty() {
        bail!("{}: no utterances", path.display());
    }
    check_unique(path, &lines)?;
    let segments = segments.map(Path::to_path_buf).or_else(|| segments_beside(path));
    let lines = match &segments {
        Some(segments) => cut(lines, path, segments)?,
        None => lines,
    };
    if ids == Ids::Words {
        check_words(segments.as_deref().unwrap_or(path), &lines)?;
    }
    let mut utterances: Vec<_> = lines.into_iter().map(|(_, utterance)| utterance).collect();
    durations_beside(path, &mut utterances)?;
    Ok(utterances)
}

/// What an utterance id must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ids {
    /// Any text.
    Any,
    /// One word, as it must be in an scp and in an archive: a blank ends it there.
    Words,
}

/// The `segments` file beside a `wav.scp`, as in a Kaldi data directory.
pub(crate) fn segments_beside(manifest: &Path) -> Option<PathBuf> {
    let segments = manifest.with_file_name("segments");
    (manifest.file_name()? == "wav.scp" && segments.is_file()).then_some(segments)
}

/// An utterance and the line it came from.
pub(super) type Line = (usize, Utterance);

/// Parses every line that is not blank; an error gets the file and line.
fn each_line<T>(
    path: &Path,
    text: &str,
    parse: impl Fn(&str) -> Result<T>,
) -> Result<Vec<(usize, T)>> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines
        .map(|(line, number)| {
            let parsed = parse(line).with_context(|| format!("{}:{number}", path.display()))?;
            Ok((number, parsed))
        })
        .collect()
}

fn scp_line(line: &str) -> Result<Utterance> {
    let Some((id, path)) = line.trim().split_once(char::is_whitespace) else {
        bail!("expected `UTT_ID PATH`, found `{line}`");
    };
    let path = path.trim();
    if path.ends_with('|') {
        bail!(
            "`{id}` is a command, and commands are not run yet; run it once and name the file it \
             makes (SPHERE, WAV and FLAC are read without any command)"
        );
    }
    Ok(utterance(id, path))
}

pub(super) fn utterance(id: &str, path: &str) -> Utterance {
    let path = Arc::from(Path::new(path));
    Utterance { id: id.to_owned(), path, span: Span::default(), duration: None }
}

fn check_unique(path: &Path, lines: &[Line]) -> Result<()> {
    let mut seen = HashMap::with_capacity(lines.len());
    for (number, utterance) in lines {
        if let Some(first) = seen.insert(utterance.id.as_str(), number) {
            bail!(
                "{path}:{number}: utterance `{}` was already on line {first}",
                utterance.id,
                path = path.display(),
            );
        }
    }
    Ok(())
}

/// Programs differ in what a blank is; none takes any of these for a part of a word.
fn check_words(path: &Path, lines: &[Line]) -> Result<()> {
    let ends = |c: char| c.is_whitespace() || c.is_control();
    for (number, utterance) in lines {
        if utterance.id.is_empty() || utterance.id.contains(ends) {
            bail!(
                "{}:{number}: the utterance id {:?} is not one word, as it must be in an scp; give the \
                 line an `utt_id` without blanks",
                path.display(),
                utterance.id,
            );
        }
    }
    Ok(())
}

/// Cuts recordings into the utterances of a Kaldi `segments` file: `UTT_ID RECORDING START END`,
/// in seconds; an end of -1 is the recording's.
fn cut(recordings: Vec<Line>, manifest: &Path, segments: &Path) -> Result<Vec<Line>> {
    let recordings: HashMap<String, Arc<Path>> =
        recordings.into_iter().map(|(_, recording)| (recording.id, recording.path)).collect();
    let parse = |line: &str| {
        let [id, recording, start, end] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            bail!("expected `UTT_ID RECORDING START END`, found `{line}`");
        };
        let Some(path) = recordings.get(recording) else {
            bail!("no recording `{recording}` in {}", manifest.display());
        };
        let start = seconds(start)?;
        let end = Some(seconds(end)?).filter(|end| *end != -1.0);
        let duration = end.map(|end| end - start);
        let span = Span { start, end };
        Ok(Utterance { id: id.to_owned(), path: path.clone(), span, duration })
    };
    let lines = each_line(segments, &read_text(segments)?, parse)?;
    check_unique(segments, &lines)?;
    Ok(lines)
}

pub(super) fn seconds(text: &str) -> Result<f64> {
    let seconds: Option<f64> = text.trim().parse().ok();
    seconds.filter(|s| s.is_finite()).with_context(|| format!("`{text}` is no time in seconds"))
}

/// Takes what is missing from the `utt2dur` beside a Kaldi manifest, if there is one. Opening
/// every file for its length would be slow where there are hundreds of thousands.
fn durations_beside(manifest: &Path, utterances: &mut [Utterance]) -> Result<()> {
    let path = manifest.with_file_name("utt2dur");
    if utterances.iter().all(|utterance| utterance.duration.is_some()) || !path.is_file() {
        return Ok(());
    }
    let text = read_text(&path)?;
    let durations: HashMap<&str, f64> = text
        .lines()
        .filter_map(|line| line.split_once(char::is_whitespace))
        .filter_map(|(id, duration)| Some((id, seconds(duration).ok()?)))
        .collect();
    for utterance in utterances {
        utterance.duration = utterance.duration.or(durations.get(utterance.id.as_str()).copied());
    }
    Ok(())
}
