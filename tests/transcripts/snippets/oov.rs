use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use espnet3_par::{Env, EnvironmentProvider, Record, Result, Runner, Stage};
use serde_json::{Value, json};

/// The parameters: the section `oov:` of the config.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct OovProvider {
    /// Lines of `UTT_ID WORD WORD …`.
    text: PathBuf,
    /// One known word a line.
    lexicon: PathBuf,
    #[serde(default)]
    ignore_case: bool,
}

/// What `forward` works with.
struct OovEnv {
    lines: Vec<String>,
    known: BTreeSet<String>,
    ignore_case: bool,
}

impl OovProvider {
    fn lines(&self, path: &Path) -> Result<Vec<String>> {
        Ok(std::fs::read_to_string(path)?.lines().map(str::to_owned).collect())
    }
}

impl EnvironmentProvider for OovProvider {
    type Env = OovEnv;

    // The driver calls these three, so they build no model.
    fn num_items(&self) -> Result<u64> {
        Ok(self.lines(&self.text)?.len() as u64)
    }

    fn costs(&self) -> Result<Option<Vec<f64>>> {
        let lines = self.lines(&self.text)?;
        Ok(Some(lines.iter().map(|line| line.len() as f64).collect()))
    }

    fn inputs(&self) -> Result<Value> {
        Ok(json!({"lexicon_bytes": std::fs::metadata(&self.lexicon)?.len()}))
    }

    // Each worker calls this one, once.
    fn build_env_local(&self) -> Result<OovEnv> {
        let known = self.lines(&self.lexicon)?.into_iter().collect();
        Ok(OovEnv { lines: self.lines(&self.text)?, known, ignore_case: self.ignore_case })
    }
}

struct Oov;

impl Runner for Oov {
    type Provider = OovProvider;

    fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
        let mut words = env.lines[idx as usize].split_whitespace();
        let utt_id = words.next();
        let words: Vec<&str> = words.collect();
        if words.is_empty() {
            anyhow::bail!("no words");
        }
        let unknown = |word: &&&str| match env.ignore_case {
            true => !env.known.contains(&word.to_lowercase()),
            false => !env.known.contains(**word),
        };
        let oov: Vec<_> = words.iter().filter(unknown).collect();
        Record::new(json!({"utt_id": utt_id, "words": words.len(), "oov": oov}))
    }

    fn item_name(idx: u64, env: &Env<Self>) -> Option<String> {
        env.lines[idx as usize].split_whitespace().next().map(str::to_owned)
    }

    fn merge(records: &mut dyn Iterator<Item = Result<Record>>, output_dir: &Path) -> Result<()> {
        let (mut words, mut oov) = (0, 0);
        for record in records {
            let record = record?;
            words += record.get::<usize>("words")?;
            oov += record.get::<Vec<String>>("oov")?.len();
        }
        let rate = json!({"words": words, "oov": oov});
        // Under another name first: whoever reads it sees the old file or the new one.
        std::fs::write(output_dir.join(".oov.json"), format!("{rate}\n"))?;
        Ok(std::fs::rename(output_dir.join(".oov.json"), output_dir.join("oov.json"))?)
    }
}

static STAGES: &[Stage] = &[Stage::new::<Oov>("oov", "words that the lexicon does not have")];

fn main() -> ExitCode {
    espnet3_par::main(STAGES)
}
