//! A Whisper checkpoint as Hugging Face lays it out: `config.json`, `tokenizer.json`,
//! `model.safetensors`, and perhaps `generation_config.json`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::weights;

/// The file by which a folder is known as such a checkpoint.
pub(crate) const CONFIG: &str = "config.json";
const GENERATION: &str = "generation_config.json";
const TOKENIZER: &str = "tokenizer.json";
const WEIGHTS: &str = "model.safetensors";

/// A checkpoint's folder, and what its small files say.
pub(super) struct Checkpoint {
    folder: PathBuf,
    pub dimensions: Dimensions,
    /// Tokens that never come.
    pub suppressed: Vec<u32>,
    /// Tokens that are not the first one.
    pub suppressed_first: Vec<u32>,
    pub multilingual: bool,
}

/// What of `config.json` describes the network.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Dimensions {
    pub num_mel_bins: usize,
    pub max_source_positions: usize,
    pub d_model: usize,
    pub encoder_attention_heads: usize,
    pub encoder_layers: usize,
    pub vocab_size: usize,
    pub max_target_positions: usize,
    pub decoder_attention_heads: usize,
    pub decoder_layers: usize,
}

/// What is about tokens: of `generation_config.json`, or in old checkpoints of `config.json`.
#[derive(Default, Deserialize)]
struct Tokens {
    suppress_tokens: Option<Vec<u32>>,
    begin_suppress_tokens: Option<Vec<u32>>,
    is_multilingual: Option<bool>,
}

#[derive(Deserialize)]
struct Config {
    model_type: String,
    #[serde(flatten)]
    tokens: Tokens,
}

/// Smaller vocabularies than this one are of models that know English only, as in OpenAI's code.
const MULTILINGUAL_VOCABULARY: usize = 51_865;

impl Checkpoint {
    /// Reads the small files, and of the weights as much as tells whether they are whole.
    ///
    /// # Errors
    /// Names the file that is missing, broken, or of another model.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        ensure!(
            folder.join(WEIGHTS).exists() || !folder.join("model.bin").exists(),
            "no `{}`; the `model.bin` there is CTranslate2's or PyTorch's. Of CTranslate2's, \
             `local/whisper_from_ct2.py` in recipes/mini_an4 makes one",
            folder.join(WEIGHTS).display()
        );
        let path = folder.join(CONFIG);
        let Config { model_type, tokens: old } = read_json(&path)?;
        ensure!(
            model_type == "whisper",
            "`{}` is of a model of type `{model_type}`; only `whisper` is known",
            path.display()
        );
        let dimensions: Dimensions = read_json(&path)?;
        dimensions.check().with_context(|| format!("`{}`", path.display()))?;
        let generation = folder.join(GENERATION);
        let new = if generation.exists() { read_json(&generation)? } else { Tokens::default() };
        let either = |new: Option<_>, old: Option<_>| new.or(old).unwrap_or_default();
        let checkpoint = Self {
            suppressed: either(new.suppress_tokens, old.suppress_tokens),
            suppressed_first: either(new.begin_suppress_tokens, old.begin_suppress_tokens),
            multilingual: new
                .is_multilingual
                .unwrap_or(dimensions.vocab_size >= MULTILINGUAL_VOCABULARY),
            folder: folder.to_owned(),
            dimensions,
        };
        let tokenizer = checkpoint.tokenizer();
        ensure!(tokenizer.is_file(), "no `{}`", tokenizer.display());
        weights::check(&checkpoint.weights(), &checkpoint.dimensions)?;
        Ok(checkpoint)
    }

    /// `tokenizer.json`.
    pub(super) fn tokenizer(&self) -> PathBuf {
        self.folder.join(TOKENIZER)
    }

    /// `model.safetensors`.
    pub(super) fn weights(&self) -> PathBuf {
        self.folder.join(WEIGHTS)
    }
}

/// The files of a checkpoint that results depend on.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let files = [CONFIG, GENERATION, TOKENIZER, WEIGHTS].map(|name| folder.join(name));
    files.into_iter().filter(|path| !path.ends_with(GENERATION) || path.exists()).collect()
}

impl Dimensions {
    fn check(&self) -> Result<()> {
        for heads in [self.encoder_attention_heads, self.decoder_attention_heads] {
            ensure!(
                heads > 0 && self.d_model >= 4 && self.d_model.is_multiple_of(2 * heads),
                "`d_model` of {} with {heads} attention heads",
                self.d_model
            );
        }
        ensure!(
            self.num_mel_bins > 0 && self.max_source_positions > 0 && self.vocab_size > 0,
            "a network without mel bins, positions or tokens"
        );
        ensure!(
            self.max_target_positions >= 16,
            "`max_target_positions` of {} has no room for a transcript",
            self.max_target_positions
        );
        Ok(())
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("`{}`", path.display()))
}
