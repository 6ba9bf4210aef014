use std::path::PathBuf;

use espnet3_par::speech::Utterances;
use espnet3_par::{Env, InferenceProvider, Record, Result, Runner, Stage};
use serde_json::json;

/// The section `clipping:` of the config.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Clipping {
    manifest: PathBuf,
    /// From 0 to 1: louder samples are clipped.
    threshold: f32,
}

impl InferenceProvider for Clipping {
    type Dataset = Utterances;
    type Model = f32;

    fn build_dataset(&self) -> Result<Utterances> {
        Utterances::read(&self.manifest, None, None)
    }

    // Here a network would be read.
    fn build_model(&self) -> Result<f32> {
        Ok(self.threshold)
    }
}

struct Clipped;

impl Runner for Clipped {
    type Provider = Clipping;

    fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
        let utt_id = &env.dataset.get(idx)?.id;
        let audio = env.dataset.audio(idx, 16_000)?;
        let clipped = audio.samples.iter().filter(|sample| sample.abs() > env.model).count();
        Record::new(json!({"utt_id": utt_id, "clipped": clipped, "duration": audio.duration()}))
    }
}

static STAGES: &[Stage] = &[Stage::new::<Clipped>("clipping", "clipped samples of utterances")];

fn main() -> std::process::ExitCode {
    espnet3_par::main(STAGES)
}
