//! The stage `asr`.
#![allow(dead_code, reason = "the stage itself comes from another branch")]

mod recogniser;
mod sphinx;
