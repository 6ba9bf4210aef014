//! SHA-256 of files: what a run's results depend on, and whether a model is the right one.

use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The SHA-256 of a file in lower-case hexadecimal.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let hash = || -> io::Result<String> {
        let mut hasher = Sha256::new();
        io::copy(&mut File::open(path)?, &mut hasher)?;
        Ok(hex(&hasher.finalize()))
    };
    hash().with_context(|| format!("failed to read `{}`", path.display()))
}

/// The SHA-256 of bytes in lower-case hexadecimal.
#[must_use]
pub(crate) fn sha256_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Checks that `bytes`, read from `path`, have the SHA-256 `expected`.
///
/// # Errors
/// When they do not.
#[cfg(feature = "candle")]
pub(crate) fn verify(path: &Path, bytes: &[u8], expected: &str) -> Result<()> {
    let found = sha256_bytes(bytes);
    if !found.eq_ignore_ascii_case(expected) {
        anyhow::bail!(
            "`{}` is not the expected file: its sha256 is {found}, expected {expected}",
            path.display()
        );
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
