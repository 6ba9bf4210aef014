//! What a user writes: a provider that builds the env, and a runner that computes one item.
//!
//! The two under a name are a [`Stage`]. A stage never hears of shards, jobs or clusters.

use std::path::Path;

use anyhow::Result;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::computer::{Computer, InProcess, LoadedEnv, Workplace};
use crate::indices::Indices;
use crate::item_error::ItemError;
use crate::items::{Inputs, Items};
use crate::record::Record;

/// Builds the env (dataset, model, tokenizer) once per worker process.
///
/// The provider *is* the stage's section of the config: it is deserialised from it, so its fields
/// are the stage's parameters. Put `#[serde(deny_unknown_fields)]` on it and a mistyped key is
/// reported with file, line and the nearest valid key.
///
/// ```
/// use espnet3_par::{EnvironmentProvider, Items, Result};
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Lines { text: std::path::PathBuf }
///
/// impl EnvironmentProvider for Lines {
///     type Env = Vec<String>;
///     fn items(&self) -> Result<Items> {
///         Ok(Items::new(self.build_env_local()?.len() as u64))
///     }
///     fn build_env_local(&self) -> Result<Vec<String>> {
///         Ok(std::fs::read_to_string(&self.text)?.lines().map(str::to_owned).collect())
///     }
/// }
/// ```
pub trait EnvironmentProvider: DeserializeOwned + Send + Sync + 'static {
    /// What `forward` works with; one value, shared by all threads of a worker.
    type Env: Send + Sync;

    /// How many items there are, perhaps what each costs, and what the results depend on. Called by the
    /// driver, so it should be cheap and build no model.
    ///
    /// # Errors
    /// Whatever keeps the items from being known, such as a missing manifest.
    fn items(&self) -> Result<Items>;

    /// Whether the parameters can work, as far as it can be told cheaply. Called by the driver and
    /// by `check`, before there is a run or a worker.
    ///
    /// # Errors
    /// What is wrong with them.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// Builds the env in this process.
    ///
    /// # Errors
    /// Whatever keeps the env from being built; the worker gives its shard back and stops.
    fn build_env_local(&self) -> Result<Self::Env>;

    /// Builds the env in a worker process; the same as
    /// [`build_env_local`](Self::build_env_local) unless overridden.
    ///
    /// # Errors
    /// As [`build_env_local`](Self::build_env_local).
    fn build_env_worker(&self) -> Result<Self::Env> {
        self.build_env_local()
    }

    /// Those of the [inputs](Items::inputs) that `env` knows to be built from. A worker whose env was
    /// built from others than the run was planned with, such as a manifest that is longer by now,
    /// computes nothing. By default none are compared.
    fn inputs_of(env: &Self::Env) -> Inputs {
        let _ = env;
        Inputs::default()
    }

    /// What a person calls item `idx` (an utterance id and its path, say); used when it fails.
    fn item_name(idx: u64, env: &Self::Env) -> Option<String> {
        let _ = (idx, env);
        None
    }
}

/// The env type of a runner's provider.
pub type Env<R> = <<R as Runner>::Provider as EnvironmentProvider>::Env;

/// Computes one item, or one batch, from an index and the env. It holds no state, so its functions
/// take no `self`.
///
/// ```
/// # use espnet3_par::{EnvironmentProvider, Items, Result};
/// # #[derive(serde::Deserialize)]
/// # struct Numbers { n: u64 }
/// # impl EnvironmentProvider for Numbers {
/// #     type Env = u64;
/// #     fn items(&self) -> Result<Items> { Ok(Items::new(self.n)) }
/// #     fn build_env_local(&self) -> Result<u64> { Ok(self.n) }
/// # }
/// use espnet3_par::{Record, Runner};
/// use serde_json::json;
///
/// struct Square;
///
/// impl Runner for Square {
///     type Provider = Numbers;
///     fn forward(idx: u64, _n: &u64) -> Result<Record> {
///         Record::new(json!({"square": idx * idx}))
///     }
/// }
/// ```
pub trait Runner: 'static {
    /// The provider whose env this runner works with.
    type Provider: EnvironmentProvider;

    /// Computes item `idx`.
    ///
    /// # Errors
    /// An error fails this item alone: it goes to `errors.jsonl` and the run goes on, unless the
    /// config says `on_item_error: stop`.
    fn forward(idx: u64, env: &Env<Self>) -> Result<Record>
    where
        Self: Sized;

    /// Computes several items at once (`batch_size` in the config), one record per index in the
    /// order of `indices`. If a batch fails, its items are tried one by one with
    /// [`forward`](Self::forward), so that only the bad one is lost.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    fn batch_forward(indices: &[u64], env: &Env<Self>) -> Result<Vec<Record>>
    where
        Self: Sized,
    {
        indices.iter().map(|&idx| Self::forward(idx, env)).collect()
    }

    /// Called once by `collect` when the run is complete, to write what belongs to the whole:
    /// statistics, a `feats.scp`. Write files atomically; collect may run again.
    ///
    /// # Errors
    /// Fails the collect; the records stay as they are.
    fn merge(run: CompleteRun<'_, Self::Provider>) -> Result<()> {
        let _ = run;
        Ok(())
    }
}

/// A run whose items all have a record or an error, for [`Runner::merge`].
///
/// ```
/// # use espnet3_par::{EnvironmentProvider, Items, Result};
/// # #[derive(serde::Deserialize)]
/// # struct Numbers { n: u64 }
/// # impl EnvironmentProvider for Numbers {
/// #     type Env = u64;
/// #     fn items(&self) -> Result<Items> { Ok(Items::new(self.n)) }
/// #     fn build_env_local(&self) -> Result<u64> { Ok(self.n) }
/// # }
/// use espnet3_par::{CompleteRun, Env, Record, Runner};
///
/// struct Square;
///
/// impl Runner for Square {
///     type Provider = Numbers;
///
///     fn forward(idx: u64, _n: &Env<Self>) -> Result<Record> {
///         Record::new(idx * idx)
///     }
///
///     fn merge(run: CompleteRun<'_, Numbers>) -> Result<()> {
///         let mut sum = 0;
///         for record in run.records {
///             sum += record?.get::<u64>("value")?;
///         }
///         let told = format!("{sum}, without {} of {}\n", run.failed.len(), run.provider.n);
///         Ok(std::fs::write(run.output_dir.join("sum"), told)?)
///     }
/// }
///
/// # let folder = tempfile::tempdir()?;
/// let records = [Square::forward(0, &3), Square::forward(2, &3)];
/// Square::merge(CompleteRun {
///     provider: &Numbers { n: 3 },
///     records: &mut records.into_iter(),
///     failed: &[serde_json::from_str(r#"{"idx": 1, "kind": "error", "error": "odd"}"#)?],
///     output_dir: folder.path(),
/// })?;
/// assert_eq!(std::fs::read_to_string(folder.path().join("sum"))?, "4, without 1 of 3\n");
/// # Ok::<(), anyhow::Error>(())
/// ```
pub struct CompleteRun<'a, P> {
    /// The provider, which has the parameters.
    pub provider: &'a P,
    /// All records, in index order.
    pub records: &'a mut dyn Iterator<Item = Result<Record>>,
    /// The items that have none, in index order.
    pub failed: &'a [ItemError],
    /// The run directory; paths in the records start there.
    pub output_dir: &'a Path,
}

/// A provider and a runner under a name; what `stage: NAME` in a config chooses.
///
/// ```no_run
/// # use espnet3_par::{EnvironmentProvider, Items, Record, Result, Runner, Stage};
/// # #[derive(serde::Deserialize)]
/// # struct Numbers { n: u64 }
/// # impl EnvironmentProvider for Numbers {
/// #     type Env = u64;
/// #     fn items(&self) -> Result<Items> { Ok(Items::new(self.n)) }
/// #     fn build_env_local(&self) -> Result<u64> { Ok(self.n) }
/// # }
/// # struct Square;
/// # impl Runner for Square {
/// #     type Provider = Numbers;
/// #     fn forward(idx: u64, _n: &u64) -> Result<Record> { Record::new(idx * idx) }
/// # }
/// static STAGES: &[Stage] = &[Stage::new::<Square>("square", "squares of the first n numbers")];
///
/// fn main() -> std::process::ExitCode {
///     espnet3_par::main(STAGES)
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Stage {
    /// The word after `stage:`, and the name of its section in the config.
    pub name: &'static str,
    /// One line for `espnet3-par stages`.
    pub about: &'static str,
    /// Its parameters are the whole config, and not only its section.
    pub(crate) takes_all: bool,
    load: Load,
}

/// Makes a stage ready, from its parameters.
pub(crate) type Load = fn(&Value) -> std::result::Result<Box<dyn LoadedStage>, ParamError>;

impl Stage {
    /// The stage of runner `R` and its provider.
    #[must_use]
    pub const fn new<R: Runner>(name: &'static str, about: &'static str) -> Self {
        Self { name, about, takes_all: false, load: load::<R> }
    }

    /// A stage whose items are computed by other programs.
    pub(crate) const fn outside(name: &'static str, about: &'static str, load: Load) -> Self {
        Self { name, about, takes_all: false, load }
    }

    /// The whole config, and not a section of its own, has its parameters.
    pub(crate) const fn taking_all(self) -> Self {
        Self { takes_all: true, ..self }
    }

    /// Makes the provider from the stage's section of the config.
    pub(crate) fn load(
        &self,
        params: &Value,
    ) -> std::result::Result<Box<dyn LoadedStage>, ParamError> {
        (self.load)(params)
    }
}

/// A parameter the provider would not take.
#[derive(Debug)]
pub(crate) struct ParamError {
    /// Dotted path inside the stage's section; empty for the section itself.
    pub path: String,
    /// serde's words.
    pub message: String,
}

/// A stage whose provider has its parameters, behind one type for all stages.
pub(crate) trait LoadedStage: Send + Sync {
    fn validate(&self) -> Result<()> {
        Ok(())
    }
    /// As [`EnvironmentProvider::items`]. A stage that can hardly count its items may believe that those
    /// are there which the config `asked` for.
    fn items(&self, asked: Option<&Indices>) -> Result<Items>;
    fn computer(&self, place: &Workplace<'_>) -> Result<Box<dyn Computer>>;
    /// As [`Runner::merge`].
    fn merge(
        &self,
        records: &mut dyn Iterator<Item = Result<Record>>,
        failed: &[ItemError],
        output_dir: &Path,
    ) -> Result<()> {
        let _ = (records, failed, output_dir);
        Ok(())
    }
}

struct Loaded<R: Runner>(R::Provider);

struct Built<R: Runner>(Env<R>);

fn load<R: Runner>(params: &Value) -> std::result::Result<Box<dyn LoadedStage>, ParamError> {
    Ok(Box::new(Loaded::<R>(read_params(params)?)))
}

/// Reads a stage's parameters; an error has its place.
pub(crate) fn read_params<P: DeserializeOwned>(
    params: &Value,
) -> std::result::Result<P, ParamError> {
    serde_path_to_error::deserialize(params).map_err(|error| {
        let path = error.path().to_string();
        ParamError {
            path: if path == "." { String::new() } else { path },
            message: error.into_inner().to_string(),
        }
    })
}

impl<R: Runner> LoadedStage for Loaded<R> {
    fn validate(&self) -> Result<()> {
        self.0.validate()
    }

    fn items(&self, _asked: Option<&Indices>) -> Result<Items> {
        self.0.items()
    }

    fn computer(&self, place: &Workplace<'_>) -> Result<Box<dyn Computer>> {
        let build = || Ok(Box::new(Built::<R>(self.0.build_env_worker()?)) as Box<dyn LoadedEnv>);
        Ok(Box::new(InProcess::build(build, place)?))
    }

    fn merge(
        &self,
        records: &mut dyn Iterator<Item = Result<Record>>,
        failed: &[ItemError],
        output_dir: &Path,
    ) -> Result<()> {
        R::merge(CompleteRun { provider: &self.0, records, failed, output_dir })
    }
}

impl<R: Runner> LoadedEnv for Built<R> {
    fn forward(&self, idx: u64) -> Result<Record> {
        R::forward(idx, &self.0)
    }

    fn batch_forward(&self, indices: &[u64]) -> Result<Vec<Record>> {
        R::batch_forward(indices, &self.0)
    }

    fn item_name(&self, idx: u64) -> Option<String> {
        R::Provider::item_name(idx, &self.0)
    }

    fn inputs(&self) -> Inputs {
        R::Provider::inputs_of(&self.0)
    }
}

/// Merges `records` of a run with this section, of which no item failed.
#[cfg(test)]
pub(crate) fn merge_all<R: Runner>(
    section: &Value,
    records: impl IntoIterator<Item = Result<Record>>,
    output_dir: &Path,
) -> Result<()> {
    let provider = &serde_json::from_value(section.clone())?;
    let records = &mut records.into_iter();
    R::merge(CompleteRun { provider, records, failed: &[], output_dir })
}
