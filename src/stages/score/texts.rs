//! The utterances that are scored: references with their hypotheses.

use std::collections::{HashMap, HashSet};
use std::mem::take;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use super::provider::ScoreProvider;
use crate::names::listed;
use crate::stages::command::manifest::Manifest;
use crate::{Dataset, Inputs};

/// One utterance of the reference.
#[derive(Debug, PartialEq)]
pub(super) struct Pair {
    pub utt_id: String,
    pub speaker: Option<String>,
    pub reference: String,
    pub hypothesis: Option<String>,
    /// Of the reference and the hypothesis, where they were given.
    pub tokens: Option<(String, Option<String>)>,
}

/// All utterances of the reference, in its order.
pub struct Pairs {
    pairs: Vec<Pair>,
    inputs: Inputs,
}

impl Pairs {
    /// Reads all files that the parameters name.
    ///
    /// # Errors
    /// Names the file and line of the first thing wrong: a malformed line, an id twice, a
    /// hypothesis of an utterance that the reference does not have.
    pub(super) fn read(params: &ScoreProvider) -> Result<Self> {
        let mut inputs = Inputs::default();
        let mut read = |name: &str, path: &Path, field: &str| {
            let texts = Texts::read(path, field)?;
            inputs = take(&mut inputs).bytes(name, texts.bytes());
            Ok::<_, anyhow::Error>(texts)
        };
        let reference = read("ref", &params.reference, &params.field)?;
        let hyp_field = params.hyp_field.as_ref().unwrap_or(&params.field);
        let mut hypotheses = read("hyp", &params.hyp, hyp_field)?.of(&reference)?.into_map();
        let mut tokens = match (&params.ref_tokens, &params.hyp_tokens) {
            (Some(ref_tokens), Some(hyp_tokens)) => {
                let of_hypotheses = read("hyp_tokens", hyp_tokens, &params.tokens_field)?;
                let of_hypotheses = of_hypotheses.of(&reference)?.into_map();
                let of_references = read("ref_tokens", ref_tokens, &params.tokens_field)?;
                Some((ref_tokens, of_references.into_map(), of_hypotheses))
            }
            _ => None,
        };
        let mut speakers = match params.utt2spk() {
            Some(utt2spk) => read("utt2spk", &utt2spk, "speaker")?.into_map(),
            None => HashMap::new(),
        };
        let mut pairs = Vec::with_capacity(reference.lines.len());
        for Text { utt_id, text, speaker, place } in reference.lines {
            let tokens = match &mut tokens {
                Some((path, of_references, of_hypotheses)) => {
                    let Some(of_reference) = of_references.remove(&utt_id) else {
                        bail!("{place}: `{utt_id}` has no tokens in {}", path.display());
                    };
                    Some((of_reference, of_hypotheses.remove(&utt_id)))
                }
                None => None,
            };
            let speaker = speakers.remove(&utt_id).or(speaker);
            let hypothesis = hypotheses.remove(&utt_id);
            pairs.push(Pair { utt_id, speaker, reference: text, hypothesis, tokens });
        }
        Ok(Self { pairs, inputs })
    }

    pub(super) fn get(&self, idx: u64) -> Option<&Pair> {
        self.pairs.get(usize::try_from(idx).ok()?)
    }
}

impl Dataset for Pairs {
    fn len(&self) -> u64 {
        self.pairs.len() as u64
    }

    fn item_name(&self, idx: u64) -> Option<String> {
        Some(self.get(idx)?.utt_id.clone())
    }

    /// All files, as they were read.
    fn inputs(&self) -> Inputs {
        self.inputs.clone()
    }
}

struct Text {
    utt_id: String,
    text: String,
    speaker: Option<String>,
    /// File and line.
    place: String,
}

/// A file with a text for each utterance.
struct Texts {
    manifest: Manifest,
    lines: Vec<Text>,
}

impl Texts {
    /// Reads a Kaldi `text` file, or the column `field` of a table or of JSON lines.
    fn read(path: &Path, field: &str) -> Result<Self> {
        let manifest = Manifest::read(path)?;
        let column = match manifest.is_scp() {
            true => manifest.columns().last().unwrap_or_default().to_owned(),
            false => field.to_owned(),
        };
        let line = |idx| {
            let row = manifest.row(idx)?;
            let text = match row.get(&column) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Array(words)) if words.iter().all(Value::is_string) => {
                    words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
                }
                Some(_) => bail!("{}: `{column}` is no text", manifest.place(idx)),
                None => {
                    let known = listed(row.keys().map(String::as_str));
                    let place = manifest.place(idx);
                    bail!("{place}: there is no `{column}` to score; there are {known}")
                }
            };
            let speaker = row.get("speaker").and_then(Value::as_str).map(str::to_owned);
            let utt_id = manifest.id(idx, &row)?;
            Ok(Text { utt_id, text, speaker, place: manifest.place(idx) })
        };
        let lines = (0..manifest.len()).map(line).collect::<Result<_>>()?;
        Ok(Self { manifest, lines })
    }

    /// Checks that it has no utterance but those of a reference.
    fn of(self, reference: &Self) -> Result<Self> {
        let known: HashSet<&str> = reference.lines.iter().map(|it| it.utt_id.as_str()).collect();
        for Text { utt_id, place, .. } in &self.lines {
            ensure!(
                known.contains(utt_id.as_str()),
                "{place}: the reference {} has no utterance `{utt_id}`",
                reference.manifest.path().display()
            );
        }
        Ok(self)
    }

    fn bytes(&self) -> &[u8] {
        self.manifest.bytes()
    }

    fn into_map(self) -> HashMap<String, String> {
        self.lines.into_iter().map(|line| (line.utt_id, line.text)).collect()
    }
}
