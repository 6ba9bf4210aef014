//! The code of `docs/stages.md` and `docs/inference.md`: compiled here, and the same there.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "it is written to be read")]

#[cfg(feature = "speech")]
mod clipping;
mod code;
mod files;
mod inference;
#[path = "../../../recipes/own_stage/src/main.rs"]
mod own_stage;

/// Every block of Rust in a document is one of these files.
fn assert_same_code(document: &str, compiled: &[&str]) {
    let blocks = document.split("\n```rust\n").skip(1);
    let blocks: Vec<&str> = blocks.filter_map(|rest| Some(rest.split_once("\n```\n")?.0)).collect();
    let compiled: Vec<&str> = compiled.iter().map(|text| text.trim_end()).collect();
    assert_eq!(blocks, compiled);
}

#[test]
fn the_documents_have_the_code_that_compiles() {
    let compiled = [
        include_str!("../../../recipes/own_stage/src/main.rs"),
        include_str!("files.rs"),
        include_str!("inference.rs"),
        include_str!("code.rs"),
    ];
    assert_same_code(include_str!("../../../docs/stages.md"), &compiled);
    let compiled = [include_str!("clipping.rs")];
    assert_same_code(include_str!("../../../docs/inference.md"), &compiled);
}
