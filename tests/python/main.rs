//! Providers and runners in Python, by the real program: classes of `classes/`, and what is on disk
//! after they were run.

#[path = "../common/mod.rs"]
mod common;
mod recipe;

mod balance;
mod batches;
mod contract;
mod faults;
mod hooks;
mod kill;
mod parts;
mod records;
mod test_sets;
