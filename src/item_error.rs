//! Why an item has no record, and what comes of that.

use serde::{Deserialize, Serialize};

/// A line of errors.jsonl.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct ItemError {
    pub idx: u64,
    /// What a person calls it, where the stage says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    pub kind: ErrorKind,
    pub error: String,
}

/// How an item failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ErrorKind {
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
