//! What a run of `score` comes to: `score.json` for programs, `result.txt` for people.

use std::io::Write;

use anyhow::Result;
use serde_json::json;

use super::provider::ScoreProvider;
use super::table::Rate;
use crate::CompleteRun;
use crate::collect::write_own;

/// A person does not read more names than these.
const MOST_NAMES: usize = 10;

/// Writes both files from all records.
pub(super) fn write(run: CompleteRun<'_, ScoreProvider>) -> Result<()> {
    let (mut utterances, mut missing) = (0_u64, Vec::new());
    let mut rates = [("WER", "Wrd"), ("CER", "Chr"), ("TER", "Tok")]
        .map(|(name, unit)| (name, unit, Rate::default()));
    for record in run.records {
        let record = record?;
        let speaker: Option<String> = record.get("speaker").ok();
        for (name, _, rate) in &mut rates {
            if let Ok(counts) = record.get(&name.to_lowercase()) {
                rate.add(speaker.as_deref(), &counts);
            }
        }
        utterances += 1;
        if record.get("missing").unwrap_or(false) {
            missing.push(record.get::<String>("utt_id")?);
        }
    }
    let failed: Vec<_> = run.failed.iter().filter_map(|error| error.item.clone()).collect();
    let mut score = json!({"utterances": utterances, "missing": missing, "failed": failed});
    let mut result = String::new();
    for (name, unit, rate) in rates.iter().filter(|(_, _, rate)| !rate.is_empty()) {
        score[name.to_lowercase()] = rate.json();
        result += &rate.table(name, unit);
        result.push('\n');
    }
    if !missing.is_empty() {
        let (all, names) = (missing.len(), names(&missing));
        result += &format!("no hypothesis, counted as deletions: {all} ({names})\n");
    }
    if !failed.is_empty() {
        let (all, names) = (failed.len(), names(&failed));
        result += &format!("failed, not counted, see errors.jsonl: {all} ({names})\n");
    }
    write_own(&run.output_dir.join("score.json"), |file| Ok(writeln!(file, "{score:#}")?))?;
    write_own(&run.output_dir.join("result.txt"), |file| Ok(file.write_all(result.as_bytes())?))
}

fn names(all: &[String]) -> String {
    let more = if all.len() > MOST_NAMES { ", …" } else { "" };
    all[..all.len().min(MOST_NAMES)].join(", ") + more
}
