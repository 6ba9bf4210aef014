//! The stage's own section, given to the stage's provider; serde's complaints with their places.

use serde_json::{Map, Value, json};

use super::check::Checker;
use super::layers::Part;
use super::tree::{self, Path, dotted};
use super::{keys, run, scalar};
use crate::names;
use crate::spec::PYTHON_HOW;
use crate::stage::{LoadedStage, ParamError, Stage};

/// More complaints than this about one section help nobody.
const MAX_COMPLAINTS: usize = 50;

/// Gives the section to the stage. After a complaint what it is about is taken out, or filled with
/// something of its type if it is missing, and the stage is asked again, so that all are found.
pub(super) fn load(
    stage: &Stage,
    checker: &mut Checker<'_>,
) -> (Value, Option<Box<dyn LoadedStage>>) {
    let top = section(stage);
    if !top.is_empty() && checker.failed.contains(&top) {
        return (Value::Null, None);
    }
    let mut params = match checker.given(&top) {
        Some(_) => match checker.mapping(&top) {
            Some(params) => params,
            None => return (Value::Null, None),
        },
        None => Map::new(),
    };
    if stage.takes_all {
        params.retain(|key, value| {
            let where_to =
                key == "parallel" || key.starts_with("parallel_") && value.get("env").is_some();
            !where_to && !keys::TOP.contains(&key.as_str())
        });
    }
    let params = Value::Object(params);
    let mut trial = params.clone();
    let mut gone: Vec<Path> = Vec::new();
    let inside = |path: &&Path| path.len() > top.len() && path.starts_with(&top);
    for path in checker.failed.iter().filter(inside).filter(|_| !top.is_empty()) {
        gone.extend(remove(&mut trial, &path[top.len()..]));
    }
    let before = checker.found.len();
    let broken = !gone.is_empty();
    for _ in 0..MAX_COMPLAINTS {
        let complaint = match stage.load(&trial) {
            Ok(loaded) => {
                let whole = !broken && checker.found.len() == before;
                let mut params = params;
                if let Some(params) = params.as_object_mut().filter(|_| stage.takes_all) {
                    params.retain(|key, _| !PYTHON_HOW.contains(&key.as_str()));
                }
                return (params, whole.then_some(loaded));
            }
            Err(ParamError { path, message }) => {
                Complaint::new(tree::parse_path(&path).unwrap_or_default(), &message)
            }
        };
        if !complaint.handle(stage, &mut trial, &mut gone, checker) {
            break;
        }
    }
    // Nothing gets past without a word, even what was thought to have had one.
    if !broken && checker.found.len() == before {
        let message = format!("the stage does not take its section `{}`", stage.name);
        checker.error(&top, Part::Key, message, None);
    }
    (params, None)
}

/// Where a stage's parameters are.
fn section(stage: &Stage) -> Path {
    if stage.takes_all { Vec::new() } else { vec![stage.name.to_owned()] }
}

enum Complaint {
    Unknown { parent: Path, field: String, known: Vec<String> },
    Missing { path: Path },
    Wrong { path: Path, message: String },
}

impl Complaint {
    fn new(mut path: Path, message: &str) -> Self {
        let mut names = message.split('`').skip(1).step_by(2).map(str::to_owned);
        if message.starts_with("unknown field `") {
            let field = names.next().unwrap_or_default();
            path.pop_if(|last| *last == field);
            return Self::Unknown { parent: path, field, known: names.collect() };
        }
        if message.starts_with("missing field `") {
            path.extend(names.next());
            return Self::Missing { path };
        }
        Self::Wrong { path, message: message.to_owned() }
    }

    /// Reports the complaint and makes it go away in `trial`; false if that cannot be done.
    fn handle(
        self,
        stage: &Stage,
        trial: &mut Value,
        gone: &mut Vec<Path>,
        checker: &mut Checker<'_>,
    ) -> bool {
        let full = |path: &[String]| -> Path {
            section(stage).into_iter().chain(path.iter().cloned()).collect()
        };
        match self {
            Self::Unknown { parent, field, known } => {
                let path = [parent.as_slice(), std::slice::from_ref(&field)].concat();
                let hint = match names::nearest(&field, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known.is_empty() => "it takes no keys".to_owned(),
                    None => {
                        format!("known are {}", names::listed(known.iter().map(String::as_str)))
                    }
                };
                let message = format!("unknown key `{field}` in `{}`", dotted(&full(&parent)));
                checker.error(&full(&path), Part::Key, message, Some(hint));
                remove(trial, &path).is_some()
            }
            Self::Missing { path } => {
                // What was taken out for another reason has had its message.
                if !gone.contains(&path) {
                    let section = || run::near_key(stage.name, checker);
                    let hint = near_in(trial, &path).or_else(section).unwrap_or_else(|| {
                        format!("add it, or `--set {}=…`", dotted(&full(&path)))
                    });
                    let message = format!("`{}` is missing", dotted(&full(&path)));
                    let parent = &full(&path)[..full(&path).len() - 1];
                    checker.error(parent, Part::Key, message, Some(hint));
                }
                stand_in(stage, trial, &path)
            }
            Self::Wrong { path, message } => {
                let value = tree::find(trial, &path);
                let hint = untyped(value, &message).or_else(|| near_word(&message));
                let message = format!("`{}` {}", dotted(&full(&path)), plain_words(&message));
                checker.error(&full(&path), Part::Value, message, hint);
                let removed = remove(trial, &path);
                gone.extend(removed.clone());
                removed.is_some()
            }
        }
    }
}

/// Puts something at `path` that the stage takes there, if any simple value will do.
fn stand_in(stage: &Stage, trial: &mut Value, path: &[String]) -> bool {
    for guess in [json!(""), json!(1), json!([]), json!({}), json!(true), json!(null)] {
        let mut next = trial.clone();
        if !insert(&mut next, path, guess) {
            return false;
        }
        let refused = stage.load(&next).err().is_some_and(|error| {
            let at = tree::parse_path(&error.path).unwrap_or_default();
            at == path || (at.len() < path.len() && path.starts_with(&at) && !is_missing(&error))
        });
        if !refused {
            *trial = next;
            return true;
        }
    }
    false
}

fn is_missing(error: &ParamError) -> bool {
    error.message.starts_with("missing field") || error.message.starts_with("unknown field")
}

/// The key beside `path` that may be meant to be it.
fn near_in(trial: &Value, path: &[String]) -> Option<String> {
    let (field, parent) = path.split_last()?;
    let beside = tree::find(trial, parent)?.as_object()?;
    let near = names::nearest(field, beside.keys().map(String::as_str))?;
    Some(format!("is `{near}` meant to be `{field}`?"))
}

/// A hint if a text was refused that would be a number or a boolean without its quotes.
fn untyped(value: Option<&Value>, message: &str) -> Option<String> {
    let text = value?.as_str().filter(|_| message.starts_with("invalid type"))?;
    let (typed, _) = scalar::plain(text);
    (typed.is_number() || typed.is_boolean()).then(|| {
        "remove the quotes; if it is from the environment: `${oc.decode:${oc.env:NAME}}`".to_owned()
    })
}

/// The word and the known ones, if the complaint is of a word that is not among them.
fn variant(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown variant ")?;
    let mut words = rest.split('`').skip(1).step_by(2);
    Some((words.next()?, words.collect()))
}

fn near_word(message: &str) -> Option<String> {
    let (word, known) = variant(message)?;
    names::nearest(word, known).map(|near| format!("did you mean `{near}`?"))
}

/// serde's words without its Rust types.
fn plain_words(message: &str) -> String {
    if let Some((word, known)) = variant(message) {
        return format!("must be one of {}, but is `{word}`", names::listed(known));
    }
    let Some((found, expected)) = message
        .split_once(": ")
        .filter(|(kind, _)| matches!(*kind, "invalid type" | "invalid value"))
        .and_then(|(_, rest)| rest.rsplit_once(", expected "))
    else {
        return format!("is refused: {message}");
    };
    let expected = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "string" | "path string" => "a text",
        "a sequence" => "a list",
        "a map" => "a mapping",
        other if other.starts_with("struct ") => "a mapping",
        other => other,
    };
    let found = match found.split_once(' ') {
        Some(("string", text)) => format!("the text {text}"),
        Some((_, value)) if value.starts_with('`') => value.trim_matches('`').to_owned(),
        _ => match found {
            "null" => "empty (null)".to_owned(),
            "sequence" => "a list".to_owned(),
            "map" => "a mapping".to_owned(),
            "unit value" => "empty (null)".to_owned(),
            other => other.to_owned(),
        },
    };
    // `floating point `2.5`` has two words before the value.
    let found = found.strip_prefix("point `").map_or(found.clone(), |n| n.trim_matches('`').into());
    format!("must be {expected}, but is {found}")
}

fn parent<'v>(root: &'v mut Value, path: &[String]) -> Option<&'v mut Value> {
    path.iter().try_fold(root, |node, segment| match node {
        Value::Object(map) => map.get_mut(segment),
        Value::Array(items) => items.get_mut(segment.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Takes out what is at `path`, or the list it is in, and tells which.
fn remove(root: &mut Value, path: &[String]) -> Option<Path> {
    let (last, above) = path.split_last()?;
    match parent(root, above)? {
        Value::Object(map) => map.shift_remove(last).map(|_| path.to_vec()),
        // Other items keep their numbers only if the whole list goes.
        Value::Array(_) => remove(root, above),
        _ => None,
    }
}

fn insert(root: &mut Value, path: &[String], value: Value) -> bool {
    let Some((last, above)) = path.split_last() else { return false };
    match parent(root, above) {
        Some(Value::Object(map)) => map.insert(last.clone(), value).is_none(),
        _ => false,
    }
}
