//! Fills in a config's interpolations, on demand and each only once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::resolvers::{self, World};
use super::template::{self, Part};
use super::tree::{self, Path, dotted};
use crate::names;

/// An interpolation that cannot be filled in, or a value that must be given and is not.
#[derive(Debug)]
pub(super) struct Problem {
    pub path: Path,
    pub message: String,
    pub hint: Option<String>,
}

/// The problem is already among [`Resolver::problems`].
pub(super) struct Failed;

/// Far more than any config has: references to references grow without bound.
const MOST: usize = 4 << 20;

/// Nobody writes so many references in a row, and each needs some of the stack.
const DEEPEST: usize = 200;

type Outcome<T> = Result<T, Failed>;

/// A merged config and what is known of its interpolations so far.
pub(super) struct Resolver<'a> {
    root: &'a Value,
    world: &'a World<'a>,
    done: BTreeMap<Path, Option<Value>>,
    stack: Vec<Path>,
    /// Everything that went wrong since this was last taken.
    pub problems: Vec<Problem>,
    /// All nodes that were looked at: what the run depends on.
    pub touched: BTreeSet<Path>,
    /// Nodes that are nothing but a reference, and what to.
    pub aliases: BTreeMap<Path, Path>,
    /// Nodes that could not be filled in and were left as they were.
    pub failed: BTreeSet<Path>,
    /// About how much references have filled in so far, in bytes.
    filled_in: usize,
}

enum Found {
    Node,
    Inside(Value),
    Missing,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(root: &'a Value, world: &'a World<'a>) -> Self {
        Self {
            root,
            world,
            done: BTreeMap::new(),
            stack: Vec::new(),
            problems: Vec::new(),
            touched: BTreeSet::new(),
            aliases: BTreeMap::new(),
            failed: BTreeSet::new(),
            filled_in: 0,
        }
    }

    /// The node at `path` with all that could be filled in filled in; the rest stays as it is
    /// and is among `failed` and `problems`.
    pub(super) fn settle(&mut self, path: &[String]) -> Value {
        match tree::find(self.root, path) {
            Some(Value::Object(map)) => map
                .keys()
                .map(|key| (key.clone(), self.settle(&child(path, key))))
                .collect::<Map<_, _>>()
                .into(),
            Some(Value::Array(items)) => {
                (0..items.len()).map(|i| self.settle(&child(path, &i.to_string()))).collect()
            }
            Some(raw) => self.node(path).unwrap_or_else(|Failed| {
                self.failed.insert(path.to_vec());
                raw.clone()
            }),
            None => Value::Null,
        }
    }

    fn node(&mut self, path: &[String]) -> Outcome<Value> {
        if let Some(done) = self.done.get(path) {
            return done.clone().ok_or(Failed);
        }
        if let Some(start) = self.stack.iter().position(|open| open == path) {
            let round: Vec<String> = self.stack[start..]
                .iter()
                .map(Vec::as_slice)
                .chain([path])
                .map(|path| format!("`{}`", dotted(path)))
                .collect();
            return self
                .problem(format!("this goes round in a circle: {}", round.join(" -> ")), None);
        }
        if self.stack.len() >= DEEPEST {
            return self.problem(format!("this is a chain of over {DEEPEST} references"), None);
        }
        self.touched.insert(path.to_vec());
        self.stack.push(path.to_vec());
        let outcome = self.compute(path);
        self.stack.pop();
        self.done.insert(path.to_vec(), outcome.as_ref().ok().cloned());
        outcome
    }

    fn compute(&mut self, path: &[String]) -> Outcome<Value> {
        match tree::find(self.root, path) {
            Some(Value::Object(map)) => {
                // All children, so that all their problems are found.
                let all: Vec<_> = map
                    .keys()
                    .map(|key| self.node(&child(path, key)).map(|value| (key.clone(), value)))
                    .collect();
                Ok(all.into_iter().collect::<Outcome<Map<_, _>>>()?.into())
            }
            Some(Value::Array(items)) => {
                let all: Vec<_> =
                    (0..items.len()).map(|i| self.node(&child(path, &i.to_string()))).collect();
                Ok(all.into_iter().collect::<Outcome<Vec<_>>>()?.into())
            }
            Some(Value::String(text)) if text == "???" => {
                let key = dotted(path);
                let wanted = match self.stack.first() {
                    Some(first) if first != path => format!("; `{}` needs it", dotted(first)),
                    _ => String::new(),
                };
                self.problem(
                    format!("`{key}` must be given: it is `???`{wanted}"),
                    Some(format!("give it here, in a later file, or as `--set {key}=…`")),
                )
            }
            Some(Value::String(text)) if template::is_template(text) => {
                match template::parse(text) {
                    Ok(parts) => self.fill(&parts, path),
                    Err(message) => self.problem(format!("bad interpolation: {message}"), None),
                }
            }
            Some(value) => Ok(value.clone()),
            None => Err(Failed),
        }
    }

    fn fill(&mut self, parts: &[Part], path: &[String]) -> Outcome<Value> {
        if let [part] = parts {
            return self.part(part, path, true);
        }
        // All parts, so that all their problems are found.
        let all: Vec<_> = parts.iter().map(|part| self.part(part, path, false)).collect();
        let mut text = String::new();
        for value in all {
            match resolvers::python_str(&value?) {
                Some(piece) => text.push_str(&piece),
                None => {
                    let message = "a list or mapping cannot be put into a text".to_owned();
                    return self.problem(message, None);
                }
            }
        }
        Ok(text.into())
    }

    fn part(&mut self, part: &Part, path: &[String], alone: bool) -> Outcome<Value> {
        match part {
            Part::Text(text) => Ok(text.as_str().into()),
            Part::Key(key) => {
                let Value::String(key) = self.text(key, path)? else { return Err(Failed) };
                self.reference(key.trim(), path, alone)
            }
            Part::Call { name, args } => {
                // An unquoted `null` is no value; everything else is text.
                let mut values = Vec::new();
                for arg in args {
                    let value = self.text(&arg.parts, path)?;
                    let null = !arg.quoted && value == "null";
                    values.push(if null { Value::Null } else { value });
                }
                let outcome = resolvers::call(name, &values, path, self.world);
                outcome.or_else(|(message, hint)| self.problem(message, hint))
            }
        }
    }

    fn text(&mut self, parts: &[Part], path: &[String]) -> Outcome<Value> {
        let value = self.fill(parts, path)?;
        match resolvers::python_str(&value) {
            Some(text) => Ok(text.into()),
            None => self.problem("a list or mapping cannot be part of a name".to_owned(), None),
        }
    }

    fn reference(&mut self, key: &str, from: &[String], alone: bool) -> Outcome<Value> {
        let name = key.trim_start_matches('.');
        let dots = key.len() - name.len();
        // One dot is the mapping the string stands in, each further dot one level up.
        let base = match dots {
            0 => &[],
            _ if dots <= from.len() => &from[..from.len() - dots],
            _ => {
                return self
                    .problem(format!("`${{{key}}}` points above the top of the config"), None);
            }
        };
        let mut target = base.to_vec();
        match tree::parse_path(name) {
            Some(path) => target.extend(path),
            None if name.is_empty() && dots > 0 => {}
            None => return self.problem(format!("`${{{key}}}` is not a key"), None),
        }
        let value = match self.look(&target)? {
            Found::Node => self.node(&target)?,
            Found::Inside(value) => value,
            Found::Missing => {
                let hint = self.nearest(&target).map(|near| format!("did you mean `${{{near}}}`?"));
                let message =
                    format!("`${{{key}}}` refers to `{}`, which does not exist", dotted(&target));
                return self.problem(message, hint);
            }
        };
        if self.filled_in > MOST {
            // Said once.
            return Err(Failed);
        }
        self.filled_in += size(&value);
        if self.filled_in > MOST {
            let message = format!("references make over {} MB of this config", MOST >> 20);
            return self.problem(message, Some("are they of references to references?".to_owned()));
        }
        if alone {
            self.aliases.insert(from.to_vec(), target);
        }
        Ok(value)
    }

    /// Goes to `path`, through nodes that are themselves references.
    fn look(&mut self, path: &[String]) -> Outcome<Found> {
        for length in 0..path.len() {
            let (above, below) = path.split_at(length);
            match tree::find(self.root, above) {
                Some(Value::String(text)) if template::is_template(text) => {
                    let value = self.node(above)?;
                    return Ok(tree::find(&value, below)
                        .map_or(Found::Missing, |value| Found::Inside(value.clone())));
                }
                Some(_) => {}
                None => return Ok(Found::Missing),
            }
        }
        Ok(tree::find(self.root, path).map_or(Found::Missing, |_| Found::Node))
    }

    fn nearest(&self, path: &[String]) -> Option<String> {
        let mut all = Vec::new();
        leaves(self.root, &mut Vec::new(), &mut all);
        let own = self.stack.last().map(|path| dotted(path));
        all.retain(|path| Some(path) != own.as_ref());
        let wanted = dotted(path);
        let near = names::nearest(&wanted, all.iter().map(String::as_str)).map(str::to_owned);
        // `${data.root}` for what is really `corpus.data.root`.
        near.or_else(|| {
            let last = format!(".{}", path.last()?);
            let mut ends = all.iter().filter(|one| one.ends_with(&last));
            ends.next().filter(|_| ends.next().is_none()).cloned()
        })
    }

    fn problem<T>(&mut self, message: String, hint: Option<String>) -> Outcome<T> {
        let path = self.stack.last().cloned().unwrap_or_default();
        self.problems.push(Problem { path, message, hint });
        Err(Failed)
    }
}

/// About how much memory a value needs, in bytes.
fn size(value: &Value) -> usize {
    let inside: usize = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + size(value)).sum(),
        _ => 0,
    };
    size_of::<Value>() + inside
}

fn leaves(value: &Value, path: &mut Path, all: &mut Vec<String>) {
    if !path.is_empty() {
        all.push(dotted(path));
    }
    if let Value::Object(map) = value {
        for (key, value) in map {
            path.push(key.clone());
            leaves(value, path, all);
            path.pop();
        }
    }
}

pub(super) fn child(path: &[String], key: &str) -> Path {
    let mut path = path.to_vec();
    path.push(key.to_owned());
    path
}
