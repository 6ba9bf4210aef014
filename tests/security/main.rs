//! A run directory that somebody planted, and items with hostile names: refused with a message, or
//! harmless. Nothing outside the directory changes, and no command waits without end.

#[path = "../common/mod.rs"]
mod common;

mod bombs;
mod links;
mod names;
mod owners;
mod pipes;
mod place;
mod terminal;
