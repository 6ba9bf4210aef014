//! The network of Silero VAD v6 for 16 kHz, on candle.
//!
//! A window of 512 samples, after the last 64 of the window before: short-time spectrum, four
//! convolutions, an LSTM cell, a logistic output. Only the LSTM depends on the window before, so
//! everything else is computed for many windows at once.

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};

use super::onnx::{self, Weight};

/// The sample rate of the network in Hz.
pub(crate) const SAMPLE_RATE: u32 = 16_000;
/// Samples per window: 32 ms.
pub(crate) const WINDOW: usize = 512;

const CONTEXT: usize = 64;
/// Samples mirrored after a window, so that its last spectrum frame is whole.
const REFLECTED: usize = 64;
const HOP: usize = 128;
const BINS: usize = 129;
const HIDDEN: usize = 128;
/// Windows per batch (16 s): an hour of audio must not take a gigabyte.
const BATCH: usize = 512;

/// Silero VAD.
pub(crate) struct Silero {
    /// Cosines and sines: (258, 1, 256).
    basis: Tensor,
    /// Weight (out, in, 3), bias (1, out, 1), stride.
    convolutions: [(Tensor, Tensor, usize); 4],
    /// (128, 512): the input's part of the four gates, and both biases.
    input: (Tensor, Tensor),
    /// The state's part of the four gates, transposed: 512 values for each of 128 units.
    recurrent: Vec<f32>,
    output: (Vec<f32>, f32),
}

impl Silero {
    /// Takes the weights out of `silero_vad.onnx` (or `silero_vad_16k_op15.onnx`). The
    /// `.safetensors` in Silero's wheel will not do: it is an older training.
    ///
    /// # Errors
    /// When the file is not that model.
    pub(crate) fn from_onnx(bytes: &[u8]) -> Result<Self> {
        let weights = onnx::weights(bytes)?;
        // `silero_vad.onnx` has one branch per sample rate, with the same names but for a prefix.
        const BASIS: &str = "stft.forward_basis_buffer";
        let prefix = weights
            .iter()
            .find(|weight| weight.shape == [2 * BINS, 1, 2 * HOP] && weight.name.ends_with(BASIS))
            .and_then(|weight| weight.name.strip_suffix(BASIS))
            .context("not Silero VAD for 16 kHz (`silero_vad.onnx` of silero-vad 5 or 6)")?;
        let find = |name: &str, shape: &[usize]| -> Result<&Weight> {
            let full = format!("{prefix}{name}");
            weights
                .iter()
                .find(|weight| weight.name == full && weight.shape == shape)
                .with_context(|| format!("no weight `{name}` of shape {shape:?}"))
        };
        let tensor = |name: &str, shape: &[usize]| -> Result<Tensor> {
            Ok(Tensor::from_slice(&find(name, shape)?.values, shape, &Device::Cpu)?)
        };
        let convolution = |layer: usize, inputs: usize, outputs: usize, stride: usize| {
            let name = |what| format!("encoder.{layer}.reparam_conv.{what}");
            let weight = tensor(&name("weight"), &[outputs, inputs, 3])?;
            let bias = tensor(&name("bias"), &[outputs])?.reshape((1, outputs, 1))?;
            Ok::<_, anyhow::Error>((weight, bias, stride))
        };
        let gates = 4 * HIDDEN;
        let biases =
            (tensor("decoder.rnn.bias_ih", &[gates])? + tensor("decoder.rnn.bias_hh", &[gates])?)?;
        let input = tensor("decoder.rnn.weight_ih", &[gates, HIDDEN])?.t()?.contiguous()?;
        let recurrent = tensor("decoder.rnn.weight_hh", &[gates, HIDDEN])?.t()?.contiguous()?;
        let output = find("decoder.decoder.2.weight", &[1, HIDDEN, 1])?.values.clone();
        Ok(Self {
            basis: tensor(BASIS, &[2 * BINS, 1, 2 * HOP])?,
            convolutions: [
                convolution(0, BINS, 128, 1)?,
                convolution(1, 128, 64, 2)?,
                convolution(2, 64, 64, 2)?,
                convolution(3, 64, HIDDEN, 1)?,
            ],
            input: (input, biases),
            recurrent: recurrent.flatten_all()?.to_vec1()?,
            output: (output, find("decoder.decoder.2.bias", &[1])?.values[0]),
        })
    }

    /// The probability of speech in every window; the last one is padded with zeros.
    ///
    /// # Errors
    /// None are expected: shapes were checked when the model was loaded.
    pub(crate) fn probabilities(&self, samples: &[f32]) -> Result<Vec<f32>> {
        self.batched(samples, BATCH)
    }

    fn batched(&self, samples: &[f32], batch: usize) -> Result<Vec<f32>> {
        let count = samples.len().div_ceil(WINDOW);
        let mut state = State { hidden: vec![0.0; HIDDEN], cell: vec![0.0; HIDDEN] };
        let mut probabilities = Vec::with_capacity(count);
        for first in (0..count).step_by(batch) {
            let windows = first..count.min(first + batch);
            let length = windows.len();
            let inputs = windows.flat_map(|window| padded(samples, window)).collect::<Vec<_>>();
            let width = CONTEXT + WINDOW + REFLECTED;
            let inputs = Tensor::from_vec(inputs, (length, 1, width), &Device::Cpu)?;
            let gates = self.gates(&inputs)?.flatten_all()?.to_vec1::<f32>()?;
            let steps = gates.chunks_exact(4 * HIDDEN);
            probabilities.extend(steps.map(|gates| self.step(gates, &mut state)));
        }
        Ok(probabilities)
    }

    /// What of the LSTM's gates does not depend on its state: (windows, 512).
    fn gates(&self, inputs: &Tensor) -> Result<Tensor> {
        let spectrum = inputs.conv1d(&self.basis, 0, HOP, 1, 1)?;
        let (real, imaginary) = (spectrum.narrow(1, 0, BINS)?, spectrum.narrow(1, BINS, BINS)?);
        let mut x = (real.sqr()? + imaginary.sqr()?)?.sqrt()?;
        for (weight, bias, stride) in &self.convolutions {
            x = x.conv1d(weight, 1, *stride, 1, 1)?.broadcast_add(bias)?.relu()?;
        }
        let (weight, bias) = &self.input;
        Ok(x.squeeze(2)?.matmul(weight)?.broadcast_add(bias)?)
    }

    /// One step of the LSTM in plain Rust: as tensors of one row it would be mostly allocation.
    fn step(&self, gates: &[f32], State { hidden, cell }: &mut State) -> f32 {
        let mut gates = gates.to_vec();
        for (value, row) in hidden.iter().zip(self.recurrent.chunks_exact(4 * HIDDEN)) {
            for (gate, weight) in gates.iter_mut().zip(row) {
                *gate += value * weight;
            }
        }
        let (weights, bias) = &self.output;
        let mut logit = *bias;
        for unit in 0..HIDDEN {
            // PyTorch's order of gates: input, forget, cell, output.
            let [input, forget, new, output] = [0, 1, 2, 3].map(|k| gates[k * HIDDEN + unit]);
            cell[unit] = sigmoid(forget) * cell[unit] + sigmoid(input) * new.tanh();
            hidden[unit] = sigmoid(output) * cell[unit].tanh();
            logit += weights[unit] * hidden[unit].max(0.0);
        }
        sigmoid(logit)
    }
}

struct State {
    hidden: Vec<f32>,
    cell: Vec<f32>,
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// One window with its context before and its own end mirrored after; zeros where there is no audio.
fn padded(samples: &[f32], window: usize) -> impl Iterator<Item = f32> {
    let length = CONTEXT + WINDOW;
    let at = move |i: usize| {
        let position = (window * WINDOW + i).checked_sub(CONTEXT);
        position.and_then(|position| samples.get(position)).copied().unwrap_or(0.0)
    };
    (0..length).chain((0..REFLECTED).map(move |i| length - 2 - i)).map(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::vad::fake;

    #[test]
    fn the_size_of_a_batch_does_not_matter() {
        let silero = Silero::from_onnx(&fake::silero()).expect("a model");
        let samples: Vec<f32> = (0..5000).map(|i| ((i * i) as f32 * 1e-4).sin()).collect();
        let whole = silero.probabilities(&samples).expect("probabilities");
        assert_eq!(whole.len(), 10);
        let apart = silero.batched(&samples, 3).expect("probabilities");
        let difference = whole.iter().zip(&apart).map(|(a, b)| (a - b).abs());
        assert!(difference.fold(0.0, f32::max) < 1e-5, "{whole:?} {apart:?}");
        // The state matters: the same windows alone give something else.
        let late = silero.probabilities(&samples[5 * WINDOW..]).expect("probabilities");
        assert!((late[0] - whole[5]).abs() > 1e-4, "{late:?} {whole:?}");
    }

    #[test]
    fn a_window_has_its_past_and_its_mirrored_end() {
        let samples: Vec<f32> = (0..600).map(|i| i as f32).collect();
        let first: Vec<f32> = padded(&samples, 0).collect();
        assert_eq!(first.len(), CONTEXT + WINDOW + REFLECTED);
        assert_eq!((first[63], first[64], first[575]), (0.0, 0.0, 511.0));
        assert_eq!((first[576], first[639]), (510.0, 447.0));
        let second: Vec<f32> = padded(&samples, 1).collect();
        assert_eq!((second[0], second[64], second[151], second[152]), (448.0, 512.0, 599.0, 0.0));
    }

    #[test]
    fn another_model_is_named_as_such() {
        let other = fake::field(7, &fake::field(5, &fake::tensor("w", &[1], &[1.0])));
        let error = Silero::from_onnx(&other).map(|_| ()).expect_err("another model");
        assert!(error.to_string().starts_with("not Silero VAD for 16 kHz"), "{error}");
    }
}
