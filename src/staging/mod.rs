//! `stage: true`: hosts that share no file system with this one.
//!
//! Each such host has a *courier*, a worker here that computes nothing itself. It claims shards, brings
//! them to a run directory of its own on the host, where a task with workers goes through them, brings
//! them back and commits them here. For the run it is a worker like any other: when it dies, what it
//! held goes to the next one, and what its host still does with it counts for nothing.

mod brought;
mod courier;
mod halt;
mod outpost;
mod provisions;
mod remote;
mod stage_files;

pub(crate) use courier::{Errand, carry};
