//! What a layer meets in the layers below it that a plain merge would get wrong.
//!
//! A mapping over a reference (`parallel: ${cluster}`, then `--set parallel.n_workers=4`) joins
//! what is referred to, as in OmegaConf; a mapping over a list, or a list over a mapping, is a
//! mistake, as in OmegaConf.

use figment::value::Value as Figured;

use super::diagnostic::Diagnostic;
use super::source::Layer;
use super::template::{self, Part};
use super::tree::{self, Kind, Node, Path, dotted};

/// Copies, under the referring keys, of what `layer` is to be merged into.
pub(super) fn expansions(layer: &Layer, below: &[Layer], so_far: &Figured) -> Vec<Layer> {
    let mut meetings = Vec::new();
    meet(&layer.root, so_far, &mut Vec::new(), &mut meetings);
    let mut copies = Vec::new();
    for (path, _, old) in meetings {
        let Some(target) = old.as_str().and_then(target) else { continue };
        let nodes = below.iter().filter_map(|layer| Some((layer, layer.root.find(&target)?.1)));
        let maps = nodes.filter(|(_, node)| matches!(node.kind, Kind::Map(_)));
        copies.extend(maps.map(|(layer, node)| layer.transplant(&path, node.clone())));
    }
    copies
}

/// Where `layer` and what is below it cannot be brought together.
pub(super) fn clashes(layer: &Layer, so_far: &Figured) -> Vec<Diagnostic> {
    let mut meetings = Vec::new();
    meet(&layer.root, so_far, &mut Vec::new(), &mut meetings);
    let clash = |(path, node, old): (Path, &Node, &Figured)| {
        let key = dotted(&path);
        let (message, hint) = match old {
            Figured::String(_, text) => (
                format!("`{key}` is `{text}`; there is no mapping there to set keys in"),
                "give the whole mapping in the place of the reference".to_owned(),
            ),
            Figured::Array(..) => (
                format!("`{key}` is a list; single items of it cannot be set"),
                format!("give the whole list: `{key}=[…]`"),
            ),
            _ => (
                format!("`{key}` is a mapping and cannot become a list"),
                "give `key: value` pairs".to_owned(),
            ),
        };
        layer.place(Diagnostic::error(message).hint(hint), node.pos)
    };
    meetings.into_iter().map(clash).collect()
}

type Meeting<'a> = (Path, &'a Node, &'a Figured);

/// All places where the kinds of the two are at odds.
fn meet<'a>(node: &'a Node, old: &'a Figured, path: &mut Path, all: &mut Vec<Meeting<'a>>) {
    match (&node.kind, old) {
        (Kind::Map(entries), Figured::Dict(_, dict)) => {
            for entry in entries {
                if let Some(old) = dict.get(&entry.key) {
                    path.push(entry.key.clone());
                    meet(&entry.node, old, path, all);
                    path.pop();
                }
            }
        }
        (Kind::Map(_), Figured::String(_, text)) if template::is_template(text) => {
            all.push((path.clone(), node, old));
        }
        (Kind::Map(_), Figured::Array(..)) | (Kind::List(_), Figured::Dict(..)) => {
            all.push((path.clone(), node, old));
        }
        _ => {}
    }
}

/// The key that `text` refers to, if it is one plain reference from the top.
fn target(text: &str) -> Option<Path> {
    match template::parse(text).ok()?.as_slice() {
        [Part::Key(key)] => match key.as_slice() {
            [Part::Text(key)] => tree::parse_path(key),
            _ => None,
        },
        _ => None,
    }
}
