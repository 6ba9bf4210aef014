//! Typed reading of a resolved config: each wrong value becomes a message at its place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::diagnostic::{Diagnostic, Location, Severity};
use super::layers::{Layers, Part};
use super::source::Layer;
use super::tree::{self, Path, Pos, dotted};

/// A resolved config, where all of it is from, and what was found wrong so far.
pub(super) struct Checker<'a> {
    pub layers: &'a Layers,
    pub root: &'a Value,
    pub aliases: &'a BTreeMap<Path, Path>,
    /// What interpolation could not fill in: has had its message already.
    pub failed: &'a BTreeSet<Path>,
    pub found: Vec<Diagnostic>,
}

impl Checker<'_> {
    /// The value at `path`; `None` if it is not given, null, or known to be broken.
    pub(super) fn given(&self, path: &[String]) -> Option<&Value> {
        if self.failed.contains(path) {
            return None;
        }
        tree::find(self.root, path).filter(|value| !value.is_null())
    }

    /// Where `path` stands, or what it is a part of.
    fn locate(&self, path: &[String], part: Part) -> Option<(&Layer, Pos)> {
        let mut path = path.to_vec();
        // Each round shortens the path or follows a reference; references that go round in
        // circles have been refused, so the bound is only for safety.
        for _ in 0..100 {
            if let Some(place) = self.layers.locate(&path, part) {
                return Some(place);
            }
            // What stands in a referenced mapping is at that mapping's place.
            let alias =
                (0..path.len()).rev().find_map(|n| Some((n, self.aliases.get(&path[..n])?)));
            match alias {
                Some((n, target)) => path = [target, &path[n..]].concat(),
                None => {
                    path.pop()?;
                }
            }
        }
        None
    }

    pub(super) fn location(&self, path: &[String]) -> Option<Location> {
        self.locate(path, Part::Value).map(|(layer, pos)| layer.location(pos))
    }

    /// Puts `diagnostic` where `path` stands.
    pub(super) fn place(&self, path: &[String], part: Part, diagnostic: Diagnostic) -> Diagnostic {
        match self.locate(path, part) {
            Some((layer, pos)) => layer.place(diagnostic, pos),
            None => diagnostic,
        }
    }

    pub(super) fn error(
        &mut self,
        path: &[String],
        part: Part,
        message: String,
        hint: Option<String>,
    ) {
        let diagnostic = Diagnostic::error(message).maybe_hint(hint);
        let placed = self.place(path, part, diagnostic);
        self.found.push(placed);
    }

    pub(super) fn tell(
        &mut self,
        severity: Severity,
        path: &[String],
        part: Part,
        message: String,
        hint: Option<String>,
    ) {
        let diagnostic = Diagnostic::new(severity, message).maybe_hint(hint);
        let placed = self.place(path, part, diagnostic);
        self.found.push(placed);
    }

    fn mismatch<T>(&mut self, path: &[String], expected: &str) -> Option<T> {
        let found = tree::find(self.root, path).map_or_else(String::new, describe);
        let message = format!("`{}` must be {expected}, but is {found}", dotted(path));
        let hint = self.referred(path);
        self.error(path, Part::Value, message, hint);
        None
    }

    /// Where the value that `path` only refers to really stands.
    fn referred(&self, path: &[String]) -> Option<String> {
        let key = self.alias(path)?;
        let (mut target, mut steps) = (self.aliases.get(&key)?, 0);
        while let Some(next) = self.aliases.get(target).filter(|_| steps < 100) {
            (target, steps) = (next, steps + 1);
        }
        let location = self.location(target)?;
        Some(format!("the value is that of `{}`, {location}", dotted(target)))
    }

    /// The node that stands for `path`: itself, or its place in a mapping that is referred to.
    fn alias(&self, path: &[String]) -> Option<Path> {
        let mut path = path.to_vec();
        for _ in 0..100 {
            if self.aliases.contains_key(&path) {
                return Some(path);
            }
            let (n, target) =
                (0..path.len()).rev().find_map(|n| Some((n, self.aliases.get(&path[..n])?)))?;
            path = [target, &path[n..]].concat();
        }
        None
    }

    /// A whole number of at least `min`. Text that spells one will do: `${oc.env:NJ}` is text.
    pub(super) fn whole<N: TryFrom<u64>>(&mut self, path: &[String], min: u64) -> Option<N> {
        let value = self.given(path)?;
        let n = value.as_u64().or_else(|| value.as_str()?.parse().ok()).filter(|&n| n >= min);
        match n {
            Some(n) => match N::try_from(n) {
                Ok(n) => Some(n),
                Err(_) => self.mismatch(path, "a smaller number"),
            },
            None => self.mismatch(path, &format!("a whole number, {min} or more")),
        }
    }

    pub(super) fn flag(&mut self, path: &[String]) -> Option<bool> {
        match self.given(path)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text == "true" => Some(true),
            Value::String(text) if text == "false" => Some(false),
            _ => self.mismatch(path, "true or false"),
        }
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, path: &[String], expected: &str) -> Option<String> {
        match self.given(path)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(n) => Some(n.to_string()),
            _ => self.mismatch(path, expected),
        }
    }

    pub(super) fn mapping(&mut self, path: &[String]) -> Option<Map<String, Value>> {
        match self.given(path)? {
            Value::Object(map) => Some(map.clone()),
            _ => self.mismatch(path, "a mapping"),
        }
    }
}

/// What a value is, to someone who expected something else.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "empty (null)".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(text) if text.is_empty() => "an empty text".to_owned(),
        Value::String(text) => format!("the text \"{text}\""),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}
