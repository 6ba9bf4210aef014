//! placeholder
mod claim;
mod cli;
mod collect;
mod config;
mod drive;
mod identity;
mod indices;
mod inference;
mod job;
mod launch;
mod ordered;
mod parallel;
mod plan;
mod poison;
mod queue;
mod record;
mod roster;
mod run_dir;
mod salvage;
mod shard_writer;
mod spec;
mod stage;
mod status;
mod stop;
mod survey;
mod task;
mod vigil;
mod worker;

pub mod stages;

pub use anyhow::Result;
pub use cli::{main, work_if_asked};
pub use config::{
    Config, Diagnostic, Diagnostics, Location, OnItemError, Parallel, Severity, Snippet,
};
pub use indices::{Indices, IndicesError};
pub use inference::{Dataset, InferenceEnv, InferenceProvider};
pub use parallel::{parallel_for, parallel_map};
pub use record::Record;
pub use stage::{Env, EnvironmentProvider, Runner, Stage};
