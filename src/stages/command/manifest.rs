//! The items: lines of a Kaldi `*.scp`, a TSV with a header, or JSON lines.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

use crate::lines::read_text;

/// What the column with the item's name may be called; else the first one is it.
const ID: &[&str] = &["utt_id", "id", "key"];

/// The item's index, of which no column can take the name.
pub(super) const IDX: &str = "idx";

/// A manifest that was read whole; each line is parsed again when its item comes.
pub(in crate::stages) struct Manifest {
    path: PathBuf,
    text: String,
    form: Form,
    /// Of the lines with an item.
    lines: Vec<Line>,
    /// Of the first one.
    columns: Vec<String>,
    id: String,
}

/// How a line becomes columns.
enum Form {
    /// A key, and the rest of the line.
    Scp,
    /// As many fields as the header has.
    Tsv,
    Jsonl,
}

struct Line {
    number: usize,
    place: Range<usize>,
}

/// The columns of an item, in the manifest's order.
pub(in crate::stages) type Row = Map<String, Value>;

impl Manifest {
    /// Reads it; by the file's ending it is a table, JSON lines, or an scp.
    ///
    /// # Errors
    /// Names the file and line of the first thing wrong.
    pub(in crate::stages) fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let form = match path.extension().and_then(|extension| extension.to_str()) {
            Some("tsv") => Form::Tsv,
            Some("jsonl" | "json") => Form::Jsonl,
            _ => Form::Scp,
        };
        let mut lines = lines_of(&text);
        let columns = match form {
            Form::Scp => vec![ID[0].to_owned(), scp_column(path)],
            Form::Jsonl => Vec::new(),
            Form::Tsv => match lines.is_empty() {
                true => Vec::new(),
                false => {
                    let header = lines.remove(0);
                    let names = text[header.place].split('\t');
                    names.map(|name| name.trim().to_owned()).collect()
                }
            },
        };
        let mut manifest =
            Self { path: path.to_owned(), text, form, lines, columns, id: String::new() };
        ensure!(!manifest.lines.is_empty(), "{}: no items", path.display());
        if matches!(manifest.form, Form::Jsonl) {
            manifest.columns = manifest.row(0)?.keys().cloned().collect();
        }
        manifest.id = manifest.id_column()?;
        manifest.check()?;
        Ok(manifest)
    }

    /// All of its text.
    pub(in crate::stages) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Where it was read from.
    pub(in crate::stages) fn path(&self) -> &Path {
        &self.path
    }

    fn id_column(&self) -> Result<String> {
        let named = ID.iter().find(|id| self.columns.iter().any(|column| column == *id));
        let first = || self.columns.iter().map(String::as_str).find(|column| *column != IDX);
        let id = named.copied().or_else(first);
        Ok(id
            .with_context(|| format!("{}: no column but `{IDX}`", self.path.display()))?
            .to_owned())
    }

    /// Every line, and that no two items have one name.
    fn check(&self) -> Result<()> {
        if matches!(self.form, Form::Tsv) {
            for (nth, column) in self.columns.iter().enumerate() {
                let path = self.path.display();
                ensure!(!column.is_empty(), "{path}:1: a column of the header has no name");
                let twice = self.columns[..nth].contains(column);
                ensure!(!twice, "{path}:1: column `{column}` is there twice");
            }
        }
        let mut seen = HashMap::with_capacity(self.lines.len());
        for (idx, line) in self.lines.iter().enumerate() {
            let row = self.row(idx)?;
            let id = self.value(idx, &row, &self.id)?;
            if let Some(first) = seen.insert(id, line.number) {
                let (path, number) = (self.path.display(), line.number);
                let id = self.value(idx, &row, &self.id)?;
                bail!("{path}:{number}: `{id}` was already on line {first}");
            }
        }
        Ok(())
    }

    /// Finds out whether `names` are columns of every item.
    ///
    /// # Errors
    /// Names the first that is not, and what there is.
    pub(super) fn check_names<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<()> {
        for name in names {
            if matches!(self.form, Form::Jsonl) && self.columns.iter().any(|known| known == name) {
                // Each line may have other fields.
                for idx in 0..self.lines.len() {
                    self.value(idx, &self.row(idx)?, name)?;
                }
            }
        }
        Ok(())
    }

    /// How many items there are.
    pub(in crate::stages) fn len(&self) -> usize {
        self.lines.len()
    }

    /// What columns the items have.
    pub(in crate::stages) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str)
    }

    /// The columns of item `idx`.
    ///
    /// # Errors
    /// Names the file and line where it is malformed.
    pub(in crate::stages) fn row(&self, idx: usize) -> Result<Row> {
        let Some(line) = self.lines.get(idx) else { bail!("there is no item {idx}") };
        self.parse(&self.text[line.place.clone()]).with_context(|| self.place(idx))
    }

    fn parse(&self, line: &str) -> Result<Row> {
        let values: Vec<&str> = match self.form {
            Form::Jsonl => {
                return match serde_json::from_str(line)? {
                    Value::Object(row) => Ok(row),
                    _ => bail!("expected a JSON object"),
                };
            }
            Form::Tsv => line.split('\t').collect(),
            Form::Scp => {
                let line = line.trim();
                let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
                vec![key, value.trim_start()]
            }
        };
        if values.len() != self.columns.len() {
            bail!("the header has {} columns, the line {}", self.columns.len(), values.len());
        }
        if matches!(self.form, Form::Scp)
            && values[1].is_empty()
            && self.path.extension().is_some_and(|extension| extension == "scp")
        {
            bail!("`{}` has no value", values[0]);
        }
        Ok(self.columns.iter().cloned().zip(values.into_iter().map(Value::from)).collect())
    }

    /// What a person calls the item.
    pub(in crate::stages) fn id(&self, idx: usize, row: &Row) -> Result<String> {
        self.value(idx, row, &self.id)
    }

    /// One column of an item's row, as text.
    ///
    /// # Errors
    /// When it is not there, or no text, number or truth value.
    pub(super) fn value(&self, idx: usize, row: &Row, name: &str) -> Result<String> {
        let what = match row.get(name) {
            Some(Value::String(text)) => return Ok(text.clone()),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => return Ok(value.to_string()),
            Some(Value::Null) => "is null",
            Some(_) => "is no text",
            None => "is missing",
        };
        bail!("{}: `{name}` {what}", self.place(idx))
    }

    /// The column `duration` of all items, where each has a number there.
    pub(super) fn durations(&self) -> Option<Vec<f64>> {
        if !self.columns.iter().any(|column| column == "duration") {
            return None;
        }
        let duration = |idx| -> Option<f64> {
            let row = self.row(idx).ok()?;
            let seconds: f64 = self.value(idx, &row, "duration").ok()?.trim().parse().ok()?;
            (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
        };
        (0..self.len()).map(duration).collect()
    }

    /// Whether it is a Kaldi table: a key, and the rest of the line.
    pub(in crate::stages) fn is_scp(&self) -> bool {
        matches!(self.form, Form::Scp)
    }

    /// The file and line of an item.
    pub(in crate::stages) fn place(&self, idx: usize) -> String {
        let number = self.lines.get(idx).map_or(0, |line| line.number);
        format!("{}:{number}", self.path.display())
    }
}

/// The lines that are not blank, without their ends.
fn lines_of(text: &str) -> Vec<Line> {
    const BOM: &str = "\u{feff}";
    let mut start = if text.starts_with(BOM) { BOM.len() } else { 0 };
    let mut lines = Vec::new();
    for (line, number) in text[start..].split_inclusive('\n').zip(1..) {
        let length = line.trim_end_matches(['\n', '\r']).len();
        if !line.trim().is_empty() {
            lines.push(Line { number, place: start..start + length });
        }
        start += line.len();
    }
    lines
}

/// `wav` of `wav.scp`, and of `wav.3.scp`, as Kaldi's scripts split it.
fn scp_column(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split('.').find(|part| !part.is_empty()).unwrap_or_default();
    if stem == ID[0] { "value".to_owned() } else { stem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(name: &str, text: &str) -> Result<Manifest> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        // Messages name the file.
        Manifest::read(&path).map_err(|error| {
            anyhow::anyhow!(format!("{error:#}").replace(&*path.to_string_lossy(), name))
        })
    }

    fn rows(name: &str, text: &str) -> Vec<Value> {
        let manifest = read(name, text).expect(text);
        (0..manifest.len()).map(|idx| manifest.row(idx).expect("a row").into()).collect()
    }

    fn refused(name: &str, text: &str) -> String {
        read(name, text).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn an_scp_has_keys_and_the_rest_of_each_line() {
        let text = "\u{feff}u1  a b.wav \r\n\nu2\tsph2pipe -f wav x.sph |\n";
        assert_eq!(
            rows("wav.2.scp", text),
            [
                json!({"utt_id": "u1", "wav": "a b.wav"}),
                json!({"utt_id": "u2", "wav": "sph2pipe -f wav x.sph |"})
            ]
        );
        // A transcript may be empty.
        assert_eq!(rows("text", "u1\n"), [json!({"utt_id": "u1", "text": ""})]);
        assert_eq!(refused("wav.scp", "u1 a\n\nu2\n"), "wav.scp:3: `u2` has no value");
        assert_eq!(
            refused("wav.scp", "u1 a\nu2 b\nu1 c\n"),
            "wav.scp:3: `u1` was already on line 1"
        );
        assert_eq!(refused("wav.scp", " \n"), "wav.scp: no items");
    }

    #[test]
    fn a_table_has_a_header_and_as_many_fields_in_each_line() {
        let text = "path\tid\tduration\na b.wav\tu1\t1.5\r\n\tu2\t2\n";
        let manifest = read("a.tsv", text).expect("reads");
        assert_eq!(
            rows("a.tsv", text),
            [
                json!({"path": "a b.wav", "id": "u1", "duration": "1.5"}),
                json!({"path": "", "id": "u2", "duration": "2"})
            ]
        );
        let row = manifest.row(1).expect("a row");
        assert_eq!(manifest.id(1, &row).expect("an id"), "u2");
        assert_eq!(manifest.durations(), Some(vec![1.5, 2.0]));
        assert_eq!(refused("a.tsv", "a\tb\n1\n"), "a.tsv:2: the header has 2 columns, the line 1");
        assert_eq!(refused("a.tsv", "a\ta\n1\t2\n"), "a.tsv:1: column `a` is there twice");
        assert_eq!(refused("a.tsv", "a\t\n1\t2\n"), "a.tsv:1: a column of the header has no name");
        assert_eq!(refused("a.tsv", "a\tb\n"), "a.tsv: no items");
        assert_eq!(read("a.tsv", "a\tduration\nx\tlong\n").expect("reads").durations(), None);
    }

    #[test]
    fn json_lines_have_fields_of_their_own() {
        // As results.jsonl of another stage.
        let text = "{\"idx\":4,\"name\":\"u 1\",\"n\":1.50}\n{\"idx\":5,\"name\":7,\"n\":null}\n";
        let manifest = read("a.jsonl", text).expect("reads");
        let value = |idx, name| manifest.value(idx, &manifest.row(idx).expect("a row"), name);
        assert_eq!(manifest.id(0, &manifest.row(0).expect("a row")).expect("an id"), "u 1");
        assert_eq!(value(1, "name").expect("a number"), "7");
        assert_eq!(value(0, "n").expect("a number"), "1.5");
        let null = value(1, "n").expect_err("is null").to_string();
        assert!(null.ends_with("a.jsonl:2: `n` is null"), "{null}");
        assert!(manifest.check_names(["name"].into_iter()).is_ok());
        assert!(manifest.check_names(["n"].into_iter()).is_err());
        assert_eq!(refused("a.jsonl", "{\"a\":1}\n[1]\n"), "a.jsonl:2: expected a JSON object");
        assert_eq!(refused("a.jsonl", "{\"a\":1}\n{\"b\":1}\n"), "a.jsonl:2: `a` is missing");
        assert_eq!(refused("a.jsonl", "{\"idx\":1}\n"), "a.jsonl: no column but `idx`");
        assert!(refused("a.jsonl", "{\"a\":1}\n{\"a\"\n").starts_with("a.jsonl:2: "));
    }
}
