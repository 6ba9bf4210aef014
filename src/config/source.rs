//! One layer of a config: a file, an environment variable or a `--set`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::diagnostic::{Diagnostic, Location, Snippet};
use super::template;
use super::tree::{Entry, Kind, Node, Pos, parse_path};
use super::yaml::{self, Fault};
use crate::names;

/// What comes after this in an environment variable's name is a dotted path, `__` for a dot.
pub(super) const ENV_PREFIX: &str = "ESPNET3_PAR__";

/// A tree and where it is from.
pub(super) struct Layer {
    from: From,
    pub root: Node,
}

#[derive(Clone)]
enum From {
    File {
        path: PathBuf,
        text: Rc<str>,
    },
    Env(String),
    /// An argument of the command line, as written.
    Argument(String),
}

impl Layer {
    /// Where `pos` of this layer is.
    pub(super) fn location(&self, pos: Pos) -> Location {
        self.from.location(pos)
    }

    /// Puts `diagnostic` at `pos` of this layer.
    pub(super) fn place(&self, diagnostic: Diagnostic, pos: Pos) -> Diagnostic {
        self.from.place(diagnostic, pos)
    }

    /// A layer from the same source that has `node` of this one at `path`.
    pub(super) fn transplant(&self, path: &[String], node: Node) -> Self {
        Self { from: self.from.clone(), root: planted(path, node.pos, node) }
    }

    pub(super) fn file(&self) -> Option<&Path> {
        match &self.from {
            From::File { path, .. } => Some(path),
            _ => None,
        }
    }
}

impl From {
    fn location(&self, pos: Pos) -> Location {
        match self {
            Self::File { path, .. } => {
                Location::File { path: path.clone(), at: Some((pos.line, pos.column)) }
            }
            Self::Env(name) => Location::Env(name.clone()),
            Self::Argument(text) => Location::Argument(text.clone()),
        }
    }

    fn place(&self, diagnostic: Diagnostic, pos: Pos) -> Diagnostic {
        let line = match self {
            Self::File { text, .. } => text.lines().nth(pos.line - 1),
            _ => None,
        };
        let snippet = line.map(|line| Snippet {
            line: pos.line,
            text: line.to_owned(),
            start: pos.column - 1,
            width: pos.width,
        });
        Diagnostic { snippet, ..diagnostic.at(self.location(pos)) }
    }

    fn fault(&self, fault: Fault) -> Diagnostic {
        self.place(Diagnostic::error(fault.message).maybe_hint(fault.hint), fault.pos)
    }

    fn parse(&self, text: &str) -> Result<Node, Vec<Diagnostic>> {
        yaml::parse(text)
            .map_err(|faults| faults.into_iter().map(|fault| self.fault(fault)).collect())
    }
}

/// No config is larger.
const LARGEST: u64 = 64 << 20;

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::other(format!("it has more than {} MB", LARGEST >> 20)));
    }
    Ok(bytes)
}

/// Reads a YAML file; an empty one is an empty mapping.
pub(super) fn file(path: &Path) -> Result<Layer, Vec<Diagnostic>> {
    let at = Location::File { path: path.to_owned(), at: None };
    let bytes = read(path).map_err(|error| {
        let diagnostic = Diagnostic::error(match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such config file".to_owned(),
            std::io::ErrorKind::IsADirectory => "a directory, not a config file".to_owned(),
            _ => format!("cannot read this config file: {error}"),
        });
        let hint = match path.to_str() {
            Some(text) if text.contains('=') => Some(format!("did you mean `--set {text}`?")),
            _ => files_like(path),
        };
        vec![diagnostic.at(at.clone()).maybe_hint(hint)]
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..good].iter().filter(|&&byte| byte == b'\n').count();
        vec![
            Diagnostic::error(format!("not UTF-8 text: the first wrong byte is in line {line}"))
                .at(at)
                .hint("is this a YAML file? `iconv -f LATIN1 -t UTF-8` converts old text"),
        ]
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).into();
    let from = From::File { path: path.to_owned(), text };
    let From::File { text, .. } = &from else { unreachable!("made in the line above") };
    let root = from.parse(text)?;
    let root = match root.kind {
        Kind::Map(_) => root,
        Kind::Scalar { value, .. } if value.is_null() => Node::map(None),
        _ => {
            return Err(vec![from.fault(Fault {
                pos: root.pos,
                message: "a config is a mapping, with `key: value` lines".to_owned(),
                hint: None,
            })]);
        }
    };
    Ok(Layer { from, root })
}

/// Files beside the one that is not there whose names are like its, or the YAML files in the
/// directory that was given for a file.
fn files_like(path: &Path) -> Option<String> {
    let directory = if path.is_dir() { path } else { path.parent()? };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let name = path.file_name()?.to_str()?;
    let mut near: Vec<String> = std::fs::read_dir(directory)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|other| match path.is_dir() {
            true => other.ends_with(".yaml") || other.ends_with(".yml"),
            false => names::is_near(name, other),
        })
        .map(|other| if path.is_dir() { path.join(other) } else { path.with_file_name(other) })
        .map(|other| format!("`{}`", other.display()))
        .collect();
    near.sort();
    near.truncate(3);
    (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")))
}

/// `NAME=value` of the process's environment as a layer; `None` for variables that are not ours.
pub(super) fn env(name: &str, value: &str) -> Option<Result<Layer, Vec<Diagnostic>>> {
    let dotted = name.strip_prefix(ENV_PREFIX)?.to_lowercase().replace("__", ".");
    Some(assignment(From::Env(name.to_owned()), &dotted, value))
}

/// `a.b=value` of a `--set` as a layer.
pub(super) fn set(text: &str) -> Result<Layer, Vec<Diagnostic>> {
    let from = From::Argument(format!("--set {text}"));
    match text.split_once('=') {
        Some((dotted, value)) => assignment(from, dotted.trim(), value),
        None => {
            let message = "this is not `key=value`";
            Err(vec![
                Diagnostic::error(message)
                    .at(Location::Argument(format!("--set {text}")))
                    .hint("for instance `--set parallel.n_workers=4`"),
            ])
        }
    }
}

/// A flag that sets one key to a text, as `--stage vad` does.
pub(super) fn flag(flag: &str, key: &str, value: &str) -> Result<Layer, Vec<Diagnostic>> {
    let quoted = serde_json::Value::from(value).to_string();
    assignment(From::Argument(format!("{flag} {value}")), key, &quoted)
}

/// An option that sets one key, with its value as it is: no text in it is interpolated.
pub(super) fn option(
    typed: &str,
    key: &str,
    value: &serde_json::Value,
) -> Result<Layer, Vec<Diagnostic>> {
    assignment(From::Argument(typed.to_owned()), key, &literal(value).to_string())
}

/// The value with every text in it escaped against interpolation.
fn literal(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => template::escaped(text).into(),
        Value::Array(items) => items.iter().map(literal).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), literal(value))).collect()
        }
        other => other.clone(),
    }
}

fn assignment(from: From, dotted: &str, value: &str) -> Result<Layer, Vec<Diagnostic>> {
    let pos = Pos { line: 1, column: 1, width: 1 };
    let path = parse_path(dotted).ok_or_else(|| {
        let message = format!("`{dotted}` is not a key; keys look like `parallel.n_workers`");
        vec![Diagnostic::error(message).at(from.location(pos))]
    })?;
    let value = from.parse(value)?;
    Ok(Layer { from, root: planted(&path, pos, value) })
}

/// Mappings in mappings, as `path` says, with `node` in the innermost.
fn planted(path: &[String], pos: Pos, node: Node) -> Node {
    path.iter().rev().fold(node, |node, key| Node::map(Some(Entry { key: key.clone(), pos, node })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        match file(path) {
            Ok(layer) => layer.root.to_json().to_string(),
            Err(errors) => errors[0].to_string(),
        }
    }

    #[test]
    fn files_that_are_not_configs() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("train.yaml");
        let here = path.display();
        let write = |bytes: &[u8]| std::fs::write(&path, bytes).expect("a file");
        write(b"");
        assert_eq!(read(&path), "{}");
        write("\u{feff}a: 'b\n".as_bytes());
        assert_eq!(
            read(&path),
            format!("error: {here}:1:4: this quote is not closed\n  |\n1 | a: 'b\n  |    ^")
        );
        write(b"a: 1\nb: caf\xe9\n");
        assert_eq!(
            read(&path),
            format!(
                "error: {here}: not UTF-8 text: the first wrong byte is in line 2\n\
                hint: is this a YAML file? `iconv -f LATIN1 -t UTF-8` converts old text"
            )
        );
        let directory = dir.path().display();
        assert_eq!(
            read(dir.path()),
            format!(
                "error: {directory}: a directory, not a config file\nhint: did you mean `{here}`?"
            )
        );
        let near = dir.path().join("infer.yml");
        assert_eq!(read(&near), format!("error: {}: there is no such config file", near.display()));
        let near = dir.path().join("trian.yaml");
        assert_eq!(
            read(&near),
            format!(
                "error: {}: there is no such config file\nhint: did you mean `{here}`?",
                near.display()
            )
        );
    }
}
