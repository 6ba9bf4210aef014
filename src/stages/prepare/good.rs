//! The record of a good utterance: a line of a manifest, and more.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A good utterance.
#[derive(Serialize, Deserialize)]
pub(super) struct Good {
    pub utt_id: String,
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<f64>,
    pub duration: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording_duration: Option<f64>,
    pub sample_rate: u32,
    pub num_channels: usize,
    pub format: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaker: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Fields of the manifest's row.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}
