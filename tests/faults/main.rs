//! Whatever is killed, whenever: the collected bytes equal an undisturbed run's.

#[path = "../common/mod.rs"]
mod common;

mod again_and_again;
mod collect;
mod command;
mod damaged;
mod detach;
mod directory;
mod disk_full;
mod env;
mod hunt;
mod injected;
mod item_timeout;
mod items;
mod kill_all;
mod kill_some;
mod pid_namespace;
mod poison;
mod resume_differently;
mod signals;
mod stop;
mod two_drivers;
mod watching;
mod zombie;
