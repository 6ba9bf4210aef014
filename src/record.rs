//! What `forward` returns: the fields of one JSONL line, and bytes for files of the shard.

use std::sync::OnceLock;

use anyhow::{Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// One item's result. It becomes the line `{"idx": 12, …}` of `results.jsonl`.
///
/// Fields keep their order. JSON has no NaN and no infinity: they become `null`.
///
/// ```
/// use espnet3_par::Record;
///
/// #[derive(serde::Serialize)]
/// struct Vad { utt_id: String, segments: Vec<(f64, f64)> }
///
/// let vad = Vad { utt_id: "an251-fash-b".into(), segments: vec![(0.1, 0.9)] };
/// let record = Record::new(vad)?;
/// assert_eq!(record.get::<String>("utt_id")?, "an251-fash-b");
/// // A value that is no mapping stands under `value`.
/// assert_eq!(Record::new(3)?.get::<u32>("value")?, 3);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Record {
    /// A JSON object on one line: what is only passed on is never parsed.
    json: String,
    fields: OnceLock<Map<String, Value>>,
    pub(crate) files: Vec<FileBytes>,
}

/// Bytes of one record for one file of the shard's folder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FileBytes {
    pub field: String,
    pub name: String,
    pub skip: usize,
    pub bytes: Vec<u8>,
    pub whole: bool,
}

impl Default for Record {
    fn default() -> Self {
        Self::of_object("{}".to_owned())
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json && self.files == other.files
    }
}

impl Record {
    /// The record of a serialisable value: a struct or mapping gives its fields, anything else
    /// stands under `value`.
    ///
    /// # Errors
    /// When the value cannot be JSON, or when it has a field `idx`, which is the item's own.
    pub fn new(value: impl Serialize) -> Result<Self> {
        let mut json = serde_json::to_string(&value)?;
        if memchr::memchr(b'\n', json.as_bytes()).is_some() {
            // JSON that was passed through as it is.
            json = serde_json::from_str::<Value>(&json)?.to_string();
        }
        if !json.starts_with('{') {
            return Ok(Self::of_object(["{\"value\":", &json, "}"].concat()));
        }
        let record = Self::of_object(json);
        if record.json.contains("\"idx\"") && record.fields().contains_key("idx") {
            bail!("argument conflict: `idx` passed via both the record and the item's index");
        }
        Ok(record)
    }

    /// The record whose fields are a JSON object already, on one line.
    pub(crate) fn of_object(json: String) -> Self {
        Self { json, fields: OnceLock::new(), files: Vec::new() }
    }

    /// The fields, as a JSON object.
    pub(crate) fn json(&self) -> &str {
        &self.json
    }

    pub(crate) fn fields(&self) -> &Map<String, Value> {
        self.fields.get_or_init(|| serde_json::from_str(&self.json).unwrap_or_default())
    }

    /// Appends `bytes` to the shard's file `name` (shared by its records, in index order), and
    /// notes where they went in `field`, as Kaldi's scp files do: `PATH:OFFSET`. `skip` bytes at
    /// the start of `bytes` are not counted as the object (in a Kaldi ark the key stands before
    /// the place an scp points to).
    ///
    /// ```
    /// # use espnet3_par::Record;
    /// let ark = [b"utt1 ".as_slice(), b"\0BFM \x04..."].concat();
    /// let record = Record::default().append("feats", "feats.ark", ark, "utt1 ".len());
    /// ```
    #[must_use]
    pub fn append(mut self, field: &str, name: &str, bytes: Vec<u8>, skip: usize) -> Self {
        let (field, name) = (field.to_owned(), name.to_owned());
        self.files.push(FileBytes { field, name, skip, bytes, whole: false });
        self
    }

    /// Writes `bytes` as the shard's file `name`, which no other record of the run may write, and
    /// notes its path in `field`.
    ///
    /// ```
    /// # use espnet3_par::Record;
    /// let record = Record::default().file("feats", "utt1.npy", vec![1, 2, 3]);
    /// ```
    #[must_use]
    pub fn file(mut self, field: &str, name: &str, bytes: Vec<u8>) -> Self {
        let (field, name) = (field.to_owned(), name.to_owned());
        self.files.push(FileBytes { field, name, skip: 0, bytes, whole: true });
        self
    }

    /// The field `name` as a `T`.
    ///
    /// # Errors
    /// When the record has no such field, or it is no `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let Some(value) = self.fields().get(name) else {
            let known: Vec<_> = self.fields().keys().map(String::as_str).collect();
            bail!("the record has no field `{name}`; it has {}", known.join(", "));
        };
        T::deserialize(value).map_err(|error| anyhow::anyhow!("field `{name}`: {error}"))
    }
}
