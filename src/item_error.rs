//! Why an item has no record.

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
