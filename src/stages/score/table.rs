//! The sums of a run: `score.json`, and `result.txt` as users of sclite know it.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

use super::align::Counts;

/// Counts of several utterances.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Sum {
    utterances: u64,
    wrong_utterances: u64,
    #[serde(flatten)]
    counts: Counts,
}

impl Sum {
    fn add(&mut self, counts: &Counts) {
        self.utterances += 1;
        self.wrong_utterances += u64::from(counts.errors > 0);
        self.counts.add(counts);
    }
}

/// One error rate, over all utterances and by speaker.
#[derive(Debug, Default)]
pub(super) struct Rate {
    all: Sum,
    speakers: BTreeMap<String, Sum>,
}

impl Rate {
    pub(super) fn add(&mut self, speaker: Option<&str>, counts: &Counts) {
        self.all.add(counts);
        if let Some(speaker) = speaker {
            self.speakers.entry(speaker.to_owned()).or_default().add(counts);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.utterances == 0
    }

    /// For `score.json`.
    pub(super) fn json(&self) -> Value {
        let of = |sum: &Sum| {
            let mut json = json!({"error_rate": sum.counts.rate()});
            if let (Value::Object(json), Ok(Value::Object(rest))) =
                (&mut json, serde_json::to_value(sum))
            {
                json.extend(rest);
            }
            json
        };
        let mut json = of(&self.all);
        if !self.speakers.is_empty() {
            json["speakers"] =
                self.speakers.iter().map(|(name, sum)| (name.clone(), of(sum))).collect();
        }
        json
    }

    /// For `result.txt`: Kaldi's line, and sclite's table. `name` is `WER`, `unit` is `Wrd`.
    pub(super) fn table(&self, name: &str, unit: &str) -> String {
        let Counts { length, errors, substitutions, deletions, insertions, .. } = self.all.counts;
        let percent =
            self.all.counts.rate().map_or("-".to_owned(), |rate| format!("{:.2}", 100.0 * rate));
        let mut text = format!(
            "%{name} {percent} [ {errors} / {length}, {insertions} ins, {deletions} del, {substitutions} sub ]\n"
        );
        let names = self.speakers.keys().map(|name| name.chars().count());
        let width = names.max().unwrap_or(0).max("Sum/Avg".len());
        let rule = |ends: [char; 3], fill: &str| {
            let [left, between, right] = ends;
            let fill = |width| fill.repeat(width);
            format!("{left}{}{between}{}{between}{}{right}\n", fill(width + 2), fill(16), fill(43))
        };
        text += &rule([',', '-', '.'], "-");
        text += &format!(
            "| {:width$} | # Snt    # {unit} |   Corr    Sub    Del    Ins    Err  S.Err |\n",
            "SPKR"
        );
        text += &rule(['|', '+', '|'], "-");
        for (speaker, sum) in &self.speakers {
            text += &row(speaker, width, sum);
        }
        text += &rule(['|', '=', '|'], "=");
        text += &row("Sum/Avg", width, &self.all);
        text += &rule(['`', '-', '\''], "-");
        text
    }
}

fn row(name: &str, width: usize, sum: &Sum) -> String {
    let Counts { length, errors, correct, substitutions, deletions, insertions } = sum.counts;
    let mut row = format!("| {name:width$} | {:5} {length:8} |", sum.utterances);
    let of_length = [correct, substitutions, deletions, insertions, errors].map(|n| (n, length));
    for (part, whole) in of_length.into_iter().chain([(sum.wrong_utterances, sum.utterances)]) {
        let percent = match whole {
            0 => "-".to_owned(),
            _ => format!("{:.1}", 100.0 * part as f64 / whole as f64),
        };
        let _ = write!(row, " {percent:>6}");
    }
    row + " |\n"
}
