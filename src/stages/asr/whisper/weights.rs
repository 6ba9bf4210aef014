//! The weights of a checkpoint, a safetensors file.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, safetensors};
use candle_nn::VarBuilder;
use serde::Deserialize;

use super::checkpoint::Dimensions;

/// No header is longer; that of Whisper's largest model has 150 kB.
const LONGEST_HEADER: u64 = 16 << 20;

/// A tensor, as the header has it.
#[derive(Deserialize)]
struct Entry {
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// Whether the file is whole and of this network, by its header: 8 bytes of length, then JSON, then
/// the tensors one after another.
///
/// # Errors
/// When it is not.
pub(super) fn check(path: &Path, dimensions: &Dimensions) -> Result<()> {
    let named = || format!("`{}`", path.display());
    let file = File::open(path).with_context(|| format!("failed to read {}", named()))?;
    let length = file.metadata()?.len();
    let (header, start) = header(file).with_context(|| format!("{} is no safetensors", named()))?;
    let end = header.values().map(|entry| entry.data_offsets.1).max().unwrap_or(0);
    let expected = start.saturating_add(end);
    ensure!(
        length == expected,
        "{} has {length} bytes where its header says {expected}: is it a part of the file?",
        named()
    );
    let expected = [
        ("model.encoder.conv1.weight", vec![dimensions.d_model, dimensions.num_mel_bins, 3]),
        ("model.decoder.embed_tokens.weight", vec![dimensions.vocab_size, dimensions.d_model]),
    ];
    for (name, shape) in expected {
        let Some(entry) = header.get(name) else { bail!("{} has no tensor `{name}`", named()) };
        ensure!(
            entry.shape == shape,
            "{}: `{name}` has the shape {:?}, and `config.json` says {shape:?}",
            named(),
            entry.shape
        );
    }
    Ok(())
}

/// The header's tensors, and where the first begins.
fn header(mut file: File) -> Result<(HashMap<String, Entry>, u64)> {
    let mut size = [0; 8];
    file.read_exact(&mut size)?;
    let size = u64::from_le_bytes(size);
    ensure!(size <= LONGEST_HEADER, "a header of {size} bytes");
    let mut text = Vec::new();
    file.take(size).read_to_end(&mut text)?;
    let mut header: HashMap<String, serde_json::Value> = serde_json::from_slice(&text)?;
    header.remove("__metadata__");
    let entry = |(name, value)| Ok((name, Entry::deserialize(value)?));
    Ok((header.into_iter().map(entry).collect::<Result<_>>()?, 8 + size))
}

/// The weights on a device, in 32 bits as they are computed with.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn load(path: &Path, device: &Device) -> Result<VarBuilder<'static>> {
    let tensors = safetensors::load(path, device)
        .with_context(|| format!("failed to load `{}`", path.display()))?;
    Ok(VarBuilder::from_tensors(tensors, DType::F32, device))
}
