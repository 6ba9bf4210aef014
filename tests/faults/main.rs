//! Whatever is killed, whenever: the collected bytes equal an undisturbed run's.

#[path = "../common/mod.rs"]
mod common;

mod env;
mod items;
mod kill_all;
mod kill_some;
mod poison;
mod signals;
mod stop;
