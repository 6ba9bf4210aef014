//! The two tabular manifests: TSV and JSON lines, with the field names people use.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::audio::Span;
use super::manifest::{Parsed, Utterance, seconds, utterance};

const ID: &[&str] = &["utt_id", "id", "key"];
const PATH: &[&str] = &["path", "wav", "audio", "audio_filepath"];
const START: &[&str] = &["start", "offset"];

/// The columns of a table, if its first line names them.
pub(crate) fn header(text: &str) -> Option<Vec<&str>> {
    let columns: Vec<&str> = text.lines().next()?.split('\t').map(str::trim).collect();
    let has = |names: &[&str]| columns.iter().any(|column| names.contains(column));
    (has(ID) && has(PATH)).then_some(columns)
}

/// Whether a column or field says which audio it is; others are the user's own.
pub(crate) fn is_of_audio(name: &str) -> bool {
    let known = [ID, PATH, START, &["end", "duration"]];
    known.iter().any(|names| names.contains(&name))
}

/// A table with a header line, in any order of columns; unknown columns are passed over. Without a
/// header the columns are ESPnet3's: utterance id, path, text.
pub(super) fn tsv(path: &Path, text: &str) -> Result<Vec<Parsed>> {
    let columns: Vec<&str> = text.lines().next().unwrap_or_default().split('\t').collect();
    let find = |names: &[&str]| columns.iter().position(|column| names.contains(&column.trim()));
    let header = find(ID).zip(find(PATH));
    if header.is_none() && (find(ID).is_some() || find(PATH).is_some()) {
        bail!(
            "{}:1: the header needs `utt_id` and one of {}; it has {}",
            path.display(),
            quoted(PATH),
            quoted(&columns)
        );
    }
    let (id, audio) = header.unwrap_or((0, 1));
    let start = find(START).filter(|_| header.is_some());
    let end = find(&["end"]).filter(|_| header.is_some());
    let duration = find(&["duration"]).filter(|_| header.is_some());
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let field = |column: usize| fields.get(column).map(|field| field.trim());
        let (Some(id), Some(audio)) = (field(id), field(audio)) else {
            bail!("expected {} columns, found {}", columns.len(), fields.len());
        };
        if id.is_empty() || audio.is_empty() {
            bail!("empty utterance id or path");
        }
        let time = |column: Option<usize>| match column.and_then(field) {
            None | Some("") => Ok(None),
            Some(text) => seconds(text).map(Some),
        };
        Ok(cut(utterance(id, audio), time(start)?, time(end)?, time(duration)?))
    };
    let skipped = usize::from(header.is_some());
    let lines = text.lines().zip(1..).skip(skipped).filter(|(line, _)| !line.trim().is_empty());
    let parsed = |(text, line): (&str, usize)| {
        let id = text.split('\t').nth(id).map(|id| id.trim().to_owned());
        Parsed { line, id, recording: None, utterance: parse(text) }
    };
    Ok(lines.map(parsed).collect())
}

#[derive(Deserialize)]
struct JsonLine {
    #[serde(alias = "id", alias = "key")]
    utt_id: Option<String>,
    #[serde(alias = "wav", alias = "audio", alias = "audio_filepath")]
    path: String,
    #[serde(alias = "offset")]
    start: Option<f64>,
    end: Option<f64>,
    duration: Option<f64>,
}

/// One object; without an id (as in NeMo's manifests) the file's stem is the id.
pub(super) fn json_line(line: &str) -> Result<Utterance> {
    let JsonLine { utt_id, path, start, end, duration } = serde_json::from_str(line)?;
    let stem = Path::new(&path).file_stem().and_then(|stem| stem.to_str());
    let id = utt_id.as_deref().or(stem).context("neither `utt_id` nor a file name")?;
    Ok(cut(utterance(id, &path), start, end, duration))
}

/// A duration cuts the audio only together with a start; alone it is the whole file's.
fn cut(
    utterance: Utterance,
    start: Option<f64>,
    end: Option<f64>,
    duration: Option<f64>,
) -> Utterance {
    let end = end.or_else(|| Some(start? + duration?));
    let span = Span { start: start.unwrap_or(0.0), end };
    let duration = end.map(|end| end - span.start).or(duration);
    Utterance { span, duration, ..utterance }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
