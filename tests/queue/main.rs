//! `espnet3-par queue`, called as recipes call `$train_cmd`.

#[path = "../common/mod.rs"]
mod common;

mod ends;
mod lines;
mod steps;
