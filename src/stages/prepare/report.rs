//! What a corpus is like, and what is wrong with it: `report.json` for programs, `report.txt` for
//! people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::good::Good;
use crate::collect::write_own;
use crate::item_error::{ErrorKind, ItemError};
use crate::speech::fault::Fault;

/// Where the histogram of durations is cut, in seconds.
const EDGES: [f64; 9] = [0.0, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0];

/// So many examples of each fault are named.
const EXAMPLES: usize = 5;

/// A kind of fault or warning: how often, and for example where.
type Kinds = BTreeMap<String, (u64, Vec<String>)>;

/// Writes both files. `all` are the good ones.
pub(super) fn write(all: &[Good], broken: &[ItemError], output_dir: &Path) -> Result<()> {
    let (mut faults, mut warnings) = (Kinds::new(), Kinds::new());
    for error in broken {
        let name = error.item.clone().unwrap_or_else(|| format!("item {}", error.idx));
        kinds_of(error).into_iter().for_each(|kind| count(&mut faults, kind, &name));
    }
    for good in all {
        good.warnings.iter().for_each(|kind| count(&mut warnings, kind, &good.utt_id));
    }
    let report = json!({
        "good": all.len(),
        "broken": broken.len(),
        // The sum of nothing is -0 otherwise.
        "seconds": all.iter().map(|good| good.duration).fold(0.0, |sum, seconds| sum + seconds),
        "speakers": tally(all, |good| good.speaker.clone()).len(),
        "recordings": tally(all, |good| good.recording.clone()).len(),
        "sample_rates": tally(all, |good| Some(good.sample_rate)),
        "num_channels": tally(all, |good| Some(good.num_channels)),
        "formats": tally(all, |good| Some(good.format.clone())),
        "durations": durations(all),
        "faults": json_of(&faults),
        "warnings": json_of(&warnings),
    });
    write_own(&output_dir.join("report.json"), |file| Ok(writeln!(file, "{report:#}")?))?;
    let text = text(&report, &faults, &warnings);
    write_own(&output_dir.join("report.txt"), |file| Ok(file.write_all(text.as_bytes())?))
}

/// The kinds that stand before the colons of a message; an item may have several.
fn kinds_of(error: &ItemError) -> Vec<&'static str> {
    let parts = error.error.split("; ");
    let kinds = parts.filter_map(|part| Fault::named(part.split_once(": ")?.0));
    let kinds: Vec<_> = kinds.map(Fault::name).collect();
    match error.kind {
        ErrorKind::Error if !kinds.is_empty() => kinds,
        ErrorKind::Error => vec!["other"],
        ErrorKind::Panic => vec!["panic"],
        ErrorKind::Died => vec!["died"],
        ErrorKind::Timeout => vec!["timeout"],
    }
}

fn count(kinds: &mut Kinds, kind: &str, name: &str) {
    let (count, examples) = kinds.entry(kind.to_owned()).or_default();
    *count += 1;
    if examples.len() < EXAMPLES {
        examples.push(name.to_owned());
    }
}

fn json_of(kinds: &Kinds) -> Value {
    let entry =
        |(count, examples): &(u64, Vec<String>)| json!({"count": count, "examples": examples});
    kinds.iter().map(|(kind, of)| (kind.clone(), entry(of))).collect()
}

/// How many utterances have each value.
fn tally<T: ToString>(all: &[Good], value: impl Fn(&Good) -> Option<T>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for value in all.iter().filter_map(value) {
        *counts.entry(value.to_string()).or_default() += 1;
    }
    counts
}

fn durations(all: &[Good]) -> Value {
    let mut seconds: Vec<f64> = all.iter().map(|good| good.duration).collect();
    seconds.sort_by(f64::total_cmp);
    let bins = EDGES.iter().zip(EDGES.iter().skip(1).map(Some).chain([None])).map(|(from, to)| {
        let within = |seconds: &&f64| **seconds >= *from && to.is_none_or(|to| **seconds < *to);
        json!({"from": from, "to": to, "count": seconds.iter().filter(within).count()})
    });
    let sum: f64 = seconds.iter().sum();
    json!({
        "shortest": seconds.first(),
        "median": seconds.get(seconds.len() / 2),
        "mean": sum / seconds.len() as f64,
        "longest": seconds.last(),
        "histogram": bins.collect::<Vec<_>>(),
    })
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn durations_text(durations: &Value) -> String {
    const BAR: f64 = 40.0;
    let mut text = "\nseconds\n".to_owned();
    for name in ["shortest", "median", "mean", "longest"] {
        let _ = writeln!(text, "  {name:24} {:8.2}", number(&durations[name]));
    }
    let bins = durations["histogram"].as_array().map(Vec::as_slice).unwrap_or_default();
    let most = bins.iter().map(|bin| number(&bin["count"])).fold(1.0, f64::max);
    let last = bins.iter().rposition(|bin| bin["count"] != 0).map_or(0, |last| last + 1);
    for bin in &bins[..last] {
        let to = bin["to"].as_f64().map_or("…".to_owned(), |to| to.to_string());
        let bar = "#".repeat((BAR * number(&bin["count"]) / most).ceil() as usize);
        let range = format!("{} to {to}", number(&bin["from"]));
        let _ = writeln!(text, "{}", format!("  {range:24} {:>8} {bar}", bin["count"]).trim_end());
    }
    text
}

fn text(report: &Value, faults: &Kinds, warnings: &Kinds) -> String {
    let mut text = String::new();
    let (good, broken, seconds) = (&report["good"], &report["broken"], number(&report["seconds"]));
    let hours = seconds / 3600.0;
    let _ = writeln!(text, "{good} good, {broken} broken; {seconds:.1} s, {hours:.2} hours");
    for (name, of) in [("sample_rates", "Hz"), ("num_channels", "channels"), ("formats", "")] {
        for (value, count) in report[name].as_object().into_iter().flatten() {
            let what = format!("{value} {of}");
            let _ = writeln!(text, "  {:24} {count:>8}", what.trim_end());
        }
    }
    for name in ["speakers", "recordings"].into_iter().filter(|name| report[*name] != 0) {
        let _ = writeln!(text, "  {name:24} {:>8}", report[name]);
    }
    if *good != 0 {
        text += &durations_text(&report["durations"]);
    }
    for (title, kinds) in [("broken, see errors.jsonl", faults), ("good, but odd", warnings)] {
        if !kinds.is_empty() {
            let _ = writeln!(text, "\n{title}");
        }
        for (kind, (count, examples)) in kinds {
            let more = if *count > examples.len() as u64 { ", …" } else { "" };
            let _ = writeln!(text, "  {kind:24} {count:>8}  {}{more}", examples.join(", "));
        }
    }
    text
}
