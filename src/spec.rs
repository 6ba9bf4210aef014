//! What is to be done: everything about a run that never changes, written once as `spec.json`.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::atomic_file::scratch;
use crate::indices::Indices;
use crate::plain_file;
use crate::refused::{Damaged, Refused};
use crate::run_dir::{RunDir, ShardName, ShardState};

/// The format of the run directory; a directory of another version is refused, not guessed at.
const VERSION: u32 = 1;

/// The stage of a config that names a provider and a runner, and no stage. Its parameters are the
/// config itself.
pub(crate) const PYTHON: &str = "python";

/// Of its keys, those that tell how and not what is computed: no result depends on them.
pub(crate) const PYTHON_HOW: [&str; 2] = ["python", "num_items"];

/// A run: what the results depend on, and how the items are cut into shards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub version: u32,
    /// When the run was planned, RFC 3339.
    pub created: String,
    pub fingerprint: Fingerprint,
    /// Shard K has the items at positions `bounds[K]..bounds[K + 1]` of the fingerprint's indices.
    pub bounds: Vec<u64>,
    /// The shards that cost far more than the others, as far as costs are known, the heaviest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heavy: Vec<usize>,
}

/// All that the results depend on. Two runs with the same fingerprint have the same results; a
/// run is resumed only by a config with the same one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    pub stage: String,
    /// The stage's section of the resolved config.
    pub params: Value,
    /// What the provider's `inputs` said: checksums of the manifest and the model, say.
    pub inputs: Value,
    pub num_items: u64,
    /// The items asked for; all of them unless `indices` says otherwise.
    pub indices: Indices,
}

impl Spec {
    pub(crate) fn new(fingerprint: Fingerprint, bounds: Vec<u64>) -> Self {
        let created = jiff::Timestamp::now().to_string();
        Self { version: VERSION, created, fingerprint, bounds, heavy: Vec::new() }
    }

    pub(crate) fn num_shards(&self) -> usize {
        self.bounds.len().saturating_sub(1)
    }

    /// The items of one shard.
    pub(crate) fn items(&self, shard: usize) -> Indices {
        self.fingerprint.indices.slice(self.bounds[shard], self.bounds[shard + 1])
    }

    /// How many items one shard has.
    pub(crate) fn len(&self, shard: usize) -> u64 {
        self.bounds[shard + 1] - self.bounds[shard]
    }

    /// How many items the run has.
    pub(crate) fn total(&self) -> u64 {
        self.bounds.last().copied().unwrap_or(0)
    }

    pub(crate) fn read(run: &RunDir) -> Result<Self> {
        let path = run.spec();
        let read = || format!("failed to read the spec of {}", run.root().display());
        let damaged = |error: &dyn std::fmt::Display| {
            let message = format!("{} is damaged: {error}", path.display());
            Damaged::new(message, "`run --restart` throws the run away and starts anew")
        };
        let text = plain_file::read(&path).with_context(read)?;
        let any: Value = serde_json::from_slice(&text).map_err(|error| damaged(&error))?;
        match any.get("version") {
            Some(version) if version.is_u64() && *version != VERSION => {
                let path = path.display();
                let message = format!("{path} has format {version}; this program reads {VERSION}");
                let hint = "use the program that made it, or name another `output_dir`";
                return Err(Refused::new(message, hint).into());
            }
            Some(_) => {}
            None => return Err(damaged(&"it has no `version`").into()),
        }
        let spec: Self = serde_json::from_slice(&text).map_err(|error| damaged(&error))?;
        let rising = spec.bounds.is_sorted_by(|a, b| a < b);
        if spec.bounds.first() != Some(&0)
            || !rising
            || spec.total() != spec.fingerprint.indices.len()
        {
            return Err(damaged(&"`bounds` do not fit the items").into());
        }
        Ok(spec)
    }

    /// Puts the run on disk, or finishes what another driver, perhaps a dead one, began.
    ///
    /// Returns the spec that is there in the end: of two drivers, one writes it and both use it.
    pub(crate) fn establish(self, run: &RunDir) -> Result<Self> {
        // On the way to it, too.
        let there = run.root().ancestors().find(|path| path.symlink_metadata().is_ok());
        if let Some(path) = there.filter(|path| !path.is_dir()) {
            let what = if path.is_symlink() { "a link to nothing" } else { "a file" };
            let message = match path == run.root() {
                true => format!("the run directory {} is {what}", path.display()),
                false => {
                    let (run, path) = (run.root().display(), path.display());
                    format!("the run directory {run} cannot be made: {path} is {what}")
                }
            };
            return Err(Refused::new(message, "name another `output_dir`").into());
        }
        std::fs::create_dir_all(run.root()).with_context(|| {
            format!("failed to make the run directory {}", run.root().display())
        })?;
        for folder in [run.workers(), run.jobs(), run.logs()] {
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("failed to make {}", folder.display()))?;
        }
        let spec = if run.exists() { Self::read(run)? } else { self.publish(run)? };
        spec.make_shards(run)?;
        Ok(spec)
    }

    fn publish(self, run: &RunDir) -> Result<Self> {
        let path = run.spec();
        let scratch = scratch(&path);
        let bytes = serde_json::to_vec_pretty(&self)?;
        // A hard link, unlike a rename, refuses to replace: the first of two drivers wins.
        let linked = File::create_new(&scratch)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::hard_link(&scratch, &path));
        let _ = std::fs::remove_file(&scratch);
        match linked {
            Ok(()) => Ok(self),
            Err(_) if run.exists() => Self::read(run),
            Err(error) => Err(error).with_context(|| format!("failed to write {}", path.display())),
        }
    }

    /// `shards/` appears whole, by rename, or not at all.
    fn make_shards(&self, run: &RunDir) -> Result<()> {
        let shards = run.shards();
        if shards.is_dir() {
            return Ok(());
        }
        let scratch = scratch(&shards);
        let made = self.make_shards_in(&scratch).and_then(|()| std::fs::rename(&scratch, &shards));
        if let Err(error) = made {
            let _ = std::fs::remove_dir_all(&scratch);
            if !shards.is_dir() {
                return Err(error).with_context(|| format!("failed to make {}", shards.display()));
            }
        }
        Ok(())
    }

    fn make_shards_in(&self, scratch: &Path) -> std::io::Result<()> {
        std::fs::create_dir(scratch)?;
        for shard in 0..self.num_shards() {
            let name = ShardName { shard, state: ShardState::Todo };
            std::fs::create_dir(scratch.join(name.to_string()))?;
        }
        Ok(())
    }
}

impl Fingerprint {
    /// Where two fingerprints differ: dotted path, ours, theirs.
    pub(crate) fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        let ours = serde_json::to_value(self).unwrap_or_default();
        let theirs = serde_json::to_value(other).unwrap_or_default();
        compare("", &ours, &theirs, &mut differences);
        for difference in &mut differences {
            let key = difference.key.as_str();
            difference.of_inputs =
                key == "num_items" || key == "inputs" || key.starts_with("inputs.");
            // The user's words: the params are the stage's section.
            if let Some(rest) = difference.key.strip_prefix("params") {
                // Or all of it, as far as it is not ours.
                difference.key = match self.stage == PYTHON {
                    true => rest.trim_start_matches('.').to_owned(),
                    false => format!("{}{rest}", self.stage),
                };
            }
        }
        differences
    }
}

/// A key on which two fingerprints differ; `None`: it is not there.
#[derive(Debug, PartialEq)]
pub(crate) struct Difference {
    pub key: String,
    pub ours: Option<Value>,
    pub theirs: Option<Value>,
    /// It is in what the results depend on besides the config.
    pub of_inputs: bool,
}

fn compare(key: &str, ours: &Value, theirs: &Value, differences: &mut Vec<Difference>) {
    let (Value::Object(a), Value::Object(b)) = (ours, theirs) else {
        if ours != theirs {
            let (ours, theirs) = (Some(ours.clone()), Some(theirs.clone()));
            differences.push(Difference { key: key.to_owned(), ours, theirs, of_inputs: false });
        }
        return;
    };
    let mut keys: Vec<&String> = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))).collect();
    keys.sort();
    for name in keys {
        let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        match (a.get(name), b.get(name)) {
            (Some(a), Some(b)) => compare(&key, a, b, differences),
            (ours, theirs) => {
                let (ours, theirs) = (ours.cloned(), theirs.cloned());
                differences.push(Difference { key, ours, theirs, of_inputs: false });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fingerprint(params: Value) -> Fingerprint {
        let indices = Indices::all(10);
        Fingerprint { stage: "vad".into(), params, inputs: Value::Null, num_items: 10, indices }
    }

    #[test]
    fn of_two_drivers_the_first_plans() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunDir::new(folder.path().join("exp/vad"));
        let first = Spec::new(fingerprint(json!({})), vec![0, 5, 10]);
        let second = Spec::new(fingerprint(json!({})), vec![0, 10]);
        assert_eq!(first.clone().establish(&run).expect("plans"), first);
        assert_eq!(second.establish(&run).expect("joins"), first);
        assert_eq!(run.list_shards().expect("lists").len(), 2);
    }

    #[test]
    fn a_plan_that_was_cut_off_is_finished() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunDir::new(folder.path());
        let spec =
            Spec::new(fingerprint(json!({})), vec![0, 5, 10]).establish(&run).expect("plans");
        std::fs::remove_dir_all(run.shards()).expect("removes");
        spec.establish(&run).expect("finishes");
        assert_eq!(run.list_shards().expect("lists").len(), 2);
    }

    #[test]
    fn differences_name_the_keys_a_user_wrote() {
        let ours = fingerprint(json!({"threshold": 0.5, "dataset": {"a": 1}, "new": true}));
        let theirs = fingerprint(json!({"threshold": 0.6, "dataset": {"a": 1}, "old": 1}));
        let keys: Vec<_> = ours.differences(&theirs).into_iter().map(|d| d.key).collect();
        assert_eq!(keys, ["vad.new", "vad.old", "vad.threshold"]);
        assert_eq!(ours.differences(&ours), []);
    }

    #[test]
    fn a_parameter_of_that_name_is_no_input() {
        let of = |folder: &str, sum: &str| Fingerprint {
            stage: PYTHON.to_owned(),
            inputs: json!({"manifest": sum}),
            ..fingerprint(json!({"inputs": {"folder": folder}}))
        };
        let found = of("a", "1").differences(&of("b", "2"));
        let found: Vec<_> = found.iter().map(|it| (it.key.as_str(), it.of_inputs)).collect();
        assert_eq!(found, [("inputs.manifest", true), ("inputs.folder", false)]);
    }
}
