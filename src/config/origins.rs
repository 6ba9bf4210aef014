//! Where each value of a config comes from, for `check` and for people who wonder.

use serde_json::Value;

use super::check::Checker;
use super::diagnostic::Location;
use super::tree::{Path, dotted};

/// Dotted path, value and source of each leaf of the resolved config.
pub(super) fn list(checker: &Checker<'_>) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    walk(checker.root, &mut Vec::new(), checker, &mut all);
    all
}

fn walk(
    value: &Value,
    path: &mut Path,
    checker: &Checker<'_>,
    all: &mut Vec<(String, String, String)>,
) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                path.push(key.clone());
                walk(value, path, checker, all);
                path.pop();
            }
        }
        // A list of plain values is one value to a reader.
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (i, value) in items.iter().enumerate() {
                path.push(i.to_string());
                walk(value, path, checker, all);
                path.pop();
            }
        }
        _ if path.is_empty() => {}
        value => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            all.push((dotted(path), text, source(path, checker)));
        }
    }
}

fn source(path: &[String], checker: &Checker<'_>) -> String {
    match checker.location(path) {
        Some(Location::File { path, at: Some((line, _)) }) => format!("{}:{line}", path.display()),
        Some(location) => location.to_string(),
        None => String::new(),
    }
}
