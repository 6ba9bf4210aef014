//! The stage `score`: word, character and token error rates.

mod align;
mod clean;
mod pra;
mod report;
mod table;
#[cfg(test)]
mod tests;
mod texts;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::lines::read_text;
use crate::{CompleteRun, Env, InferenceProvider, Inputs, Record, Runner};
use align::{Counts, align};
use clean::{Case, Cleaner};
use texts::{Pair, Pairs};

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
    fn utt2spk(&self) -> Option<PathBuf> {
        let beside = self.reference.with_file_name("utt2spk");
        self.utt2spk.clone().or_else(|| beside.is_file().then_some(beside))
    }
}

/// What is compared, and how.
pub struct Model {
    cleaner: Cleaner,
    missing: Missing,
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
        Inputs::default()
            .file("ref", self.reference.as_path())?
            .file("hyp", self.hyp.as_path())?
            .file("ref_tokens", self.ref_tokens.as_deref())?
            .file("hyp_tokens", self.hyp_tokens.as_deref())?
            .file("utt2spk", self.utt2spk().as_deref())?
            .file("nlsyms_txt", self.nlsyms_txt.as_deref())
    }
}

/// The runner of `score`: the errors of one hypothesis. Its merge makes them error rates.
///
/// ```
/// use espnet3_par::stages::Score;
/// use espnet3_par::{CompleteRun, EnvironmentProvider, Runner};
/// use serde_json::json;
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// std::fs::write(folder.join("text"), "utt1 the cat sat\n")?;
/// std::fs::write(folder.join("hyp"), "utt1 the bat sat down\n")?;
/// type Provider = <Score as Runner>::Provider;
/// // The section `score:` of a config.
/// let section = json!({"ref": folder.join("text"), "hyp": folder.join("hyp")});
/// let provider: Provider = serde_json::from_value(section)?;
/// let record = Score::forward(0, &provider.build_env_local()?)?;
/// assert_eq!(record.get::<String>("ref")?, "the cat sat ****");
/// assert_eq!(record.get::<String>("hyp")?, "the bat sat down");
///
/// let records = &mut [Ok(record)].into_iter();
/// let run = CompleteRun { provider: &provider, records, failed: &[], output_dir: folder };
/// Score::merge(run)?;
/// let result = std::fs::read_to_string(folder.join("result.txt"))?;
/// assert!(result.starts_with("%WER 66.67 [ 2 / 3, 1 ins, 0 del, 1 sub ]\n"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub struct Score;

#[derive(Serialize)]
struct Item<'a> {
    utt_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<&'a str>,
    /// That there is no hypothesis.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    missing: bool,
    wer: Counts,
    cer: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    ter: Option<Counts>,
    #[serde(rename = "ref")]
    reference: String,
    hyp: String,
    eval: String,
}

impl Runner for Score {
    type Provider = ScoreProvider;

    fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
        let Pair { utt_id, speaker, reference, hypothesis, tokens } =
            env.dataset.get(idx).with_context(|| format!("there is no utterance {idx}"))?;
        let Model { cleaner, missing } = &env.model;
        if hypothesis.is_none() && *missing == Missing::Error {
            bail!("no hypothesis");
        }
        let said = cleaner.words(reference);
        let heard = cleaner.words(hypothesis.as_deref().unwrap_or_default());
        let words = align(&said, &heard);
        let [reference, hyp, eval] = pra::lines(&words, &said, &heard);
        let characters = |words: &[String]| words.join(" ").chars().collect::<Vec<_>>();
        let ter = tokens.as_ref().map(|(said, heard)| {
            let said: Vec<_> = said.split_whitespace().collect();
            let heard: Vec<_> = heard.as_deref().unwrap_or_default().split_whitespace().collect();
            Counts::of(&align(&said, &heard))
        });
        Record::new(Item {
            utt_id,
            speaker: speaker.as_deref(),
            missing: hypothesis.is_none(),
            wer: Counts::of(&words),
            cer: Counts::of(&align(&characters(&said), &characters(&heard))),
            ter,
            reference,
            hyp,
            eval,
        })
    }

    /// Writes `score.json` and `result.txt`.
    fn merge(run: CompleteRun<'_, Self::Provider>) -> Result<()> {
        report::write(run)
    }
}
