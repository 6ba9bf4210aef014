//! Runs one function over hundreds of thousands of utterances: here or on a cluster, resumable to
//! the record.
//!
//! You write a computation once, as a [`Stage`]: an [`EnvironmentProvider`] that builds the env
//! (dataset, model) once per worker process, and a [`Runner`] whose `forward(idx, &env)` computes
//! one item. A YAML config says where it runs. There is no daemon and no connection between driver
//! and workers: the run directory is the only truth.
//!
//! ```text
//! conf/*.yaml ──config──▶ Config ──drive::plan──▶ Spec, Job ──launch──▶ task ──▶ workers
//!                                                   │                              │
//!                                            run directory ◀── claim, write, commit ┘
//!                                                   │
//!                  survey, status ◀─────────────────┴──────────────▶ collect ──▶ results.jsonl
//! ```
//!
//! A program with stages of its own is one call, [`main`]; from code there are [`parallel_map`] and
//! [`parallel_for`]. `docs/architecture.md` is the tour of the source.
//!
//! A stage with all that it can say, and how to try it without a run:
//!
//! ```
//! use std::fs;
//! use std::path::PathBuf;
//!
//! use espnet3_par::{
//!     CompleteRun, Env, EnvironmentProvider, Inputs, Items, Record, Result, Runner, Stage,
//! };
//! use serde_json::json;
//!
//! /// The section `words:` of the config.
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Text {
//!     text: PathBuf,
//! }
//!
//! impl EnvironmentProvider for Text {
//!     type Env = Vec<String>;
//!
//!     fn items(&self) -> Result<Items> {
//!         let lines = self.build_env_local()?;
//!         Ok(Items {
//!             // Long lines take longer: shards are cut by bytes.
//!             costs: Some(lines.iter().map(|line| line.len() as f64).collect()),
//!             // A run is not resumed over another text.
//!             inputs: Inputs::default().file("text", self.text.as_path())?,
//!             ..Items::new(lines.len() as u64)
//!         })
//!     }
//!
//!     fn build_env_local(&self) -> Result<Vec<String>> {
//!         Ok(fs::read_to_string(&self.text)?.lines().map(str::to_owned).collect())
//!     }
//!
//!     // The utterance id, for messages about this item.
//!     fn item_name(idx: u64, lines: &Vec<String>) -> Option<String> {
//!         lines[idx as usize].split_whitespace().next().map(str::to_owned)
//!     }
//! }
//!
//! struct Words;
//!
//! impl Runner for Words {
//!     type Provider = Text;
//!
//!     fn forward(idx: u64, lines: &Env<Self>) -> Result<Record> {
//!         let words = lines[idx as usize].split_whitespace().skip(1);
//!         Record::new(json!({"words": words.count()}))
//!     }
//!
//!     // Under another name first: whoever reads it sees the old file or the new one.
//!     fn merge(run: CompleteRun<'_, Text>) -> Result<()> {
//!         let mut total = 0;
//!         for record in run.records {
//!             total += record?.get::<u64>("words")?;
//!         }
//!         fs::write(run.output_dir.join(".total"), format!("{total}\n"))?;
//!         Ok(fs::rename(run.output_dir.join(".total"), run.output_dir.join("total"))?)
//!     }
//! }
//!
//! static STAGES: &[Stage] = &[Stage::new::<Words>("words", "words in each utterance")];
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! fs::write(folder.join("text"), "utt1 hello\nutt2 good morning\n")?;
//! let provider = Text { text: folder.join("text") };
//! let items = provider.items()?;
//! assert_eq!((items.len, items.costs), (2, Some(vec![10.0, 17.0])));
//! let env = provider.build_env_worker()?;
//! let records = Words::batch_forward(&[0, 1], &env)?;
//! assert_eq!(records[1].get::<u64>("words")?, 2);
//! assert_eq!(Text::item_name(1, &env).as_deref(), Some("utt2"));
//! let records = &mut records.into_iter().map(Ok);
//! Words::merge(CompleteRun { provider: &provider, records, failed: &[], output_dir: folder })?;
//! assert_eq!(fs::read_to_string(folder.join("total"))?, "3\n");
//! # Ok::<(), anyhow::Error>(())
//! ```

// What a user writes.
mod inference;
mod record;
mod stage;

// What is to be done.
mod checksum;
mod cluster;
mod config;
mod indices;
mod items;
mod job;
mod names;
mod plan;
mod refused;
mod spec;

// The run directory and its contract.
mod at_hand;
mod atomic_file;
mod claim;
mod identity;
mod item_error;
mod lines;
mod plain_file;
mod roster;
mod run_dir;
mod salvage;
mod shard_writer;
mod stop;
mod trust;

// A worker.
mod computer;
mod deadline;
mod failures;
mod in_hand;
mod log;
mod ordered;
mod poison;
mod queue;
mod shard_name;
mod shard_work;
mod vigil;
mod worker;

// Starting, watching and ending a run.
mod collect;
mod drive;
mod inquiry;
mod launch;
mod parallel;
mod signals;
mod staging;
mod status;
mod submit;
mod survey;
mod task;
mod tasks;
mod under_way;

mod cli;

#[cfg(any(fuzzing, test))]
pub mod fuzzing;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod simulation;

#[cfg(feature = "speech")]
pub mod speech;
pub mod stages;

pub use anyhow::Result;
pub use cli::{main, work_if_asked};
pub use config::{Config, Diagnostic, Diagnostics, Location, Parallel, Severity, Snippet};
pub use indices::{Indices, IndicesError};
/// What the runner of an [`InferenceProvider`] works with.
///
/// ```
/// use espnet3_par::{Dataset, Env, InferenceProvider, Record, Result, Runner};
///
/// # struct Words(Vec<String>);
/// # impl Dataset for Words {
/// #     fn len(&self) -> u64 { self.0.len() as u64 }
/// # }
/// # #[derive(serde::Deserialize)]
/// # struct Spelling { words: Vec<String>, lexicon: std::collections::HashSet<String> }
/// # impl InferenceProvider for Spelling {
/// #     type Dataset = Words;
/// #     type Model = std::collections::HashSet<String>;
/// #     fn build_dataset(&self) -> Result<Words> { Ok(Words(self.words.clone())) }
/// #     fn build_model(&self) -> Result<Self::Model> { Ok(self.lexicon.clone()) }
/// # }
/// struct Spell;
///
/// impl Runner for Spell {
///     // The provider in the example of `InferenceProvider`: words, and a set of known ones.
///     type Provider = Spelling;
///
///     fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
///         Record::new(env.model.contains(&env.dataset.0[idx as usize]))
///     }
/// }
///
/// let dataset = Words(vec!["hello".into(), "wolrd".into()]);
/// let model = ["hello".into(), "world".into()].into();
/// let env = espnet3_par::InferenceEnv { dataset, model };
/// assert!(!Spell::forward(1, &env)?.get::<bool>("value")?);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub use inference::InferenceEnv;
pub use inference::{Dataset, InferenceProvider};
pub use item_error::{ErrorKind, ItemError, OnItemError};
pub use items::{Inputs, Items};
pub use parallel::{parallel_for, parallel_map};
pub use record::Record;
/// What `forward` gets besides the index, so that a runner need not repeat its type.
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
/// use espnet3_par::{Env, Record, Runner};
///
/// struct Rest;
///
/// impl Runner for Rest {
///     // Its env is a `u64`.
///     type Provider = Numbers;
///
///     fn forward(idx: u64, n: &Env<Self>) -> Result<Record> {
///         Record::new(n - idx)
///     }
/// }
///
/// let env: Env<Rest> = 10;
/// assert_eq!(Rest::forward(3, &env)?.get::<u64>("value")?, 7);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub use stage::Env;
pub use stage::{CompleteRun, EnvironmentProvider, Runner, Stage};
