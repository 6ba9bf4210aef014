//! The items: lines of a Kaldi `*.scp`, a TSV with a header, or JSON lines.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

/// What the column with the item's name may be called; else the first one is it.
const ID: &[&str] = &["utt_id", "id", "key"];

/// The item's index, of which no column can take the name.
pub(super) const IDX: &str = "idx";

/// A manifest that was read whole; each line is parsed again when its item comes.
pub(super) struct Manifest {
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
pub(super) type Row = Map<String, Value>;

impl Manifest {
    /// Reads it; by the file's ending it is a table, JSON lines, or an scp.
    ///
    /// # Errors
    /// Names the file and line of the first thing wrong.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))?;
        let text = String::from_utf8(bytes)
            .with_context(|| format!("`{}` is not UTF-8 text", path.display()))?;
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
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// What columns the items have.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str)
    }

    /// The columns of item `idx`.
    ///
    /// # Errors
    /// Names the file and line where it is malformed.
    pub(super) fn row(&self, idx: usize) -> Result<Row> {
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
    pub(super) fn id(&self, idx: usize, row: &Row) -> Result<String> {
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

    fn place(&self, idx: usize) -> String {
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
