//! A request, on disk, that all workers of a run give back what they hold and end.

use std::io;

use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::plain_file;
use crate::run_dir::RunDir;

/// Why the workers should end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub(crate) enum Stop {
    /// Somebody asked for it.
    Cancelled,
    /// `on_item_error: stop`.
    ItemFailed { idx: u64, item: Option<String>, error: String },
    /// `max_failed_items`.
    TooManyFailed { failed: u64, allowed: u64 },
}

impl Stop {
    pub(crate) fn request(&self, run: &RunDir) -> io::Result<()> {
        atomic_file::write(&run.stop(), &serde_json::to_vec(self)?)
    }

    /// The request that stands, if any.
    pub(crate) fn read(run: &RunDir) -> Option<Self> {
        serde_json::from_slice(&plain_file::read(&run.stop()).ok()?).ok()
    }

    /// Withdraws the request.
    pub(crate) fn withdraw(run: &RunDir) -> io::Result<()> {
        match std::fs::remove_file(run.stop()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the run was cancelled"),
            Self::ItemFailed { idx, item, error } => {
                write!(f, "item {idx}")?;
                if let Some(item) = item {
                    write!(f, ", {item},")?;
                }
                write!(f, " failed: {error}")
            }
            Self::TooManyFailed { failed, allowed } => {
                write!(f, "{failed} items failed, more than max_failed_items: {allowed}")
            }
        }
    }
}
