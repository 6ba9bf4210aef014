//! Providers and runners in Python, by the real program: classes of `classes/`, and what is on disk
//! after they were run.

#[path = "../common/mod.rs"]
mod common;
mod recipe;

mod batches;
mod contract;
mod faults;
mod hooks;
mod kill;
mod records;
