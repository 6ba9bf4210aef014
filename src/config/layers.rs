//! The layers of a config, merged by figment: files, then environment variables, then `--set`.
//!
//! As in OmegaConf.merge, mappings merge and everything else is replaced. figment remembers which
//! layer a value is from, and the layer's own tree knows the place in it.

use figment::value::{Dict, Empty, Num, Tag, Value as Figured};
use figment::{Figment, Metadata, Profile, Provider};
use serde_json::{Map, Value};

use super::diagnostic::{Diagnostic, Severity};
use super::overlay;
use super::source::Layer;
use super::tree::{Kind, Node, Path, Pos};

/// All layers and what they make together.
pub(super) struct Layers {
    layers: Vec<Layer>,
    figment: Figment,
    merged: Figured,
}

/// Which part of an entry a message is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Key,
    Value,
}

impl Layers {
    /// Merges `incoming`, the later over the earlier.
    ///
    /// # Errors
    /// Layers that do not fit each other.
    pub(super) fn merge(incoming: Vec<Layer>) -> Result<Self, Vec<Diagnostic>> {
        let nothing = Figured::from(Dict::new());
        let mut all = Self { layers: Vec::new(), figment: Figment::new(), merged: nothing };
        let mut clashes = Vec::new();
        for layer in incoming {
            for copy in overlay::expansions(&layer, &all.layers, &all.merged) {
                all.add(copy);
            }
            clashes.extend(overlay::clashes(&layer, &all.merged));
            all.add(layer);
        }
        if clashes.is_empty() { Ok(all) } else { Err(clashes) }
    }

    fn add(&mut self, layer: Layer) {
        let layer_on = Numbered { index: self.layers.len(), dict: dict(&layer.root, &self.merged) };
        self.figment = std::mem::take(&mut self.figment).merge(layer_on);
        // Only a provider can fail, and these do not.
        let merged = self.figment.find_value("");
        self.merged = merged.unwrap_or_else(|_| Figured::from(Dict::new()));
        self.layers.push(layer);
    }

    /// The merged tree; keys stand in the order in which the layers first name them.
    pub(super) fn to_json(&self) -> Value {
        let nodes: Vec<&Node> = self.layers.iter().map(|layer| &layer.root).collect();
        to_json(&self.merged, &nodes)
    }

    /// The layer that `path` comes from, and the places of its key and value in it.
    fn place(&self, path: &[String]) -> Option<(&Layer, Pos, &Node)> {
        let tag = path.iter().try_fold(&self.merged, |value, segment| match value {
            Figured::Dict(_, dict) => dict.get(segment),
            Figured::Array(_, items) => items.get(segment.parse::<usize>().ok()?),
            _ => None,
        })?;
        let source = self.figment.get_metadata(tag.tag())?.source.as_ref()?;
        let layer = self.layers.get(source.custom()?.parse::<usize>().ok()?)?;
        let (key, node) = layer.root.find(path)?;
        Some((layer, key, node))
    }

    /// The layer that `path` is from, and where in it.
    pub(super) fn locate(&self, path: &[String], part: Part) -> Option<(&Layer, Pos)> {
        let (layer, key, node) = self.place(path)?;
        Some((layer, if part == Part::Key { key } else { node.pos }))
    }

    /// The file that `path` is from, if it is from one.
    pub(super) fn file(&self, path: &[String]) -> Option<&std::path::Path> {
        self.place(path)?.0.file()
    }

    /// Whether a file has this key at its top.
    pub(super) fn in_a_file(&self, key: &str) -> bool {
        let path = [key.to_owned()];
        self.layers.iter().any(|layer| layer.file().is_some() && layer.root.find(&path).is_some())
    }

    /// The scalars at `paths` that YAML 1.1 and 1.2 read differently.
    pub(super) fn doubts<'a>(&self, paths: impl Iterator<Item = &'a Path>) -> Vec<Diagnostic> {
        let doubt = |path: &Path| {
            let (layer, _, node) = self.place(path)?;
            let Kind::Scalar { doubt: Some(doubt), .. } = &node.kind else { return None };
            Some(layer.place(Diagnostic::new(Severity::Warning, doubt), node.pos))
        };
        paths.filter_map(doubt).collect()
    }
}

/// A layer as figment wants it; its number stands for its source.
struct Numbered {
    index: usize,
    dict: Dict,
}

impl Provider for Numbered {
    fn metadata(&self) -> Metadata {
        Metadata::from("config layer", self.index.to_string())
    }

    fn data(&self) -> figment::Result<figment::value::Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

fn dict(node: &Node, so_far: &Figured) -> Dict {
    let Kind::Map(entries) = &node.kind else { return Dict::new() };
    let mut dict = Dict::new();
    for entry in entries {
        let old = so_far.as_dict().and_then(|dict| dict.get(&entry.key));
        // As in OmegaConf, "must be given" does not take away what is given.
        let missing = matches!(&entry.node.kind, Kind::Scalar { value, .. } if value == "???");
        if !(missing && old.is_some()) {
            let nothing = Figured::from(Dict::new());
            dict.insert(entry.key.clone(), figured(&entry.node, old.unwrap_or(&nothing)));
        }
    }
    dict
}

fn figured(node: &Node, so_far: &Figured) -> Figured {
    match &node.kind {
        Kind::Map(_) => Figured::from(dict(node, so_far)),
        Kind::List(items) => {
            let nothing = Figured::from(Dict::new());
            Figured::from(items.iter().map(|item| figured(item, &nothing)).collect::<Vec<_>>())
        }
        Kind::Scalar { value, .. } => match value {
            Value::Bool(value) => Figured::from(*value),
            Value::String(text) => Figured::from(text.as_str()),
            Value::Number(n) => match (n.as_u64(), n.as_i64(), n.as_f64()) {
                (Some(n), ..) => Figured::from(n),
                (_, Some(n), _) => Figured::from(n),
                (.., n) => Figured::from(n.unwrap_or(f64::NAN)),
            },
            _ => Figured::Empty(Tag::Default, Empty::Unit),
        },
    }
}

fn to_json(value: &Figured, nodes: &[&Node]) -> Value {
    match value {
        Figured::String(_, text) => Value::from(text.as_str()),
        Figured::Char(_, char) => Value::from(char.to_string()),
        Figured::Bool(_, value) => Value::from(*value),
        Figured::Num(_, Num::F64(n)) => Value::from(*n),
        Figured::Num(_, n) => n.to_u128().map_or_else(
            || Value::from(n.to_i128().and_then(|n| i64::try_from(n).ok())),
            |n| Value::from(u64::try_from(n).ok()),
        ),
        Figured::Empty(..) => Value::Null,
        Figured::Array(_, items) => items.iter().map(|item| to_json(item, &[])).collect(),
        Figured::Dict(_, dict) => {
            let named = nodes.iter().filter_map(|node| match &node.kind {
                Kind::Map(entries) => Some(entries.iter().map(|entry| &entry.key)),
                _ => None,
            });
            let mut map = Map::new();
            // What lies inside a list has no nodes here and comes in figment's own order.
            for key in named.flatten().chain(dict.keys()) {
                let Some(value) = dict.get(key).filter(|_| !map.contains_key(key)) else {
                    continue;
                };
                let inner: Vec<&Node> =
                    nodes.iter().filter_map(|node| Some(&node.entry(key)?.node)).collect();
                map.insert(key.clone(), to_json(value, &inner));
            }
            map.into()
        }
    }
}
