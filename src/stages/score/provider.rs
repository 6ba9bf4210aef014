//! The parameters of the stage `score`, and what they make.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use serde::Deserialize;

use super::clean::{Case, Cleaner};
use super::texts::Pairs;
use crate::lines::read_text;
use crate::{InferenceProvider, Inputs};

/// The parameters of `score`, the section of that name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreProvider {
    /// What was said: a Kaldi `text` file, `*.tsv` or `*.jsonl`.
    #[serde(rename = "ref")]
    pub reference: PathBuf,
    /// What was recognised, such as `results.jsonl` of another stage.
    pub hyp: PathBuf,
    /// The field with the text, in TSV and JSONL.
    #[serde(default = "default::field")]
    pub field: String,
    /// The same for `hyp`, where it has another name.
    pub hyp_field: Option<String>,
    /// The reference in tokens with blanks between, for the token error rate.
    pub ref_tokens: Option<PathBuf>,
    /// The hypotheses in tokens.
    pub hyp_tokens: Option<PathBuf>,
    /// The field with the tokens, in TSV and JSONL.
    #[serde(default = "default::tokens_field")]
    pub tokens_field: String,
    /// Kaldi's file of that name; by default the one beside `ref`, if any.
    pub utt2spk: Option<PathBuf>,
    /// What becomes of an utterance without a hypothesis.
    #[serde(default)]
    pub missing: Missing,
    /// Compare lower-case letters.
    #[serde(default)]
    pub lowercase: bool,
    /// Compare capital letters.
    #[serde(default)]
    pub uppercase: bool,
    /// Compare without punctuation.
    #[serde(default)]
    pub remove_punctuation: bool,
    /// A file of words that do not count, one a line, such as `<noise>`.
    pub nlsyms_txt: Option<PathBuf>,
}

/// What becomes of an utterance without a hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// Nothing was recognised: all of it was deleted.
    #[default]
    Deletions,
    /// Its item fails, and is not in the sums.
    Error,
}

mod default {
    pub(super) fn field() -> String {
        "text".to_owned()
    }
    pub(super) fn tokens_field() -> String {
        "tokens".to_owned()
    }
}

impl ScoreProvider {
    /// The file with the speakers.
    pub(super) fn utt2spk(&self) -> Option<PathBuf> {
        let beside = self.reference.with_file_name("utt2spk");
        self.utt2spk.clone().or_else(|| beside.is_file().then_some(beside))
    }
}

/// What is compared, and how.
pub struct Model {
    pub(super) cleaner: Cleaner,
    pub(super) missing: Missing,
}

impl InferenceProvider for ScoreProvider {
    type Dataset = Pairs;
    type Model = Model;

    fn build_dataset(&self) -> Result<Pairs> {
        Pairs::read(self)
    }

    fn build_model(&self) -> Result<Model> {
        let case = match (self.lowercase, self.uppercase) {
            (false, false) => None,
            (true, false) => Some(Case::Lower),
            (false, true) => Some(Case::Upper),
            (true, true) => bail!("`lowercase` and `uppercase`: it can only be one of them"),
        };
        let symbols = self.nlsyms_txt.as_deref().map(read_text).transpose()?.unwrap_or_default();
        let non_linguistic_symbols = symbols.split_whitespace().map(str::to_owned).collect();
        let remove_punctuation = self.remove_punctuation;
        let cleaner = Cleaner { case, remove_punctuation, non_linguistic_symbols };
        Ok(Model { cleaner, missing: self.missing })
    }

    fn validate(&self) -> Result<()> {
        ensure!(
            self.ref_tokens.is_some() == self.hyp_tokens.is_some(),
            "`ref_tokens` and `hyp_tokens` are compared: give both or none"
        );
        self.build_model().map(drop)
    }

    fn inputs(&self) -> Result<Inputs> {
        Inputs::default().file("nlsyms_txt", self.nlsyms_txt.as_deref())
    }
}
