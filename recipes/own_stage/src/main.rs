use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::PathBuf;
use std::process::ExitCode;

use espnet3_par::{Env, EnvironmentProvider, Inputs, Items, Record, Result, Runner, Stage};
use serde_json::json;

/// The parameters: the section `oov:` of the config.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct OovProvider {
    /// Lines of `UTT_ID WORD WORD …`.
    text: PathBuf,
    /// One known word a line.
    lexicon: PathBuf,
}

impl EnvironmentProvider for OovProvider {
    /// The lines of the text, and the known words.
    type Env = (Vec<String>, BTreeSet<String>);

    // The driver calls this one, so it builds no env.
    fn items(&self) -> Result<Items> {
        let inputs =
            Inputs::default().file("text", &*self.text)?.file("lexicon", &*self.lexicon)?;
        let len = read_to_string(&self.text)?.lines().count() as u64;
        Ok(Items { inputs, ..Items::new(len) })
    }

    // Each worker calls this one, once.
    fn build_env_local(&self) -> Result<Self::Env> {
        let [text, lexicon] = [read_to_string(&self.text)?, read_to_string(&self.lexicon)?];
        let lines = text.lines().map(str::to_owned).collect();
        Ok((lines, lexicon.lines().map(str::to_owned).collect()))
    }

    fn item_name(idx: u64, (lines, _): &Self::Env) -> Option<String> {
        lines[idx as usize].split_whitespace().next().map(str::to_owned)
    }
}

struct Oov;

impl Runner for Oov {
    type Provider = OovProvider;

    fn forward(idx: u64, (lines, known): &Env<Self>) -> Result<Record> {
        let mut words = lines[idx as usize].split_whitespace();
        let utt_id = words.next();
        let words: Vec<&str> = words.collect();
        anyhow::ensure!(!words.is_empty(), "no words");
        let oov: Vec<&&str> = words.iter().filter(|word| !known.contains(**word)).collect();
        Record::new(json!({"utt_id": utt_id, "words": words.len(), "oov": oov}))
    }
}

static STAGES: &[Stage] = &[Stage::new::<Oov>("oov", "words that the lexicon does not have")];

fn main() -> ExitCode {
    espnet3_par::main(STAGES)
}
