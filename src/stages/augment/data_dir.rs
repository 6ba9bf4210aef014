//! Kaldi data directories: the tables beside a manifest, and those of what was made.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::mem::take;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::collect::write_own;
use crate::lines::read_text;
use crate::speech::manifest;
use crate::{Inputs, Record};

/// What stands beside the manifest about its utterances.
pub(super) struct Beside {
    pub text: HashMap<String, String>,
    pub utt2spk: HashMap<String, String>,
    /// Where the manifest was augmented itself: which utterance each one is made of.
    pub utt2uniq: HashMap<String, String>,
    /// Those that are there.
    pub inputs: Inputs,
}

impl Beside {
    /// Reads those tables that are there.
    pub(super) fn read(manifest: &Path) -> Result<Self> {
        let manifest = manifest::file(manifest);
        let mut inputs = Inputs::default();
        let mut table = |name: &str| -> Result<HashMap<String, String>> {
            let path = manifest.with_file_name(name);
            if !path.is_file() {
                return Ok(HashMap::new());
            }
            let text = read_text(&path)?;
            inputs = take(&mut inputs).bytes(name, text.as_bytes());
            Ok(table_of(&text))
        };
        let (text, utt2spk, utt2uniq) = (table("text")?, table("utt2spk")?, table("utt2uniq")?);
        Ok(Self { text, utt2spk, utt2uniq, inputs })
    }
}

/// `KEY VALUE` lines. A transcript may be empty.
fn table_of(text: &str) -> HashMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let parts = lines.map(|line| line.split_once(char::is_whitespace).unwrap_or((line, "")));
    parts.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect()
}

/// One utterance that was made.
struct Row {
    utt_id: String,
    wav: String,
    duration: f64,
    source: String,
    speaker: Option<String>,
    text: Option<String>,
}

/// Writes `wav.scp`, `utt2dur`, `utt2uniq`, `manifest.jsonl` and, where they are known, `text`,
/// `utt2spk` and `spk2utt`, sorted by bytes, as Kaldi's tools want them.
pub(super) fn write(
    records: &mut dyn Iterator<Item = Result<Record>>,
    output_dir: &Path,
) -> Result<()> {
    let rows: Result<Vec<Row>> = records.map(|record| Row::of(&record?, output_dir)).collect();
    let mut rows = rows?;
    rows.sort_by(|a, b| a.utt_id.cmp(&b.utt_id));
    let table = |name: &str, value: &dyn Fn(&Row) -> Option<String>| {
        write_table(
            &output_dir.join(name),
            rows.iter().map(|row| (row.utt_id.as_str(), value(row))),
        )
    };
    table("wav.scp", &|row| Some(row.wav.clone()))?;
    table("utt2dur", &|row| Some(row.duration.to_string()))?;
    table("utt2uniq", &|row| Some(row.source.clone()))?;
    if rows.iter().any(|row| row.text.is_some()) {
        table("text", &|row| row.text.clone())?;
    }
    if rows.iter().any(|row| row.speaker.is_some()) {
        table("utt2spk", &|row| row.speaker.clone())?;
        let mut speakers: BTreeMap<&str, String> = BTreeMap::new();
        for row in &rows {
            let Some(speaker) = &row.speaker else { continue };
            let utterances = speakers.entry(speaker).or_default();
            if !utterances.is_empty() {
                utterances.push(' ');
            }
            utterances.push_str(&row.utt_id);
        }
        let spk2utt = speakers.into_iter().map(|(speaker, utterances)| (speaker, Some(utterances)));
        write_table(&output_dir.join("spk2utt"), spk2utt)?;
    }
    write_own(&output_dir.join("manifest.jsonl"), |out| {
        for Row { utt_id, wav, duration, speaker, text, .. } in &rows {
            let mut line = json!({"utt_id": utt_id, "path": wav, "duration": duration});
            for (name, value) in [("speaker", speaker), ("text", text)] {
                if let Some(value) = value {
                    line[name] = value.as_str().into();
                }
            }
            writeln!(out, "{line}")?;
        }
        Ok(())
    })
}

impl Row {
    fn of(record: &Record, output_dir: &Path) -> Result<Self> {
        let wav = output_dir.join(record.get::<String>("wav")?);
        Ok(Self {
            utt_id: record.get("utt_id")?,
            wav: wav.to_str().context("a path that is not UTF-8")?.to_owned(),
            duration: record.get("duration")?,
            source: record.get("source")?,
            speaker: record.get("speaker").ok(),
            text: record.get("text").ok(),
        })
    }
}

/// Lines of those that have a value.
fn write_table<'a>(
    path: &Path,
    lines: impl Iterator<Item = (&'a str, Option<String>)>,
) -> Result<()> {
    write_own(path, |out| {
        for (key, value) in lines {
            if let Some(value) = value {
                writeln!(out, "{}", format!("{key} {value}").trim_end())?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::*;

    fn merged(records: &[Value]) -> (tempfile::TempDir, impl Fn(&str) -> String + use<>) {
        let dir = tempfile::tempdir().expect("a directory");
        let mut records = records.iter().map(Record::new);
        write(&mut records, dir.path()).expect("a merge");
        let (root, shown) = (dir.path().to_owned(), format!("{}/", dir.path().display()));
        let read = move |name: &str| {
            fs::read_to_string(root.join(name)).unwrap_or_default().replace(&shown, "")
        };
        (dir, read)
    }

    #[test]
    fn what_kaldi_reads_is_sorted_and_complete() {
        let record = |utt_id: &str, more: Value| {
            let mut record = json!({"utt_id": utt_id, "source": "a", "duration": 1.25,
                "wav": format!("shards/split.0/{utt_id}.wav")});
            for (key, value) in more.as_object().expect("a mapping") {
                record[key] = value.clone();
            }
            record
        };
        let (_dir, read) = merged(&[
            record("sp0.9-a", json!({"speaker": "sp0.9-s", "text": "YES"})),
            record("a", json!({"speaker": "s", "text": ""})),
            record("B", json!({})),
            record("sp0.9-b", json!({"speaker": "sp0.9-s", "text": "GO ON"})),
        ]);
        let scp = ["B", "a", "sp0.9-a", "sp0.9-b"]
            .map(|id| format!("{id} shards/split.0/{id}.wav\n"))
            .concat();
        assert_eq!(read("wav.scp"), scp);
        assert_eq!(read("utt2dur"), "B 1.25\na 1.25\nsp0.9-a 1.25\nsp0.9-b 1.25\n");
        assert_eq!(read("utt2uniq"), "B a\na a\nsp0.9-a a\nsp0.9-b a\n");
        assert_eq!(read("text"), "a\nsp0.9-a YES\nsp0.9-b GO ON\n");
        assert_eq!(read("utt2spk"), "a s\nsp0.9-a sp0.9-s\nsp0.9-b sp0.9-s\n");
        assert_eq!(read("spk2utt"), "s a\nsp0.9-s sp0.9-a sp0.9-b\n");
        let manifest = read("manifest.jsonl");
        let lines: Vec<_> = manifest.lines().collect();
        assert_eq!(lines[0], r#"{"utt_id":"B","path":"shards/split.0/B.wav","duration":1.25}"#);
        assert!(lines[2].ends_with(r#""duration":1.25,"speaker":"sp0.9-s","text":"YES"}"#));

        let (dir, _read) = merged(&[record("a", json!({}))]);
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 4);
    }

    #[test]
    fn tables_beside_the_manifest() {
        let dir = tempfile::tempdir().expect("a directory");
        let manifest = dir.path().join("wav.scp");
        let none = Beside::read(&manifest).expect("no tables");
        assert!(none.text.is_empty() && none.inputs == Inputs::default());
        fs::write(dir.path().join("text"), "a  YES  SIR \nb\n\n").expect("a file");
        let Beside { text, inputs, .. } = Beside::read(&manifest).expect("a table");
        assert_eq!((text["a"].as_str(), text["b"].as_str(), text.len()), ("YES  SIR", "", 2));
        assert_eq!(inputs, Inputs::default().bytes("text", b"a  YES  SIR \nb\n\n"));
    }
}
