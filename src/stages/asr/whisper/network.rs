//! Whisper's network on candle: Hugging Face's names of tensors, OpenAI's shapes.
//!
//! candle-transformers has this network too. Its decoder computes all tokens anew for each new one, which
//! took twice the time of everything else on dense speech; here what they were is kept.

use candle_core::{Device, Module, Result, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_nn::{
    Conv1d, Conv1dConfig, Embedding, LayerNorm, Linear, VarBuilder, conv1d, embedding, layer_norm,
    linear, linear_no_bias,
};

use super::checkpoint::Dimensions;

const EPSILON: f64 = 1e-5;

/// On a processor, so many positions look at others at once. All 1500 made a tensor of 54 MB in each layer,
/// which the allocator asks the system for anew: a fifth of the whole time.
const AT_ONCE: usize = 128;

/// Keys and values of all positions so far: (pieces, heads, positions, head size) each.
type Kept = (Tensor, Tensor);

struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm: LayerNorm,
    heads: usize,
}

impl Attention {
    fn load(size: usize, heads: usize, vb: &VarBuilder, name: &str) -> Result<Self> {
        let (norm, vb) = (vb.pp(format!("{name}_layer_norm")), vb.pp(name));
        Ok(Self {
            query: linear(size, size, vb.pp("q_proj"))?,
            key: linear_no_bias(size, size, vb.pp("k_proj"))?,
            value: linear(size, size, vb.pp("v_proj"))?,
            out: linear(size, size, vb.pp("out_proj"))?,
            norm: layer_norm(size, EPSILON, norm)?,
            heads,
        })
    }

    /// (pieces, positions, size) as (pieces, heads, positions, head size).
    fn by_head(&self, x: &Tensor) -> Result<Tensor> {
        let (pieces, positions, size) = x.dims3()?;
        let shape = (pieces, positions, self.heads, size / self.heads);
        x.reshape(shape)?.transpose(1, 2)?.contiguous()
    }

    fn keys_and_values(&self, x: &Tensor) -> Result<Kept> {
        Ok((self.by_head(&self.key.forward(x)?)?, self.by_head(&self.value.forward(x)?)?))
    }

    /// What `x`, after its norm, finds in some positions; the mask is added to its attention.
    fn attend(&self, x: &Tensor, kept: &Kept, mask: Option<&Tensor>) -> Result<Tensor> {
        let (pieces, positions, size) = x.dims3()?;
        let scale = ((size / self.heads) as f64).powf(-0.5);
        let query = self.by_head(&(self.query.forward(x)? * scale)?)?;
        let found = if mask.is_none() && x.device().is_cpu() && positions > AT_ONCE {
            let block = |start| {
                let count = AT_ONCE.min(positions - start);
                found(&query.narrow(2, start, count)?.contiguous()?, kept, None)
            };
            let blocks = (0..positions).step_by(AT_ONCE).map(block).collect::<Result<Vec<_>>>()?;
            Tensor::cat(&blocks, 2)?
        } else {
            found(&query, kept, mask)?
        };
        self.out.forward(&found.transpose(1, 2)?.reshape((pieces, positions, size))?)
    }
}

/// What queries find among keys.
fn found(query: &Tensor, (keys, values): &Kept, mask: Option<&Tensor>) -> Result<Tensor> {
    let mut scores = query.matmul(&keys.t()?)?;
    if let Some(mask) = mask {
        scores = scores.broadcast_add(mask)?;
    }
    softmax_last_dim(&scores)?.matmul(values)
}

struct FeedForward {
    first: Linear,
    second: Linear,
    norm: LayerNorm,
}

impl FeedForward {
    fn load(size: usize, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            first: linear(size, 4 * size, vb.pp("fc1"))?,
            second: linear(4 * size, size, vb.pp("fc2"))?,
            norm: layer_norm(size, EPSILON, vb.pp("final_layer_norm"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = self.first.forward(&self.norm.forward(x)?)?.gelu_erf()?;
        x + self.second.forward(&hidden)?
    }
}

/// Makes positions of features.
pub(super) struct Encoder {
    convolutions: [Conv1d; 2],
    positions: Tensor,
    layers: Vec<(Attention, FeedForward)>,
    norm: LayerNorm,
}

impl Encoder {
    pub(super) fn load(dimensions: &Dimensions, vb: &VarBuilder) -> Result<Self> {
        let vb = vb.pp("model.encoder");
        let size = dimensions.d_model;
        let convolution = |name, inputs, stride| {
            let config = Conv1dConfig { padding: 1, stride, ..Conv1dConfig::default() };
            conv1d(inputs, size, 3, config, vb.pp(name))
        };
        let layer = |index: usize| {
            let vb = vb.pp(format!("layers.{index}"));
            let heads = dimensions.encoder_attention_heads;
            Ok((Attention::load(size, heads, &vb, "self_attn")?, FeedForward::load(size, &vb)?))
        };
        Ok(Self {
            convolutions: [
                convolution("conv1", dimensions.num_mel_bins, 1)?,
                convolution("conv2", size, 2)?,
            ],
            positions: vb.get((dimensions.max_source_positions, size), "embed_positions.weight")?,
            layers: (0..dimensions.encoder_layers).map(layer).collect::<Result<_>>()?,
            norm: layer_norm(size, EPSILON, vb.pp("layer_norm"))?,
        })
    }

    /// (pieces, mel bins, frames) to (pieces, positions, size), two frames a position.
    pub(super) fn forward(&self, mels: &Tensor) -> Result<Tensor> {
        let mut x = mels.clone();
        for convolution in &self.convolutions {
            x = convolution.forward(&x)?.gelu_erf()?;
        }
        let mut x = x.transpose(1, 2)?.contiguous()?.broadcast_add(&self.positions)?;
        for (attention, feed_forward) in &self.layers {
            let normed = attention.norm.forward(&x)?;
            let kept = attention.keys_and_values(&normed)?;
            x = feed_forward.forward(&(x + attention.attend(&normed, &kept, None)?)?)?;
        }
        self.norm.forward(&x)
    }
}

struct DecoderLayer {
    own: Attention,
    across: Attention,
    feed_forward: FeedForward,
}

/// Makes tokens of the encoder's positions and of the tokens before.
pub(super) struct Decoder {
    embedding: Embedding,
    positions: Tensor,
    layers: Vec<DecoderLayer>,
    norm: LayerNorm,
}

/// What the decoder has seen so far.
pub(super) struct State {
    /// Of each layer: of the tokens, and of the audio.
    layers: Vec<(Option<Kept>, Kept)>,
    tokens: usize,
}

impl Decoder {
    pub(super) fn load(dimensions: &Dimensions, vb: &VarBuilder) -> Result<Self> {
        let vb = vb.pp("model.decoder");
        let size = dimensions.d_model;
        let layer = |index: usize| {
            let vb = vb.pp(format!("layers.{index}"));
            let heads = dimensions.decoder_attention_heads;
            Ok(DecoderLayer {
                own: Attention::load(size, heads, &vb, "self_attn")?,
                across: Attention::load(size, heads, &vb, "encoder_attn")?,
                feed_forward: FeedForward::load(size, &vb)?,
            })
        };
        Ok(Self {
            embedding: embedding(dimensions.vocab_size, size, vb.pp("embed_tokens"))?,
            positions: vb.get((dimensions.max_target_positions, size), "embed_positions.weight")?,
            layers: (0..dimensions.decoder_layers).map(layer).collect::<Result<_>>()?,
            norm: layer_norm(size, EPSILON, vb.pp("layer_norm"))?,
        })
    }

    /// The state before the first token, for what the encoder made of some pieces.
    pub(super) fn start(&self, encoded: &Tensor) -> Result<State> {
        let layer = |layer: &DecoderLayer| Ok((None, layer.across.keys_and_values(encoded)?));
        Ok(State { layers: self.layers.iter().map(layer).collect::<Result<_>>()?, tokens: 0 })
    }

    /// Takes the next tokens, (pieces, tokens), and gives the logits of those after them, (pieces,
    /// vocabulary).
    pub(super) fn forward(&self, tokens: &Tensor, state: &mut State) -> Result<Tensor> {
        let (_, count) = tokens.dims2()?;
        let positions = self.positions.narrow(0, state.tokens, count)?;
        let mut x = self.embedding.forward(tokens)?.broadcast_add(&positions)?;
        // A single token may look at all that were before it.
        let mask =
            if count > 1 { Some(causal(count, state.tokens, tokens.device())?) } else { None };
        for (layer, (own, audio)) in self.layers.iter().zip(&mut state.layers) {
            let normed = layer.own.norm.forward(&x)?;
            let new = layer.own.keys_and_values(&normed)?;
            let kept = match own.take() {
                Some((keys, values)) => {
                    (Tensor::cat(&[&keys, &new.0], 2)?, Tensor::cat(&[&values, &new.1], 2)?)
                }
                None => new,
            };
            x = (&x + layer.own.attend(&normed, &kept, mask.as_ref())?)?;
            *own = Some(kept);
            let normed = layer.across.norm.forward(&x)?;
            x = (&x + layer.across.attend(&normed, audio, None)?)?;
            x = layer.feed_forward.forward(&x)?;
        }
        state.tokens += count;
        let last = self.norm.forward(&x.narrow(1, count - 1, 1)?.squeeze(1)?)?;
        last.matmul(&self.embedding.embeddings().t()?)
    }
}

/// Minus infinity where one of `count` new tokens would look at a later one; `before` are there already.
fn causal(count: usize, before: usize, device: &Device) -> Result<Tensor> {
    let length = before + count;
    let at = |index: usize| {
        if index % length > before + index / length { f32::NEG_INFINITY } else { 0.0 }
    };
    let mask: Vec<f32> = (0..count * length).map(at).collect();
    Tensor::from_vec(mask, (count, length), device)
}
