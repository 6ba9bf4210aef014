//! Runs on fakes of what cannot be installed here: LSF, OAR, Moab, Kubernetes and PBS, and of a
//! machine with GPUs. Each is a shell script under the names of the scheduler's commands, which is
//! strict about what it is given and really runs the tasks.

#[path = "../common/mod.rs"]
mod common;

mod cluster;
mod gpus;
mod queue;
mod schedulers;
