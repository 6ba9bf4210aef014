//! The speaker encoder of Resemblyzer on candle, trained by the GE2E loss (Wan et al., "Generalized
//! end-to-end loss for speaker verification", 2018): an LSTM of three layers, a linear layer on its
//! last state, ReLU, length one.

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor, safetensors};

use super::front_end::{MELS, PARTIAL};

/// Values of an embedding, and of the LSTM's state.
pub(super) const DIM: usize = 256;
const LAYERS: usize = 3;
const GATES: usize = 4 * DIM;
/// Partial utterances computed at once (40 s): an hour of audio must not take gigabytes.
const BATCH: usize = 32;

/// The network.
pub(super) struct Ge2e {
    layers: Vec<Layer>,
    /// Weight, transposed (256, 256), and bias.
    linear: (Tensor, Tensor),
}

struct Layer {
    /// The input's part of the gates (inputs, 1024), and both biases.
    input: (Tensor, Tensor),
    /// The state's part: (256, 1024).
    recurrent: Tensor,
}

impl Ge2e {
    /// Takes the weights out of a safetensors file with PyTorch's names of them.
    ///
    /// # Errors
    /// When the file is not that model.
    pub(super) fn from_safetensors(bytes: &[u8]) -> Result<Self> {
        let weights = safetensors::load_buffer(bytes, &Device::Cpu)
            .context("not a safetensors file (Resemblyzer's `pretrained.pt` must be converted)")?;
        let find = |name: &str, shape: &[usize]| -> Result<Tensor> {
            let weight = weights.get(name).filter(|weight| weight.dims() == shape);
            let Some(weight) = weight.filter(|weight| weight.dtype() == DType::F32) else {
                bail!("not a GE2E speaker encoder: no float weight `{name}` of shape {shape:?}");
            };
            Ok(weight.clone())
        };
        let layer = |layer: usize| {
            let inputs = if layer == 0 { MELS } else { DIM };
            let biases = ["ih", "hh"].map(|of| find(&format!("lstm.bias_{of}_l{layer}"), &[GATES]));
            let [input, recurrent] = biases;
            let bias = (input? + recurrent?)?;
            let input = find(&format!("lstm.weight_ih_l{layer}"), &[GATES, inputs])?;
            let recurrent = find(&format!("lstm.weight_hh_l{layer}"), &[GATES, DIM])?;
            let input = (input.t()?.contiguous()?, bias);
            Ok(Layer { input, recurrent: recurrent.t()?.contiguous()? })
        };
        let linear = find("linear.weight", &[DIM, DIM])?.t()?.contiguous()?;
        Ok(Self {
            layers: (0..LAYERS).map(layer).collect::<Result<_>>()?,
            linear: (linear, find("linear.bias", &[DIM])?),
        })
    }

    /// The embedding of an utterance: the mean of those of its partial utterances, which start at these
    /// frames of `mels`, with length one.
    ///
    /// # Errors
    /// When there is none: a network of noughts would make it so.
    pub(super) fn embed(&self, mels: &[f32], starts: &[usize]) -> Result<Vec<f32>> {
        let mut sum = vec![0.0; DIM];
        for starts in starts.chunks(BATCH) {
            for partial in self.partials(mels, starts)?.chunks_exact_mut(DIM) {
                normalize(partial)?;
                sum.iter_mut().zip(&*partial).for_each(|(sum, value)| *sum += value);
            }
        }
        normalize(&mut sum)?;
        Ok(sum)
    }

    /// The output for each partial utterance, before it has length one.
    fn partials(&self, mels: &[f32], starts: &[usize]) -> Result<Vec<f32>> {
        // Frame by frame, and in each frame partial by partial.
        let frames = (0..PARTIAL).flat_map(|frame| starts.iter().map(move |start| start + frame));
        let input: Vec<f32> =
            frames.flat_map(|frame| &mels[frame * MELS..][..MELS]).copied().collect();
        let shape = (PARTIAL * starts.len(), MELS);
        let mut x = Tensor::from_vec(input, shape, &Device::Cpu)?;
        for layer in &self.layers {
            x = layer.forward(&x, starts.len())?;
        }
        let last = x.narrow(0, (PARTIAL - 1) * starts.len(), starts.len())?;
        let (weight, bias) = &self.linear;
        Ok(last.matmul(weight)?.broadcast_add(bias)?.relu()?.flatten_all()?.to_vec1()?)
    }
}

impl Layer {
    /// The states after each frame, for so many partial utterances: (frames * partials, 256).
    fn forward(&self, x: &Tensor, partials: usize) -> Result<Tensor> {
        let (weight, bias) = &self.input;
        // What does not depend on the state, for all frames at once.
        let gates = x.matmul(weight)?.broadcast_add(bias)?;
        let mut hidden = Tensor::zeros((partials, DIM), DType::F32, &Device::Cpu)?;
        let mut cells = vec![0.0; partials * DIM];
        let mut states = Vec::with_capacity(PARTIAL * partials * DIM);
        for frame in 0..PARTIAL {
            let gates = gates.narrow(0, frame * partials, partials)?;
            let gates = (gates + hidden.matmul(&self.recurrent)?)?.flatten_all()?.to_vec1()?;
            let start = states.len();
            for (gates, cells) in gates.chunks_exact(GATES).zip(cells.chunks_exact_mut(DIM)) {
                states.extend(step(gates, cells));
            }
            hidden = Tensor::from_slice(&states[start..], (partials, DIM), &Device::Cpu)?;
        }
        Ok(Tensor::from_vec(states, (PARTIAL * partials, DIM), &Device::Cpu)?)
    }
}

/// One step of an LSTM: its new state. PyTorch's order of gates: input, forget, cell, output.
fn step(gates: &[f32], cells: &mut [f32]) -> impl Iterator<Item = f32> {
    cells.iter_mut().enumerate().map(|(unit, cell)| {
        let [input, forget, new, output] = [0, 1, 2, 3].map(|gate| gates[gate * DIM + unit]);
        *cell = sigmoid(forget) * *cell + sigmoid(input) * new.tanh();
        sigmoid(output) * cell.tanh()
    })
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn normalize(values: &mut [f32]) -> Result<()> {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    if !(length > 0.0 && length.is_finite()) {
        bail!("the network gives no embedding for it");
    }
    values.iter_mut().for_each(|value| *value /= length);
    Ok(())
}
