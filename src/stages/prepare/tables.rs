//! What a Kaldi data directory or a manifest says beside the audio: transcripts, speakers, and
//! whatever else a row has.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Map, Value};

use crate::lines::read_text;
use crate::speech::tables::{header, is_of_audio};

/// A Kaldi table, such as `text` or `utt2spk`.
pub(super) struct Table {
    pub path: PathBuf,
    /// Keys in the file's order, with the line of each.
    pub keys: Vec<(String, usize)>,
    /// The first value of each key, and on which lines the key is.
    values: HashMap<String, (String, Vec<usize>)>,
    /// All of the file.
    pub text: String,
}

impl Table {
    /// Reads it, if it is there.
    pub(super) fn read(path: PathBuf) -> Result<Option<Self>> {
        if !path.is_file() {
            return Ok(None);
        }
        let text = read_text(&path)?;
        let (mut keys, mut values) = (Vec::new(), HashMap::<_, (_, Vec<_>)>::new());
        for (line, number) in text.lines().map(str::trim).zip(1..).filter(|line| !line.0.is_empty())
        {
            let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let new = || (value.trim().to_owned(), Vec::new());
            values.entry(key.to_owned()).or_insert_with(new).1.push(number);
            keys.push((key.to_owned(), number));
        }
        Ok(Some(Self { path, keys, values, text }))
    }

    /// The value, and the lines where the key is.
    pub(super) fn get(&self, key: &str) -> Option<(&str, &[usize])> {
        self.values.get(key).map(|(value, lines)| (value.as_str(), lines.as_slice()))
    }
}

/// `SPEAKER UTT_ID UTT_ID …` the other way round.
pub(super) fn spk2utt(table: &Table) -> HashMap<String, String> {
    let mut speakers = HashMap::new();
    for (speaker, (utterances, _)) in &table.values {
        let each = utterances.split_whitespace();
        speakers.extend(each.map(|utterance| (utterance.to_owned(), speaker.clone())));
    }
    speakers
}

/// What records say themselves.
const OWN: [&str; 7] =
    ["idx", "recording", "recording_duration", "sample_rate", "num_channels", "format", "warnings"];

/// What each line of a TSV or JSONL manifest has beside the audio's own fields.
pub(super) fn rows(manifest: &Path) -> Result<HashMap<usize, Map<String, Value>>> {
    let extension = manifest.extension().and_then(|extension| extension.to_str());
    let jsonl = match extension {
        Some("jsonl" | "json") => true,
        Some("tsv") => false,
        _ => return Ok(HashMap::new()),
    };
    let text = read_text(manifest)?;
    // Without a header: utterance id, path, text.
    let columns = header(&text).unwrap_or_else(|| vec!["utt_id", "path", "text"]);
    let row = |line: &str| -> Map<String, Value> {
        if jsonl {
            return serde_json::from_str(line).unwrap_or_default();
        }
        let fields = line.split('\t').map(|field| Value::from(field.trim()));
        columns.iter().map(|column| (*column).to_owned()).zip(fields).collect()
    };
    let rows = text.lines().zip(1..).map(|(line, number)| {
        let mut row = row(line);
        row.retain(|name, _| !is_of_audio(name) && !OWN.contains(&name.as_str()));
        (number, row)
    });
    Ok(rows.filter(|(_, row)| !row.is_empty()).collect())
}
