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

// What a user writes.
mod inference;
mod record;
mod stage;

// What is to be done.
mod checksum;
mod config;
mod indices;
mod job;
mod plan;
mod refused;
mod spec;

// The run directory and its contract.
mod atomic_file;
mod claim;
mod identity;
mod item_error;
mod roster;
mod run_dir;
mod salvage;
mod shard_writer;
mod stop;

// A worker.
mod computer;
mod failures;
mod in_hand;
mod log;
mod ordered;
mod poison;
mod queue;
mod shard_work;
mod vigil;
mod worker;

// Starting, watching and ending a run.
mod collect;
mod drive;
mod launch;
mod parallel;
mod status;
mod survey;
mod task;

mod cli;

#[cfg(feature = "speech")]
pub mod speech;
pub mod stages;

pub use anyhow::Result;
pub use checksum::sha256;
pub use cli::{main, work_if_asked};
pub use config::{
    Config, Diagnostic, Diagnostics, Location, OnItemError, Parallel, Severity, Snippet,
};
pub use indices::{Indices, IndicesError};
pub use inference::{Dataset, InferenceEnv, InferenceProvider};
pub use parallel::{parallel_for, parallel_map};
pub use record::Record;
pub use stage::{Env, EnvironmentProvider, Runner, Stage};
