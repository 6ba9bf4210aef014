//! The top-level keys of a run: which stage, where to, which items, and how.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::check::{Checker, describe};
use super::diagnostic::{Diagnostic, Severity};
use super::keys;
use super::layers::Part;
use crate::indices::Indices;
use crate::item_error::OnItemError;
use crate::names;
use crate::spec::PYTHON;
use crate::stage::Stage;

/// The top-level keys.
pub(super) struct Run {
    pub output_dir: PathBuf,
    pub detach: bool,
    pub n_workers: Option<u32>,
    pub indices: Option<Indices>,
    pub batch_size: Option<u32>,
    pub item_timeout: Option<u64>,
    pub on_item_error: OnItemError,
    pub max_failed_items: Option<u64>,
}

/// The stage that the caller or the config names.
///
/// # Errors
/// None is named, or one that does not exist.
pub(super) fn stage(checker: &mut Checker<'_>, stages: &[Stage]) -> Option<Stage> {
    let key = ["stage".to_owned()];
    if checker.given(&key).is_none() {
        if let Some(python) = implied(checker.root).and_then(|name| named(name, stages)) {
            return Some(python);
        }
        if !checker.failed.contains(key.as_slice()) {
            let first = stages.first().map_or("NAME", |stage| stage.name);
            if stages.is_empty() {
                let error = Diagnostic::error("this program has no stages");
                checker.found.push(error.hint("it was built without the feature `speech`"));
                return None;
            }
            let message = format!("no stage is given; there are {}", names(stages));
            // A section of a stage's name says what is meant.
            let section = |stage: &&Stage| checker.root.get(stage.name).is_some();
            let first = stages.iter().find(section).map_or(first, |stage| stage.name);
            let hint = format!("add `stage: {first}`, or `--stage {first}`");
            let error = Diagnostic::error(message);
            checker.found.push(error.hint(near_key("stage", checker).unwrap_or(hint)));
        }
        return None;
    }
    let name = checker.text(&key, "a stage's name")?;
    let found = named(&name, stages);
    if found.is_none() {
        let hint = match names::nearest(&name, stages.iter().map(|stage| stage.name)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", names(stages)),
        };
        let error = Diagnostic::error(format!("there is no stage `{name}`")).hint(hint);
        let error = checker.place(&key, Part::Value, error);
        checker.found.push(error);
    }
    found
}

fn named(name: &str, stages: &[Stage]) -> Option<Stage> {
    stages.iter().find(|stage| stage.name == name).copied()
}

/// The stage of a config that names none: ESPnet3's have a provider and a runner instead.
pub(super) fn implied(root: &Value) -> Option<&'static str> {
    let target = |role: &str| root.get(role)?.get("_target_");
    target("provider").or_else(|| target("runner")).map(|_| PYTHON)
}

fn names(stages: &[Stage]) -> String {
    names::listed(stages.iter().map(|stage| stage.name))
}

/// Reads the keys; what is wrong gets a message and a stand-in.
pub(super) fn read(checker: &mut Checker<'_>) -> Run {
    let key = |name: &str| [name.to_owned()];
    specs_dir_note(checker);
    Run {
        output_dir: output_dir(checker),
        detach: checker.flag(&key("async_mode")).unwrap_or(false),
        n_workers: checker.whole(&key("async_num_workers"), 1),
        indices: indices(checker),
        batch_size: checker.whole(&key("batch_size"), 1),
        item_timeout: checker.whole(&key("item_timeout"), 1),
        on_item_error: on_item_error(checker),
        max_failed_items: checker.whole(&key("max_failed_items"), 0),
    }
}

fn output_dir(checker: &mut Checker<'_>) -> PathBuf {
    let keys = ["output_dir".to_owned(), "async_result_dir".to_owned()];
    let [ours, gen_1] = keys.each_ref().map(std::slice::from_ref);
    let broken = checker.failed.contains(ours) || checker.failed.contains(gen_1);
    let before = checker.found.len();
    let (output, result) = (checker.text(ours, "a path"), checker.text(gen_1, "a path"));
    if let (Some(output), Some(result)) = (&output, &result)
        && Path::new(output) != Path::new(result)
    {
        let message = format!(
            "argument conflict: `output_dir` is {output} and `async_result_dir` is {result}"
        );
        let hint = "both name the run directory; keep one".to_owned();
        checker.error(gen_1, Part::Key, message, Some(hint));
    }
    // ESPnet3's name for it in its inference configs; its templates always give one.
    let inference = checker.text(&["inference_dir".to_owned()], "a path");
    let given = output.or(result).or(inference);
    if given.is_none() && !broken && checker.found.len() == before {
        let hint = near_key("output_dir", checker).unwrap_or_else(|| {
            "add `output_dir: exp/my_run`, or `--set output_dir=exp/my_run`".to_owned()
        });
        let null = checker.root.get("output_dir").is_some();
        let message = match null {
            true => "`output_dir` is empty (null); it is where the run goes",
            false => "`output_dir` is missing: where the run goes",
        };
        let error = Diagnostic::error(message).hint(hint);
        let error = if null { checker.place(ours, Part::Value, error) } else { error };
        checker.found.push(error);
    }
    let given = given.unwrap_or_default();
    let name = ["output_dir", "async_result_dir", "inference_dir"];
    let key = name.into_iter().find(|name| checker.root.get(*name).is_some());
    let key = key.unwrap_or(name[0]);
    if given == "~" || given.starts_with("~/") {
        let message = format!("`{key}` begins with `~`, which only a shell replaces");
        let hint = Some(format!("write `${{oc.env:HOME}}{}`", &given[1..]));
        checker.error(&[key.to_owned()], Part::Value, message, hint);
    } else if given.contains(char::is_control) {
        let message = format!("`{key}` has a character that no path should have: {given:?}");
        checker.error(&[key.to_owned()], Part::Value, message, None);
    }
    given.into()
}

/// Tells whoever sets ESPnet3's `async_specs_dir` where specs go here.
fn specs_dir_note(checker: &mut Checker<'_>) {
    let key = ["async_specs_dir".to_owned()];
    if checker.given(&key).is_some() {
        let message = "`async_specs_dir` has no effect: the spec is kept in the run directory";
        checker.tell(Severity::Note, &key, Part::Key, message.to_owned(), None);
    }
}

fn indices(checker: &mut Checker<'_>) -> Option<Indices> {
    let key = ["indices".to_owned()];
    let read = match checker.given(&key)? {
        Value::String(text) => text.parse().map_err(|error| format!("`indices`: {error}")),
        Value::Number(n) => n.to_string().parse().map_err(|error| format!("`indices`: {error}")),
        Value::Array(items) => items
            .iter()
            .map(|item| match item.as_u64().filter(|&n| n < u64::MAX) {
                Some(n) => Ok(n..n + 1),
                None => Err(format!(
                    "`indices` must list whole numbers, 0 or more, but one is {}",
                    describe(item)
                )),
            })
            .collect::<Result<_, _>>()
            .map(Indices::new),
        other => Err(format!(
            "`indices` must be a list of whole numbers, or a text such as \"0-99,200\", but is {}",
            describe(other)
        )),
    };
    match read {
        Ok(indices) => Some(indices),
        Err(message) => {
            checker.error(&key, Part::Value, message, None);
            None
        }
    }
}

fn on_item_error(checker: &mut Checker<'_>) -> OnItemError {
    let key = ["on_item_error".to_owned()];
    match checker.given(&key) {
        None => OnItemError::default(),
        Some(Value::String(word)) if word == "stop" => OnItemError::Stop,
        Some(Value::String(word)) if word == "skip" => OnItemError::Skip,
        Some(other) => {
            let message =
                format!("`on_item_error` must be `stop` or `skip`, but is {}", describe(other));
            checker.error(&key, Part::Value, message, None);
            OnItemError::default()
        }
    }
}

/// A hint if a key that is missing seems to be there under a slip of the pen.
pub(super) fn near_key(missing: &str, checker: &Checker<'_>) -> Option<String> {
    let map = checker.root.as_object().filter(|map| !map.contains_key(missing))?;
    let strangers = map.keys().map(String::as_str).filter(|key| !keys::TOP.contains(key));
    let near = names::nearest(missing, strangers)?;
    Some(format!("is `{near}` meant to be `{missing}`?"))
}

/// Warns of ESPnet3's `defaults`, which names files to read before this one.
pub(super) fn defaults_not_followed(checker: &mut Checker<'_>) {
    let key = ["defaults".to_owned()];
    if let Some(Value::Array(_)) = checker.given(&key) {
        let message = "`defaults` is not followed: the files it names are not read".to_owned();
        let hint = "give them as config files, before this one".to_owned();
        checker.tell(Severity::Warning, &key, Part::Key, message, Some(hint));
    }
}

/// Warns of top-level keys that are nearly one of ours.
pub(super) fn near_misses(
    root: &Map<String, Value>,
    stage: Option<&Stage>,
    stages: &[Stage],
    checker: &mut Checker<'_>,
) {
    let ours =
        || keys::TOP.iter().copied().chain(["parallel"]).chain(stage.map(|stage| stage.name));
    for key in root.keys().map(String::as_str) {
        let known = ours().any(|our| our == key) || stages.iter().any(|stage| stage.name == key);
        // In a file there may be keys of others beside ours; what is typed is meant to be read.
        let typed = !checker.layers.in_a_file(key);
        let given = |near: &&str| (typed || !root.contains_key(*near)) && *near != "stage";
        let near = match key {
            "n_workers" | "shards" | "shard_size" | "max_resubmits" => {
                Some(format!("parallel.{key}"))
            }
            _ => names::nearest(key, ours()).filter(given).map(str::to_owned),
        };
        if let Some(near) = near.filter(|_| !known) {
            let reader = match stage {
                Some(stage) if stage.takes_all => "only the provider",
                _ => "nothing",
            };
            let message = format!("{reader} reads the top-level key `{key}`");
            let hint = format!("did you mean `{near}`?");
            checker.tell(Severity::Warning, &[key.to_owned()], Part::Key, message, Some(hint));
        }
    }
}
