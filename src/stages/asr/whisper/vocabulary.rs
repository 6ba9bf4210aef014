//! Whisper's tokens: how a transcript begins, which may not come, and what they mean.

use std::fs;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use tokenizers::Tokenizer;

use super::checkpoint::Checkpoint;

/// Tokens and their meaning.
pub(super) struct Vocabulary {
    tokenizer: Tokenizer,
    /// What the decoder is given before the first token.
    pub prompt: Vec<u32>,
    /// Ends a transcript.
    pub end: u32,
}

/// What is wanted of a checkpoint that knows many languages.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    /// Whisper's code for the language: `en`, `de`, …
    pub language: Option<&'a str>,
    /// `transcribe`, or `translate` into English.
    pub task: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// The names of the tokens that say so.
    ///
    /// # Errors
    /// When the checkpoint cannot do it, or must be told more.
    pub(super) fn tokens(self, multilingual: bool) -> Result<Vec<&'a str>> {
        if !multilingual {
            let english = self.language.is_none_or(|language| language == "en");
            let transcribe = self.task.is_none_or(|task| task == "transcribe");
            ensure!(english && transcribe, "this checkpoint only transcribes, and only English");
            return Ok(Vec::new());
        }
        let language = self
            .language
            .context("this checkpoint knows many languages: `language: en`, say, chooses one")?;
        let task = self.task.unwrap_or("transcribe");
        ensure!(
            ["transcribe", "translate"].contains(&task),
            "`task: {task}`: it is `transcribe` or `translate`"
        );
        Ok(vec![language, task])
    }
}

/// What of `tokenizer.json` is looked at without making a tokenizer, which takes longer.
#[derive(Deserialize)]
struct Special {
    added_tokens: Vec<Token>,
}

#[derive(Deserialize)]
struct Token {
    content: String,
}

/// Whether a checkpoint can do what is wanted.
///
/// # Errors
/// When it cannot, or must be told more.
pub(super) fn check(checkpoint: &Checkpoint, wanted: Wanted<'_>) -> Result<()> {
    let names = wanted.tokens(checkpoint.multilingual)?;
    let path = checkpoint.tokenizer();
    let named = || format!("`{}`", path.display());
    let text = fs::read(&path).with_context(named)?;
    let Special { added_tokens } = serde_json::from_slice(&text).with_context(named)?;
    for name in names {
        let token = format!("<|{name}|>");
        let known = added_tokens.iter().any(|known| known.content == token);
        ensure!(known, "{} has no token `{token}`", named());
    }
    Ok(())
}

impl Vocabulary {
    /// Reads `tokenizer.json` of a checkpoint.
    ///
    /// # Errors
    /// When it is none, or does not have what is wanted.
    pub(super) fn load(checkpoint: &Checkpoint, wanted: Wanted<'_>) -> Result<Self> {
        let path = checkpoint.tokenizer();
        let named = || format!("`{}`", path.display());
        let tokenizer = Tokenizer::from_file(&path).map_err(|error| anyhow!(error));
        let tokenizer = tokenizer.with_context(named)?;
        let id = |name: &str| {
            let token = format!("<|{name}|>");
            let id = tokenizer.token_to_id(&token);
            id.with_context(|| format!("{} has no token `{token}`", named()))
        };
        let names = wanted.tokens(checkpoint.multilingual)?;
        let names = [&["startoftranscript"], &names[..], &["notimestamps"]].concat();
        let prompt = names.into_iter().map(id).collect::<Result<Vec<_>>>()?;
        let end = id("endoftext")?;
        let size = checkpoint.dimensions.vocab_size;
        if let Some(id) = prompt.iter().chain([&end]).find(|id| **id as usize >= size) {
            bail!("{} has a token {id}, and the model has {size}", named());
        }
        Ok(Self { tokenizer, prompt, end })
    }

    /// The text of tokens, with single spaces between words.
    ///
    /// # Errors
    /// None are known.
    pub(super) fn text(&self, tokens: &[u32]) -> Result<String> {
        let text = self.tokenizer.decode(tokens, true).map_err(|error| anyhow!(error))?;
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}
