//! Whatever is killed, whenever: the collected bytes equal an undisturbed run's.

#[path = "../common/mod.rs"]
mod common;

mod kill_all;
mod kill_some;
