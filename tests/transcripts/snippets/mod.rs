//! The code of `docs/stages.md`: compiled here, and the same there.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "it is written to be read")]

mod code;
mod files;
mod inference;
#[path = "../../../recipes/own_stage/src/main.rs"]
mod own_stage;

/// Every block of Rust in the document is one of these files.
#[test]
fn the_document_has_the_code_that_compiles() {
    let compiled = [
        include_str!("../../../recipes/own_stage/src/main.rs"),
        include_str!("files.rs"),
        include_str!("inference.rs"),
        include_str!("code.rs"),
    ];
    let document = include_str!("../../../docs/stages.md");
    let blocks: Vec<&str> = document
        .split("\n```rust\n")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("\n```\n")?.0))
        .collect();
    let compiled: Vec<&str> = compiled.iter().map(|text| text.trim_end()).collect();
    assert_eq!(blocks, compiled);
}
