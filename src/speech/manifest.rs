//! Manifests: which utterances there are. Kaldi's `wav.scp` (and `segments`), TSV, and JSON lines.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::audio::Span;
use super::fault::Fault;
use super::tables;
use crate::Inputs;
use crate::lines::read_text;

/// One utterance of a manifest.
///
/// ```
/// use espnet3_par::speech::audio::Span;
/// use espnet3_par::speech::{Utterance, Utterances};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let manifest = folder.join("train.tsv");
/// std::fs::write(&manifest, "utt_id\tpath\tstart\tend\nutt1\tmeeting.flac\t1.5\t4\n")?;
/// let utterances = Utterances::read(&manifest, None, None)?;
/// let Utterance { id, path, span, duration } = utterances.get(0)?.clone();
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

/// A line of a manifest: its utterance, or what is wrong with it.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The manifest, or its segments.
    pub file: Arc<Path>,
    pub line: usize,
    /// The utterance, or the recording where that is wrong; not known of every malformed line.
    pub id: Option<String>,
    /// What the utterance is cut from, where there are segments.
    pub recording: Option<String>,
    pub utterance: Result<Utterance>,
}

/// The manifest that is meant: of a Kaldi data directory its `wav.scp`.
pub(crate) fn file(path: &Path) -> Cow<'_, Path> {
    if path.is_dir() { Cow::Owned(path.join("wav.scp")) } else { Cow::Borrowed(path) }
}

/// Reads the manifest `path`. `*.jsonl` and `*.json` are JSON lines, `*.tsv` is a table, everything
/// else is a `wav.scp`. `segments` (for a `wav.scp` also a file `segments` beside it) cuts
/// recordings into utterances.
///
/// # Errors
/// Names the file and line of the first thing wrong: a malformed line, a missing field, two
/// utterances of one id, a pipe command, an id that is not what `ids` asks for.
pub(crate) fn read(
    path: &Path,
    segments: Option<&Path>,
    ids: Ids,
) -> Result<(Vec<Utterance>, Inputs)> {
    let utterance = |Entry { file, line, utterance, .. }: Entry| {
        let utterance = utterance?;
        if ids == Ids::Words {
            check_word(&file, line, &utterance.id)?;
        }
        Ok(utterance)
    };
    let Listed { entries, inputs } = list(path, segments)?;
    Ok((entries.into_iter().map(utterance).collect::<Result<_>>()?, inputs))
}

/// All lines of a manifest.
pub(crate) struct Listed {
    pub entries: Vec<Entry>,
    /// The manifest and its segments.
    pub inputs: Inputs,
}

/// As [`read`], but lines that are wrong are in the list too. With segments, the recordings that
/// are wrong come first.
///
/// # Errors
/// When a file cannot be read, or has no line.
pub(crate) fn list(path: &Path, segments: Option<&Path>) -> Result<Listed> {
    let text = read_text(path)?;
    let mut inputs = Inputs::default().bytes("manifest", text.as_bytes());
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let lines = match extension {
        "jsonl" | "json" => each_line(&text, |line| (None, None, tables::json_line(line))),
        "tsv" => tables::tsv(path, &text)?,
        _ => each_line(&text, |line| (word(line, 0), None, scp_line(line))),
    };
    if lines.is_empty() {
        bail!("{}: no utterances", path.display());
    }
    let mut entries = entries(path, lines);
    if let Some(segments) = segments.map(Path::to_path_buf).or_else(|| segments_beside(path)) {
        let text = read_text(&segments)?;
        inputs = inputs.bytes("segments", text.as_bytes());
        entries = cut(entries, path, &segments, &text);
    }
    durations_beside(path, &mut entries)?;
    Ok(Listed { entries, inputs })
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
fn segments_beside(manifest: &Path) -> Option<PathBuf> {
    let segments = manifest.with_file_name("segments");
    (manifest.file_name()? == "wav.scp" && segments.is_file()).then_some(segments)
}

/// A line that was parsed; as [`Entry`].
pub(super) struct Parsed {
    pub line: usize,
    pub id: Option<String>,
    pub recording: Option<String>,
    pub utterance: Result<Utterance>,
}

/// Parses every line that is not blank.
fn each_line<'a>(
    text: &'a str,
    parse: impl Fn(&'a str) -> (Option<&'a str>, Option<&'a str>, Result<Utterance>),
) -> Vec<Parsed> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let parsed = |(text, line)| {
        let (id, recording, utterance) = parse(text);
        let [id, recording] = [id, recording].map(|id| id.map(str::to_owned));
        Parsed { line, id, recording, utterance }
    };
    lines.map(parsed).collect()
}

fn word(line: &str, nth: usize) -> Option<&str> {
    line.split_whitespace().nth(nth)
}

/// Errors get the file and line; an utterance that was there before is one.
fn entries(path: &Path, lines: Vec<Parsed>) -> Vec<Entry> {
    let file: Arc<Path> = Arc::from(path);
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(lines.len());
    let entry = |Parsed { line, id, recording, utterance }: Parsed| {
        let id = utterance.as_ref().ok().map(|utterance| utterance.id.clone()).or(id);
        let utterance = utterance.and_then(|utterance| {
            if let Some(first) = seen.get(&utterance.id) {
                let message = format!("utterance `{}` was already on line {first}", utterance.id);
                return Err(Fault::DuplicateId.is(message));
            }
            seen.insert(utterance.id.clone(), line);
            Ok(utterance)
        });
        let utterance = utterance.with_context(|| format!("{}:{line}", path.display()));
        Entry { file: file.clone(), line, id, recording, utterance }
    };
    lines.into_iter().map(entry).collect()
}

fn scp_line(line: &str) -> Result<Utterance> {
    let Some((id, path)) = line.trim().split_once(char::is_whitespace) else {
        bail!("expected `UTT_ID PATH`, found `{line}`");
    };
    let path = path.trim();
    if path.ends_with('|') {
        return Err(Fault::Command.is(format!(
            "`{id}` is a command, and commands are not run yet; run it once and name the file it \
             makes (SPHERE, WAV and FLAC are read without any command)"
        )));
    }
    Ok(utterance(id, path))
}

pub(super) fn utterance(id: &str, path: &str) -> Utterance {
    let path = Arc::from(Path::new(path));
    Utterance { id: id.to_owned(), path, span: Span::default(), duration: None }
}

/// Programs differ in what a blank is; none takes any of these for a part of a word.
fn check_word(file: &Path, line: usize, id: &str) -> Result<()> {
    if id.is_empty() || id.contains(|c: char| c.is_whitespace() || c.is_control()) {
        bail!(
            "{}:{line}: the utterance id {id:?} is not one word, as it must be in an scp; give the \
             line an `utt_id` without blanks",
            file.display()
        );
    }
    Ok(())
}

/// Cuts recordings into the utterances of a Kaldi `segments` file: `UTT_ID RECORDING START END`,
/// in seconds; an end of -1 is the recording's.
fn cut(recordings: Vec<Entry>, manifest: &Path, segments: &Path, text: &str) -> Vec<Entry> {
    let (good, mut wrong): (Vec<_>, Vec<_>) =
        recordings.into_iter().partition(|entry| entry.utterance.is_ok());
    let mut paths: HashMap<String, Option<Arc<Path>>> =
        wrong.iter().filter_map(|entry| Some((entry.id.clone()?, None))).collect();
    // The first of two with one id is good.
    paths.extend(
        good.into_iter()
            .filter_map(|entry| entry.utterance.ok())
            .map(|recording| (recording.id, Some(recording.path))),
    );
    let parse = |line: &str| {
        let [id, recording, start, end] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            bail!("expected `UTT_ID RECORDING START END`, found `{line}`");
        };
        let path = match paths.get(recording) {
            Some(Some(path)) => path.clone(),
            found => {
                let manifest = manifest.display();
                return Err(Fault::NoRecording.is(match found {
                    Some(_) => format!("recording `{recording}` is wrong in {manifest}"),
                    None => format!("no recording `{recording}` in {manifest}"),
                }));
            }
        };
        let start = seconds(start)?;
        let end = Some(seconds(end)?).filter(|end| *end != -1.0);
        let duration = end.map(|end| end - start);
        Ok(Utterance { id: id.to_owned(), path, span: Span { start, end }, duration })
    };
    let lines = each_line(text, |line| (word(line, 0), word(line, 1), parse(line)));
    wrong.extend(entries(segments, lines));
    wrong
}

pub(super) fn seconds(text: &str) -> Result<f64> {
    let seconds: Option<f64> = text.trim().parse().ok();
    seconds.filter(|s| s.is_finite()).with_context(|| format!("`{text}` is no time in seconds"))
}

/// Takes what is missing from the `utt2dur` beside a Kaldi manifest, if there is one. Opening
/// every file for its length would be slow where there are hundreds of thousands.
fn durations_beside(manifest: &Path, entries: &mut [Entry]) -> Result<()> {
    let path = manifest.with_file_name("utt2dur");
    let utterances = || entries.iter().filter_map(|entry| entry.utterance.as_ref().ok());
    if utterances().all(|utterance| utterance.duration.is_some()) || !path.is_file() {
        return Ok(());
    }
    let text = read_text(&path)?;
    let durations: HashMap<&str, f64> = text
        .lines()
        .filter_map(|line| line.split_once(char::is_whitespace))
        .filter_map(|(id, duration)| Some((id, seconds(duration).ok()?)))
        .collect();
    for utterance in entries.iter_mut().filter_map(|entry| entry.utterance.as_mut().ok()) {
        utterance.duration = utterance.duration.or(durations.get(utterance.id.as_str()).copied());
    }
    Ok(())
}
