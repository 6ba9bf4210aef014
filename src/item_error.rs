//! Why an item has no record, and what comes of that.

use serde::{Deserialize, Serialize};

/// An item that has no record: a line of `errors.jsonl`.
///
/// ```
/// use espnet3_par::{ErrorKind, ItemError};
///
/// let line = r#"{"idx": 3, "item": "utt4 (no.wav)", "kind": "error", "error": "No such file"}"#;
/// let failed: ItemError = serde_json::from_str(line)?;
/// assert_eq!((failed.idx, failed.kind), (3, ErrorKind::Error));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct ItemError {
    /// Its index.
    pub idx: u64,
    /// What a person calls it, where the stage says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// How it failed.
    pub kind: ErrorKind,
    /// Why, in words.
    pub error: String,
}

/// How an item failed.
///
/// ```
/// # use espnet3_par::ErrorKind;
/// assert_eq!(serde_json::to_string(&ErrorKind::Timeout)?, r#""timeout""#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorKind {
    /// `forward` returned an error.
    Error,
    /// `forward` panicked.
    Panic,
    /// The process that computed it died at it; twice in a row, where that was a worker.
    Died,
    /// It took longer than `item_timeout`.
    Timeout,
}

/// What to do when an item fails.
///
/// ```
/// use espnet3_par::OnItemError;
///
/// // The words of the YAML key `on_item_error`.
/// let word: OnItemError = serde_json::from_str(r#""stop""#)?;
/// assert_eq!(word, OnItemError::Stop);
/// assert_eq!(OnItemError::default(), OnItemError::Skip);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnItemError {
    /// The run stops.
    Stop,
    /// The item goes to `errors.jsonl` and the run goes on.
    #[default]
    Skip,
}
