//! ESPnet3's providers and runners, and classes of the same shape, in Python.
//!
//! The config is the parameters: `provider._target_` and `runner._target_` name the classes, and the
//! provider gets all of it. Each worker feeds one Python process (`feeder`); the driver asks one for
//! what only the classes can tell: how many items there are, and how results are merged.

mod answer;
mod child;
mod feeder;
mod part;
mod work;

use crate::plain_file;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use self::child::{Child, Reply};
use self::feeder::Feeder;
use self::part::Head;
use crate::collect::write_own;
use crate::computer::{Computer, Workplace};
use crate::indices::Indices;
use crate::item_error::ItemError;
use crate::items::{Inputs, Items};
use crate::record::Record;
use crate::run_dir::{RunDir, ShardState};
use crate::spec::PYTHON_HOW;
use crate::stage::{LoadedStage, ParamError, read_params};

/// The driver's process ends when it was not asked anything for so long: a short run has it at hand
/// for its merge, and a long one does not keep it on the login node.
const PATIENCE: Duration = Duration::from_secs(60);

/// What this stage itself reads of a config.
#[derive(Deserialize)]
struct Params {
    provider: Target,
    runner: Target,
    /// The interpreter; what is not a path is looked for on PATH.
    #[serde(default = "python3")]
    python: String,
    /// How many items there are, or are in each test set.
    num_items: Option<u64>,
    #[serde(default)]
    dataset: Value,
    /// The one test set that is wanted, where the config says so itself.
    test_set: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    #[serde(rename = "_target_")]
    target: String,
}

fn python3() -> String {
    "python3".to_owned()
}

/// A provider and a runner, and the config that they get.
pub(crate) struct Python {
    params: Params,
    config: Value,
    test_sets: Vec<String>,
    lengths: OnceLock<Vec<u64>>,
    child: Mutex<Option<Child>>,
}

/// Reads the parameters.
pub(super) fn load(config: &Value) -> std::result::Result<Box<dyn LoadedStage>, ParamError> {
    let params: Params = read_params(config)?;
    for (role, Target { target }) in [("provider", &params.provider), ("runner", &params.runner)] {
        if !target.contains('.') {
            let message = format!("must be a class with its module, as in `my_module.{target}`");
            return Err(ParamError { path: format!("{role}._target_"), message });
        }
    }
    let all = if params.test_set.is_none() { &params.dataset } else { &Value::Null };
    let test_sets = test_sets(all).map_err(|message| {
        let path = "dataset.test".to_owned();
        ParamError { path, message }
    })?;
    let mut config = config.clone();
    if let Some(config) = config.as_object_mut() {
        config.retain(|key, _| !PYTHON_HOW.contains(&key.as_str()));
    }
    let (lengths, child) = (OnceLock::new(), Mutex::default());
    Ok(Box::new(Python { params, config, test_sets, lengths, child }))
}

/// The names in `dataset.test: [{name: …}, …]`, if that is what the config has there.
fn test_sets(dataset: &Value) -> std::result::Result<Vec<String>, String> {
    let Some(sets) = dataset.get("test").and_then(Value::as_array) else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for (nth, set) in sets.iter().enumerate() {
        let Some(name) = set.get("name").and_then(Value::as_str) else {
            return Err(format!(
                "must name each test set, by the folder for its results, but entry {nth} does not"
            ));
        };
        if !is_folder(name) {
            return Err(format!("names a test set {name:?}, which no folder here can be called"));
        }
        if names.iter().any(|known| known == name) {
            return Err(format!("names the test set `{name}` twice"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Whether results can go to a folder of this name, beside what is ours.
fn is_folder(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && !name.contains(['/', '\0', '\n'])
        && !RunDir::has(name)
}

impl Python {
    fn ask(&self, request: &Value) -> Result<Value> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // One that ended of impatience makes way for another.
        for fresh in [false, true] {
            if fresh || child.is_none() {
                *child = Some(Child::start(&self.params.python, Some(PATIENCE), true)?);
            }
            let asked = child.as_mut().context("it was just started")?;
            match asked.ask(request, None)? {
                Reply::Ok(value) => return Ok(value),
                Reply::Failed(why) => bail!(why),
                Reply::Died(how) if fresh => bail!("the Python process died: {how}"),
                Reply::Died(_) => *child = None,
            }
        }
        unreachable!("the second round returns")
    }

    fn request(&self, what: &str, test_set: Option<&str>, output_dir: &Path) -> Value {
        request(&self.config, what, test_set, output_dir)
    }

    /// The number of items of each test set, or of all there is.
    fn lengths(&self, asked: Option<&Indices>) -> Result<&[u64]> {
        if let Some(known) = self.lengths.get() {
            return Ok(known);
        }
        let sets: Vec<_> = match self.test_sets.as_slice() {
            [] => vec![None],
            sets => sets.iter().map(|set| Some(set.as_str())).collect(),
        };
        let length = |set: &Option<&str>| {
            if let Some(given) = self.params.num_items {
                return Ok(given);
            }
            if let (None, Some(last)) = (set, asked.and_then(Indices::last)) {
                return Ok(last + 1);
            }
            let length = self.ask(&self.request("length", *set, Path::new(".")))?;
            let length = length.as_u64().context("the provider's dataset has no length")?;
            match set {
                Some(set) if length == 0 => bail!("test set `{set}` is empty"),
                _ => Ok(length),
            }
        };
        let lengths = sets.iter().map(length).collect::<Result<Vec<u64>>>()?;
        Ok(self.lengths.get_or_init(|| lengths))
    }
}

/// A request that needs the provider or the runner.
fn request(config: &Value, what: &str, test_set: Option<&str>, output_dir: &Path) -> Value {
    json!({"do": what, "config": config, "test_set": test_set, "output_dir": output_dir})
}

/// A path as ESPnet3 would have it, which starts where the recipe does.
fn from_here(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path)
}

impl LoadedStage for Python {
    fn items(&self, asked: Option<&Indices>) -> Result<Items> {
        let lengths = self.lengths(asked)?;
        let items = Items::new(lengths.iter().sum());
        if self.test_sets.is_empty() {
            return Ok(items);
        }
        // Workers read here which items are of which test set.
        let sets = json!(self.test_sets.iter().zip(lengths).collect::<Vec<_>>());
        Ok(Items { inputs: Inputs::default().with("test_sets", sets), ..items })
    }

    fn computer(&self, place: &Workplace<'_>) -> Result<Box<dyn Computer>> {
        Ok(Box::new(Feeder::new(
            place.job.python.as_ref().unwrap_or(&self.params.python),
            &self.config,
            place,
        )?))
    }

    fn merge(
        &self,
        _records: &mut dyn Iterator<Item = Result<Record>>,
        _failed: &[ItemError],
        output_dir: &Path,
    ) -> Result<()> {
        let run = RunDir::new(output_dir);
        let mut found = Found::default();
        let mut lines = BufReader::new(plain_file::open(&run.results())?).lines().peekable();
        // It is so in all records, or in none.
        let told = match lines.peek() {
            Some(Ok(line)) => Head::read(line)?.is_told(),
            _ => true,
        };
        if told {
            part::sort(lines, &run, &mut found)?;
        } else {
            let shards = run.list_shards()?.into_iter().map(|name| name.shard);
            let folders = shards.map(|shard| run.shard(shard, ShardState::Done)).collect();
            found.folders.insert(None, folders);
        }
        let mut merged = serde_json::Map::new();
        for (set, folders) in &found.folders {
            let folders: Vec<_> = folders.iter().map(|folder| from_here(folder)).collect();
            let place =
                set.as_ref().map_or_else(|| output_dir.to_owned(), |set| output_dir.join(set));
            let mut request = self.request("merge", set.as_deref(), from_here(&place));
            request["folders"] = json!(folders);
            let answer = self.ask(&request)?;
            if !answer.is_null() {
                merged.insert(set.clone().unwrap_or_default(), answer);
            }
        }
        // Without test sets there is one answer, and it has no name.
        let merged = merged.remove("").unwrap_or(Value::Object(merged));
        if merged.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(());
        }
        write_own(&run.merged(), |out| Ok(serde_json::to_writer_pretty(out, &merged)?))
    }
}

/// What is to be merged: the folders of each test set.
#[derive(Default)]
struct Found {
    folders: BTreeMap<Option<String>, Vec<std::path::PathBuf>>,
}
