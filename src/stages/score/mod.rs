//! The stage `score`: word, character and token error rates.

mod align;
mod clean;
mod pra;
mod provider;
mod report;
mod table;
#[cfg(test)]
mod tests;
mod texts;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::{CompleteRun, Env, Record, Runner};
use align::{Counts, align};
use provider::{Missing, Model, ScoreProvider};
use texts::Pair;

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
