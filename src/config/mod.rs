//! YAML files, environment variables and `--set` to a [`Config`], or to all that is wrong with it.
//!
//! Files are read to trees with places (`yaml`), merged (`layers`), interpolated (`resolve`) and
//! then read key by key (`run`, `parallel`, `params`). Nothing stops at the first mistake.

mod check;
mod diagnostic;
mod keys;
mod layers;
mod load;
#[cfg(test)]
mod messages;
mod origins;
mod overlay;
mod parallel;
mod params;
#[cfg(test)]
mod properties;
mod resolve;
mod resolvers;
mod run;
mod scalar;
mod source;
mod syntax;
mod template;
#[cfg(test)]
mod tests;
mod tree;
mod yaml;

use std::path::PathBuf;

use serde_json::Value;

pub use diagnostic::{Diagnostic, Diagnostics, Location, Severity, Snippet};
pub use parallel::Parallel;

use crate::indices::Indices;
use crate::item_error::OnItemError;
use crate::stage::{LoadedStage, Stage};

/// What a config is made of.
pub(crate) struct Request<'a> {
    /// YAML files; later ones override earlier ones.
    pub files: &'a [PathBuf],
    /// `a.b=value`, over the files and the environment.
    pub set: &'a [String],
    /// The stage, over all else.
    pub stage: Option<&'a str>,
    /// The items, over all else.
    pub indices: Option<&'a str>,
    /// The parallel section: `gpu` for `parallel_gpu`.
    pub parallel: Option<&'a str>,
    /// What other options of the command line set, over all else.
    pub flags: &'a [Flag],
    /// The environment; `ESPNET3_PAR__A__B=value` sets `a.b` over the files.
    pub env: Vec<(String, String)>,
    /// What `${now:…}` takes for now.
    pub now: jiff::Zoned,
}

/// A key that an option of the command line sets.
pub(crate) struct Flag {
    /// The option as it was typed, for messages.
    pub typed: String,
    pub key: String,
    pub value: Value,
}

/// Everything a run needs to know, checked.
///
/// ```
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
/// use espnet3_par::{Config, OnItemError};
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("squares.yaml");
/// std::fs::write(&file, "
/// stage: square
/// output_dir: exp/${stage}s
/// square: {n: 100}
/// parallel: {env: local, n_workers: 4}
/// ")?;
/// let stages = [Stage::new::<Square>("square", "squares of the first n numbers")];
/// let mut config = Config::from_files(&[file], &stages)?;
/// assert_eq!(config.output_dir, std::path::Path::new("exp/squares"));
/// assert_eq!((config.parallel.n_workers, config.batch_size), (4, None));
/// assert_eq!(config.params["n"], 100);
/// assert!(config.to_yaml().contains("output_dir: exp/squares\n"));
/// // Each value's path, the value, and its place.
/// let origins = config.origins();
/// let (_, n, place) = origins.iter().find(|(path, ..)| path == "square.n").expect("it is given");
/// assert_eq!(n, "100");
/// assert!(place.contains("squares.yaml:4"));
///
/// // What code knows better than the file, before `parallel_map` takes it.
/// config.indices = Some("0-9".parse()?);
/// config.on_item_error = OnItemError::Stop;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Config {
    /// What to compute.
    pub stage: Stage,
    /// The run directory.
    pub output_dir: PathBuf,
    /// Whether to return once the run is on its way.
    pub detach: bool,
    /// Which items; `None`: all.
    pub indices: Option<Indices>,
    /// How many items the runner gets at once; `None`: one, and no list of one.
    pub batch_size: Option<u32>,
    /// What to do when an item fails.
    pub on_item_error: OnItemError,
    /// How long an item may take, in seconds, where another program computes it.
    pub item_timeout: Option<u64>,
    /// How many items may fail before the run is given up.
    pub max_failed_items: Option<u64>,
    /// Where the run takes place.
    pub parallel: Parallel,
    /// The stage's section.
    pub params: Value,
    /// The whole config with its interpolations filled in, as far as they can be.
    pub resolved: Value,
    /// What is not wrong but worth a look.
    pub warnings: Vec<Diagnostic>,
    /// The stage with its parameters.
    pub(crate) loaded: Box<dyn LoadedStage>,
    origins: Vec<(String, String, String)>,
}

/// This process's environment; what is not UTF-8 is none of ours.
pub(crate) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Config of stage {}: {}", self.stage.name, self.resolved)
    }
}

impl Config {
    /// Reads and checks a config.
    pub(crate) fn load(request: &Request<'_>, stages: &[Stage]) -> Result<Self, Diagnostics> {
        load::load(request, stages)
    }

    /// The section `parallel` alone, filled in but not checked; null where there is none.
    pub(crate) fn parallel_section(request: &Request<'_>) -> Result<Value, Diagnostics> {
        load::parallel_section(request)
    }

    /// Reads and checks config files, with this process's environment; later files override earlier
    /// ones.
    ///
    /// # Errors
    /// [`Diagnostics`]: everything that is wrong with the config.
    pub fn from_files(files: &[PathBuf], stages: &[Stage]) -> crate::Result<Self> {
        let request = Request {
            files,
            set: &[],
            stage: None,
            indices: None,
            parallel: None,
            flags: &[],
            env: environment(),
            now: jiff::Zoned::now(),
        };
        Ok(Self::load(&request, stages)?)
    }

    /// For each value of the config: its dotted path, the value, and where it comes from.
    #[must_use]
    pub fn origins(&self) -> Vec<(String, String, String)> {
        self.origins.clone()
    }

    /// The resolved config as YAML.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        serde_yaml::to_string(&self.resolved).unwrap_or_else(|_| {
            // Unreachable for JSON; and JSON is YAML.
            format!("{:#}\n", self.resolved)
        })
    }
}
