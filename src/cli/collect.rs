//! `collect`: merges the shards' records, as JSONL or in Kaldi's form.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::fail::{Exit, Fail, open_stdout, tell};
use super::processes::{find_stage, load_params};
use super::status::{count, find_run};
use crate::collect::{
    Collected, collect, collect_and_merge, parse_record, read_lines, write_own, write_to,
};
use crate::record::Record;
use crate::refused::Refused;
use crate::run_dir::RunDir;
use crate::spec::Spec;
use crate::stage::Stage;
use crate::trust;
use crate::under_way::cancel_all;

/// Merge the records of a run into one file, in item order.
///
/// Every item must be there once; the file appears whole or not at all.
#[derive(Args)]
pub(super) struct Collect {
    /// The run directory.
    run: PathBuf,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// For scp: the field that comes first on a line.
    #[arg(long, value_name = "FIELD", requires = "field")]
    key: Option<String>,
    /// For scp: the field that follows it.
    #[arg(long, value_name = "FIELD", requires = "key")]
    field: Option<String>,
    /// Write here, and not to results.jsonl (or FIELD.scp) in the run directory.
    #[arg(long, short, value_name = "FILE", conflicts_with = "stdout")]
    output: Option<PathBuf>,
    /// Write to standard output.
    #[arg(long)]
    stdout: bool,
    /// Take what is there of a run that is not complete, and say what is missing.
    #[arg(long)]
    partial: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object a line.
    Jsonl,
    /// `KEY VALUE` lines, as Kaldi and ESPnet read them.
    Scp,
}

impl Collect {
    pub(super) fn answer(self, stages: &[Stage]) -> Result<Exit, Fail> {
        let run = find_run(&self.run)?;
        let spec = Spec::read(&run)?;
        if self.format == Format::Scp && self.key.is_none() {
            let example = "as in `--format scp --key utt_id --field text`";
            return Err(Refused::new("scp needs --key and --field", example).into());
        }
        if self.format == Format::Jsonl && self.key.is_some() {
            let message = "--key and --field are for --format scp";
            return Err(Refused::new(message, "add `--format scp`").into());
        }
        let plain = self.format == Format::Jsonl && self.output.is_none();
        if self.output.is_none() && !self.stdout {
            trust::check(&run)?;
        }
        let collected = if plain && !self.stdout && !self.partial {
            let collected = match find_stage(stages, &spec) {
                Some(stage) => collect_and_merge(&run, &spec, load_params(stage, &spec)?.as_ref())?,
                None => {
                    let stage = &spec.fingerprint.stage;
                    tell(format!("note: this program has no stage `{stage}`: nothing is merged"));
                    collect(&run, &spec)?
                }
            };
            // Of a complete run; what a scheduler still has of it finds nothing to do.
            let _ = cancel_all(&run);
            tell(run.results().display());
            collected
        } else if self.stdout {
            let mut out = BufWriter::new(open_stdout()?.lock());
            let collected = self.write(&run, &spec, &mut out)?;
            out.flush()?;
            collected
        } else {
            let write = |out: &mut BufWriter<File>| self.write(&run, &spec, out);
            let own = || run.collected(self.field.as_deref(), self.partial);
            let (path, collected) = match &self.output {
                Some(path) => (path.clone(), write_to(path, write)?),
                None => (own(), write_own(&own(), write)?),
            };
            tell(path.display());
            collected
        };
        Ok(conclude(&run, &collected))
    }

    fn write(&self, run: &RunDir, spec: &Spec, out: &mut dyn Write) -> Result<Collected> {
        read_lines(run, spec, self.partial, |lines| {
            let (Format::Scp, Some(key), Some(field)) = (self.format, &self.key, &self.field)
            else {
                return Ok(out.write_all(lines)?);
            };
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                let record = parse_record(line)?;
                let text = text(&record, field)?;
                let text = run.open_path(&text).unwrap_or(text);
                writeln!(out, "{} {text}", word(&record, key)?)?;
            }
            Ok(())
        })
    }
}

/// The first word of a line: it must be one.
fn word(record: &Record, field: &str) -> Result<String> {
    let word = text(record, field)?;
    if word.is_empty() || word.contains(char::is_whitespace) {
        let message = format!("`{field}` is {word:?}, which cannot be the first word of a line");
        return Err(Refused::new(message, "take another field for --key").into());
    }
    Ok(word)
}

/// A field as text on one line; what is no string is JSON.
fn text(record: &Record, field: &str) -> Result<String> {
    let text = match record.fields().get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => {
            let known: Vec<_> = record.fields().keys().map(String::as_str).collect();
            let hint = format!("it has {}", known.join(", "));
            return Err(Refused::new(format!("a record has no field `{field}`"), hint).into());
        }
    };
    if text.contains('\n') {
        let message = format!("`{field}` has more than one line: {text:?}");
        return Err(Refused::new(message, "an scp has one line per key; collect JSONL").into());
    }
    Ok(text)
}

fn conclude(run: &RunDir, collected: &Collected) -> Exit {
    if !collected.errors.is_empty() {
        let errors = run.errors();
        let see =
            if errors.exists() { format!(", see {}", errors.display()) } else { String::new() };
        tell(format!("{} failed{see}", count(collected.errors.len(), "item")));
    }
    if !collected.missing.is_empty() {
        let count: u64 = collected.missing.iter().map(|range| range.end - range.start).sum();
        tell(format!("{count} items are missing: {}", list(&collected.missing)));
        return Exit::Incomplete;
    }
    if collected.errors.is_empty() { Exit::Done } else { Exit::SomeFailed }
}

/// As `--indices` reads it.
fn list(ranges: &[Range<u64>]) -> String {
    let one = |range: &Range<u64>| match range.end - 1 {
        last if last == range.start => last.to_string(),
        last => format!("{}-{last}", range.start),
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(",")
}
