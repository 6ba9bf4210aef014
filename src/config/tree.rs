//! A YAML document as a tree that remembers where every key and value stands.

use std::collections::HashMap;
use std::collections::hash_map::Entry::Vacant;

use serde_json::{Map, Value};

/// Keys from the top of a config down to one node; list positions are written as numbers.
pub(super) type Path = Vec<String>;

/// A place in a text: line and column from 1, and how many characters are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pos {
    pub line: usize,
    pub column: usize,
    pub width: usize,
}

/// One node and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub pos: Pos,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// `doubt` says how YAML 1.1 and 1.2 differ over it, if they do.
    Scalar {
        value: Value,
        doubt: Option<String>,
    },
    List(Vec<Node>),
    Map(Entries),
}

/// A key of a mapping and what it holds.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub pos: Pos,
    pub node: Node,
}

/// The entries of a mapping in the order of the text, each key once.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    list: Vec<Entry>,
    // Token lists and speaker maps have tens of thousands of keys.
    index: HashMap<String, usize>,
}

impl Entries {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.index.get(key).map(|&i| &self.list[i])
    }

    /// Adds `entry`, unless its key is there already.
    pub(super) fn add(&mut self, entry: Entry) {
        if let Vacant(place) = self.index.entry(entry.key.clone()) {
            place.insert(self.list.len());
            self.list.push(entry);
        }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.list.iter()
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Node {
    pub(super) fn map(only: Option<Entry>) -> Self {
        let mut entries = Entries::default();
        only.into_iter().for_each(|entry| entries.add(entry));
        Self { pos: Pos { line: 1, column: 1, width: 1 }, kind: Kind::Map(entries) }
    }

    /// The entry that `key` names, if this is a mapping that has it.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.get(key),
            _ => None,
        }
    }

    /// The node at `path`, and the place of its key; an item of a list has no key but itself.
    pub(super) fn find(&self, path: &[String]) -> Option<(Pos, &Node)> {
        let mut key = self.pos;
        let mut node = self;
        for segment in path {
            (key, node) = match &node.kind {
                Kind::Map(_) => node.entry(segment).map(|entry| (entry.pos, &entry.node))?,
                Kind::List(items) => {
                    let item = items.get(segment.parse::<usize>().ok()?)?;
                    (item.pos, item)
                }
                Kind::Scalar { .. } => return None,
            };
        }
        Some((key, node))
    }

    /// The node without its places.
    pub(super) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Scalar { value, .. } => value.clone(),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.to_json()))
                .collect::<Map<_, _>>()
                .into(),
        }
    }
}

/// The value at `path` in a tree without places.
pub(super) fn find<'a>(root: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(root, |node, segment| match node {
        Value::Object(map) => map.get(segment),
        Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
        _ => None,
    })
}

/// `a.b[0].c` or `a.b.0.c` as a path; `None` if a name in it is empty.
pub(super) fn parse_path(text: &str) -> Option<Path> {
    let mut path = Vec::new();
    for piece in text.split('.') {
        let (name, brackets) = piece.split_at(piece.find('[').unwrap_or(piece.len()));
        // `a.[0]` and a leading `[0]` have no name of their own.
        if !name.is_empty() {
            path.push(name.to_owned());
        } else if brackets.is_empty() {
            return None;
        }
        let mut rest = brackets;
        while !rest.is_empty() {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            if index.is_empty() {
                return None;
            }
            path.push(index.to_owned());
            rest = after;
        }
    }
    Some(path)
}

/// A path as people write it.
pub(super) fn dotted(path: &[String]) -> String {
    path.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (text, want) in [
            ("a", Some("a")),
            ("a.b.0", Some("a.b.0")),
            ("a[0].b", Some("a.0.b")),
            ("a[0][1]", Some("a.0.1")),
            ("a.[0]", Some("a.0")),
            ("", None),
            ("a..b", None),
            ("a[", None),
            ("a[]", None),
            ("a[0]b", None),
        ] {
            assert_eq!(parse_path(text).map(|path| dotted(&path)).as_deref(), want, "{text}");
        }
    }
}
