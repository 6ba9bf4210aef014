//! Properties that hold whatever the input is, tried on random input.

mod fuzzed;
mod plan;
mod quoting;
mod records;
