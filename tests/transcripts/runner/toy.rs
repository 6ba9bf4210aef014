//! The programs that sessions call.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the example `toy`, which `cargo test --test` does not, and gives a folder that has it
/// under the product's name.
pub(crate) fn folder_with_programs() -> PathBuf {
    let product = Path::new(env!("CARGO_BIN_EXE_espnet3-par"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline", "--example", "toy"]);
    // The features and the profile of this test, or everything would be built anew.
    if !cfg!(feature = "candle") {
        cargo.arg("--no-default-features");
    }
    if cfg!(feature = "speech") && !cfg!(feature = "candle") {
        cargo.args(["--features", "speech"]);
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo starts");
    assert!(built.success(), "the example `toy` does not build");

    let bin = Path::new(env!("CARGO_TARGET_TMPDIR")).join("transcripts-bin");
    let _ = std::fs::remove_dir_all(&bin);
    std::fs::create_dir_all(&bin).expect("a folder");
    let profile = product.parent().expect("the program is in a folder");
    for (name, program) in
        [("espnet3-par", profile.join("examples/toy")), ("product", product.to_owned())]
    {
        std::os::unix::fs::symlink(program, bin.join(name)).expect("a link");
    }
    bin
}
