//! What tests that drive the toy program share: a recipe in a folder of its own, its processes,
//! what is on its disk, and waiting with a bound.

#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod disk;
pub(crate) mod hunt;
pub(crate) mod kept;
pub(crate) mod processes;
pub(crate) mod recipe;
pub(crate) mod until;
