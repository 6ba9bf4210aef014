//! Runs on real schedulers and hosts. Each test needs one that is up: `tests/run.sh clusters` starts
//! them one after another, or by hand:
//!
//! ```text
//! tests/clusters/slurm.sh up DIR && . DIR/env.sh
//! cargo test --test clusters -- --ignored slurm
//! ```

#[path = "../common/mod.rs"]
mod common;

mod hunt;
mod queue;
mod same_everywhere;
mod slurm;
mod slurm_faults;
mod speech_everywhere;
mod spy;
mod ssh;
mod ssh_stage;
mod sshfs;
