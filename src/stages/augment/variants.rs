//! The items: each utterance at each speed, in as many copies as are asked for.

use std::collections::HashSet;

use anyhow::{Context, Result, bail};

use super::data_dir::Beside;
use super::parameters::Factor;
use crate::speech::resample::change_rate;
use crate::speech::{Utterance, Utterances};
use crate::{Dataset, Inputs};

/// Item `(utterance * factors + factor) * copies + copy`.
pub struct Variants {
    utterances: Utterances,
    beside: Beside,
    factors: Vec<Factor>,
    /// `None` where a copy would differ in nothing but its speed: its id then needs no more.
    copies: Option<u64>,
}

/// What an item is to become.
pub(super) struct Variant<'a> {
    /// `sp0.9-UTT-aug1`.
    pub id: String,
    pub source: &'a Utterance,
    pub factor: Factor,
    utterance: u64,
}

impl Variants {
    /// # Errors
    /// When two items would have one id, or one that Kaldi's files cannot hold.
    pub(super) fn new(
        utterances: Utterances,
        beside: Beside,
        factors: Vec<Factor>,
        copies: Option<u64>,
    ) -> Result<Self> {
        let ids: HashSet<_> =
            utterances.files().map(|(utterance, _)| utterance.id.as_str()).collect();
        for id in &ids {
            if id.contains(char::is_whitespace) {
                bail!("utterance `{id}`: an id with a blank, which no `wav.scp` can hold");
            }
            // Of two items with one id, one has it from the manifest: prefixes are no others' start,
            // and equal ends have one number.
            let unchanged = factors.iter().any(|factor| factor.is_one());
            for prefix in factors.iter().filter(|f| unchanged && !f.is_one()).map(|f| f.prefix()) {
                if id.strip_prefix(&prefix).is_some_and(|rest| ids.contains(rest)) {
                    bail!(
                        "utterance `{id}` is there already; has the manifest been augmented before?"
                    );
                }
            }
        }
        Ok(Self { utterances, beside, factors, copies })
    }

    /// The variant that item `idx` is.
    pub(super) fn get(&self, idx: u64) -> Result<Variant<'_>> {
        let (copies, factors) = (self.copies.unwrap_or(1), self.factors.len() as u64);
        let utterance = idx / copies / factors;
        let source = self.utterances.get(utterance)?;
        let factor = self.factors[(idx / copies % factors) as usize];
        let end = self.copies.map(|copies| format!("-aug{}", idx % copies + 1)).unwrap_or_default();
        let id = format!("{}{}{end}", factor.prefix(), source.id);
        Ok(Variant { id, source, factor, utterance })
    }

    /// What is known of the utterances besides.
    pub(super) fn beside(&self) -> &Beside {
        &self.beside
    }

    /// The variant's audio at its speed, as sox's `speed` has it: pitch and tempo change together.
    pub(super) fn samples(&self, variant: &Variant<'_>, sample_rate: u32) -> Result<Vec<f64>> {
        let audio = self.utterances.audio(variant.utterance, sample_rate)?;
        if audio.samples.is_empty() {
            bail!("the utterance has no samples");
        }
        let samples: Vec<f64> = audio.samples.iter().copied().map(f64::from).collect();
        if variant.factor.is_one() {
            return Ok(samples);
        }
        // Played at 0.9 of its rate, and brought back to the rate.
        change_rate(&samples, variant.factor.thousandths as usize, 1000)
            .with_context(|| format!("cannot change the speed by {}", variant.factor.value))
    }
}

impl Dataset for Variants {
    fn len(&self) -> u64 {
        self.utterances.len() * self.factors.len() as u64 * self.copies.unwrap_or(1)
    }

    fn costs(&self) -> Option<Vec<f64>> {
        let durations = self.utterances.costs()?;
        let copies = self.copies.unwrap_or(1) as usize;
        let variants = durations.iter().flat_map(|duration| {
            self.factors
                .iter()
                .flat_map(move |factor| std::iter::repeat_n(duration / factor.value, copies))
        });
        Some(variants.collect())
    }

    fn item_name(&self, idx: u64) -> Option<String> {
        let variant = self.get(idx).ok()?;
        Some(format!("{} ({})", variant.id, variant.source.path.display()))
    }

    fn inputs(&self) -> Inputs {
        self.utterances.inputs().and(self.beside.inputs.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::parameters::Factors;
    use super::*;
    use crate::speech::testing::{sine, wav, write};

    fn variants(
        ids: &str,
        factors: &str,
        copies: Option<u64>,
    ) -> Result<(tempfile::TempDir, Variants)> {
        let (dir, _) = write("a.wav", &wav(&sine(440.0, 16000, 1.0), 16000, 1));
        let manifest = dir.path().join("a.jsonl");
        let line =
            |id: &str| format!("{{\"utt_id\": {id:?}, \"path\": \"a.wav\", \"duration\": 1}}\n");
        fs::write(&manifest, ids.split('|').map(line).collect::<String>()).expect("a file");
        let Factors(factors) = serde_json::from_value(factors.into()).expect("factors");
        Ok((
            dir,
            Variants::new(
                Utterances::read(&manifest, None, None)?,
                Beside::read(&manifest)?,
                factors,
                copies,
            )?,
        ))
    }

    #[test]
    fn items_are_utterances_by_factors_by_copies() {
        let (_dir, found) = variants("a|b", "0.5 1", Some(2)).expect("variants");
        let ids: Vec<_> = (0..8).map(|idx| found.get(idx).expect("an item").id).collect();
        let expected = ["sp0.5-a-aug1", "sp0.5-a-aug2", "a-aug1", "a-aug2"];
        assert_eq!(ids[..4], expected);
        assert_eq!(ids[4..], expected.map(|id| id.replace("a-", "b-")));
        assert_eq!((found.len(), found.get(8).is_err()), (8, true));
        assert_eq!(found.costs().expect("durations")[..4], [2.0, 2.0, 1.0, 1.0]);

        let (_dir, found) = variants("a", "0.9 1.0 1.1", None).expect("variants");
        let ids: Vec<_> = (0..3).map(|idx| found.get(idx).expect("an item").id).collect();
        assert_eq!(ids, ["sp0.9-a", "a", "sp1.1-a"]);
    }

    #[test]
    fn ids_that_would_be_there_twice() {
        let error = |ids: &str, factors: &str| {
            variants(ids, factors, None).map(|_| ()).expect_err("ids").to_string()
        };
        let twice = "utterance `sp0.9-a` is there already; has the manifest been augmented before?";
        assert_eq!(error("a|sp0.9-a", "0.9 1"), twice);
        assert!(error("a b", "1").contains("an id with a blank"));
        // Nothing is there twice when all have a prefix, or it is another one.
        variants("a|sp0.9-a", "0.9 1.1", None).expect("distinct ids");
        variants("a|sp0.8-a", "0.9 1", None).expect("distinct ids");
    }

    #[test]
    fn speed_moves_the_tone_and_the_length() {
        let (_dir, found) = variants("a", "0.9 1 1.25", None).expect("variants");
        let lengths = [(0, 17778, 396.0), (1, 16000, 440.0), (2, 12800, 550.0)];
        for (idx, length, hertz) in lengths {
            let samples = found.samples(&found.get(idx).expect("an item"), 16_000).expect("audio");
            assert_eq!(samples.len(), length);
            let step = std::f64::consts::TAU * hertz / 16000.0;
            for (at, sample) in samples.iter().enumerate().take(length - 1500).skip(1500) {
                let expected = 0.5 * (step * at as f64).sin();
                assert!((sample - expected).abs() < 1e-4, "{hertz} Hz, {at}: {sample}");
            }
        }
    }
}
