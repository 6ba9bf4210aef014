//! The stage `asr`: what is said, by a recogniser that the model's folder chooses.

mod choice;
mod cut;
mod device;
mod provider;
mod recogniser;
mod sphinx;
#[cfg(test)]
mod tests;
mod transcript;
mod whisper;

use std::io::Write;
use std::ops::Range;

use anyhow::{Context, Result, ensure};

use crate::collect::write_own;
use crate::speech::Audio;
use crate::{CompleteRun, Env, InferenceEnv, Record, Runner};
use provider::AsrProvider;
use transcript::Transcript;

/// The runner of `asr`: `text`, and its log-probability `score`.
///
/// Its `merge` writes Kaldi's file `text` into the run directory.
pub struct Asr;

/// An utterance's audio, and its pieces.
struct Heard {
    audio: Audio,
    pieces: Vec<Range<usize>>,
}

impl Heard {
    fn new(idx: u64, env: &Env<Asr>) -> Result<Self> {
        let InferenceEnv { dataset, model } = env;
        let utt_id = &dataset.get(idx)?.id;
        let segments = model.speech.as_ref().map(|speech| {
            let segments = speech.get(utt_id);
            segments.with_context(|| format!("`vad` has no record of `{utt_id}`"))
        });
        let segments = segments.transpose()?.map(Vec::as_slice);
        let recogniser = &model.recogniser;
        let audio = dataset.audio(idx, recogniser.sample_rate())?;
        ensure!(!audio.samples.is_empty(), "no samples");
        let pieces = cut::pieces(&audio.samples, audio.sample_rate, recogniser.longest(), segments);
        Ok(Self { audio, pieces })
    }

    fn samples(&self) -> impl Iterator<Item = &[f32]> {
        self.pieces.iter().map(|piece| &self.audio.samples[piece.clone()])
    }
}

impl Runner for Asr {
    type Provider = AsrProvider;

    fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
        let mut records = Self::batch_forward(&[idx], env)?;
        records.pop().context("no record")
    }

    fn batch_forward(indices: &[u64], env: &Env<Self>) -> Result<Vec<Record>> {
        let heard: Vec<_> =
            indices.iter().map(|&idx| Heard::new(idx, env)).collect::<Result<_>>()?;
        let samples: Vec<&[f32]> = heard.iter().flat_map(Heard::samples).collect();
        let mut hypotheses = Vec::with_capacity(samples.len());
        // As many pieces at once as items were asked for: an hour is one item, and 120 pieces.
        for batch in samples.chunks(indices.len()) {
            hypotheses.extend(env.model.recogniser.recognise(batch)?);
        }
        let mut rest = hypotheses.as_slice();
        let record = |(&idx, Heard { audio, pieces }): (&u64, &Heard)| {
            let (hypotheses, others) = rest.split_at(pieces.len());
            rest = others;
            let utt_id = &env.dataset.get(idx)?.id;
            let transcript = Transcript::new(utt_id, audio, pieces, hypotheses);
            Record::new(if env.model.tokens { transcript } else { transcript.without_tokens() })
        };
        indices.iter().zip(&heard).map(record).collect()
    }

    fn merge(run: CompleteRun<'_, Self::Provider>) -> Result<()> {
        write_own(&run.output_dir.join("text"), |text| {
            for record in run.records {
                let record = record?;
                let (utt_id, words) =
                    (record.get::<String>("utt_id")?, record.get::<String>("text")?);
                writeln!(text, "{}", format!("{utt_id} {words}").trim_end())?;
            }
            Ok(())
        })
    }
}
