//! Where people speak, as the stage `vad` found it.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::front_end::SAMPLE_RATE;
use crate::lines::read_text;

/// The segments of all utterances.
pub(super) struct Speech(HashMap<String, Vec<(f64, f64)>>);

#[derive(Deserialize)]
struct Line {
    utt_id: String,
    segments: Vec<(f64, f64)>,
}

impl Speech {
    /// Reads `results.jsonl` of the stage `vad`.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let parse = |(line, number): (&str, usize)| -> Result<_> {
            let Line { utt_id, segments } = serde_json::from_str(line)
                .with_context(|| format!("{}:{number}: no line of `vad`", path.display()))?;
            Ok((utt_id, segments))
        };
        read_text(path)?.lines().zip(1..).map(parse).collect::<Result<_>>().map(Self)
    }

    /// Of these samples of an utterance those that are speech, one piece after the other.
    pub(super) fn of(&self, utt_id: &str, samples: &[f32]) -> Result<Vec<f32>> {
        let segments = self.0.get(utt_id).context("`vad` has no line of it")?;
        let at = |seconds: f64| {
            let at = (seconds * f64::from(SAMPLE_RATE)).round() as usize;
            at.min(samples.len())
        };
        let mut speech = Vec::new();
        for &(start, end) in segments {
            speech.extend_from_slice(samples.get(at(start)..at(end)).unwrap_or_default());
        }
        if speech.is_empty() {
            bail!("no speech in it, as `vad` says");
        }
        Ok(speech)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_cut_out_and_put_together() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("results.jsonl");
        let lines = r#"{"idx":0,"utt_id":"a","segments":[[0.0,0.001],[0.002,9.0]]}
{"idx":1,"utt_id":"b","segments":[]}
{"idx":2,"utt_id":"c","segments":[[7.0,8.0],[-3.0,-1.0],[0.002,0.001]]}
"#;
        std::fs::write(&path, lines).expect("writes");
        let speech = Speech::read(&path).expect("reads");
        let samples: Vec<f32> = (0..48_u8).map(f32::from).collect();
        let expected: Vec<f32> = (0..16_u8).chain(32..48).map(f32::from).collect();
        assert_eq!(speech.of("a", &samples).expect("speech"), expected);
        for (utt_id, why) in [("b", "no speech"), ("c", "no speech"), ("d", "`vad` has no line")] {
            let error = speech.of(utt_id, &samples).expect_err(why).to_string();
            assert!(error.starts_with(why), "{error}");
        }

        std::fs::write(&path, "{\"utt_id\":\"a\",\"segments\":[]}\n\nnonsense").expect("writes");
        let error = format!("{:#}", Speech::read(&path).map(drop).expect_err("no JSON"));
        assert!(error.contains("results.jsonl:2: no line of `vad`"), "{error}");
    }
}
