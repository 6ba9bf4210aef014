//! Where people speak, as the stage `vad` has found it.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::lines::read_text;

/// Segments of speech by utterance id, in seconds.
pub(crate) type Speech = HashMap<String, Vec<(f64, f64)>>;

#[derive(Deserialize)]
struct Line {
    utt_id: String,
    segments: Vec<(f64, f64)>,
}

/// Reads the `results.jsonl` of a run of `vad`.
///
/// # Errors
/// Names the file and line of the first thing wrong.
pub(crate) fn read(path: &Path) -> Result<Speech> {
    let text = read_text(path).context("`vad` is the `results.jsonl` of a run of the stage vad")?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines
        .map(|(line, number)| parse(line).with_context(|| format!("{}:{number}", path.display())))
        .collect()
}

fn parse(line: &str) -> Result<(String, Vec<(f64, f64)>)> {
    let Line { utt_id, segments } =
        serde_json::from_str(line).context("no record of the stage vad")?;
    let mut after = 0.0;
    for &(start, end) in &segments {
        ensure!(
            after <= start && start < end,
            "`{utt_id}`: the segment from {start} to {end} is after one that ends at {after}"
        );
        after = end;
    }
    Ok((utt_id, segments))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::testing::write;

    #[test]
    fn segments_by_utterance() {
        let lines = "{\"idx\":0,\"utt_id\":\"a\",\"duration\":1.0,\"segments\":[[0.1,0.5],[0.5,0.9]]}\n\n\
                     {\"idx\":1,\"utt_id\":\"b\",\"duration\":0.7,\"segments\":[]}\n";
        let (_dir, path) = write("results.jsonl", lines.as_bytes());
        let speech = read(&path).expect("segments");
        assert_eq!(speech["a"], [(0.1, 0.5), (0.5, 0.9)]);
        assert!(speech["b"].is_empty());
    }

    #[test]
    fn wrong_lines_are_named() {
        let cases = [
            ("{\"utt_id\":\"a\"}", ":2: no record of the stage vad: missing field `segments`"),
            ("nonsense", ":2: no record of the stage vad: "),
            (
                "{\"utt_id\":\"a\",\"segments\":[[0.5,0.9],[0.8,1.0]]}",
                ":2: `a`: the segment from 0.8 to 1 is after one that ends at 0.9",
            ),
            ("{\"utt_id\":\"a\",\"segments\":[[0.9,0.5]]}", "the segment from 0.9 to 0.5"),
        ];
        for (line, expected) in cases {
            let (_dir, path) = write("results.jsonl", format!("\n{line}\n").as_bytes());
            let error = format!("{:#}", read(&path).expect_err("a wrong line"));
            assert!(error.contains(expected), "{error}");
        }
        let error = format!("{:#}", read(Path::new("no.jsonl")).expect_err("no file"));
        assert!(
            error.contains("`results.jsonl` of a run") && error.contains("no.jsonl"),
            "{error}"
        );
    }
}
