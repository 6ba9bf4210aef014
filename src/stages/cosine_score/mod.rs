//! The stage `cosine_score`: how alike the embeddings of two utterances are, for each trial of a list.

mod detection;
mod embeddings;
mod trials;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::collect::write_own;
use crate::{CompleteRun, Env, InferenceProvider, Inputs, Record, Runner};
use detection::{equal_error_rate, min_dcf, points};
use embeddings::Embeddings;
use trials::Trials;

/// The shares of targets for which minDCF is told: those of VoxCeleb's challenges and of Kaldi's recipes.
const P_TARGETS: [f64; 3] = [0.05, 0.01, 0.001];

/// The parameters of `cosine_score`, the section of that name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CosineScoreProvider {
    /// Lines of `ENROLL TEST target|nontarget`, utterance ids; without the label there are only scores.
    pub trials: PathBuf,
    /// An scp of the embeddings of those in the first column.
    pub enroll: PathBuf,
    /// An scp of the embeddings of those in the second column; by default `enroll`.
    pub test: Option<PathBuf>,
}

/// The embeddings on both sides.
pub struct Sides {
    enroll: Embeddings,
    test: Option<Embeddings>,
}

impl InferenceProvider for CosineScoreProvider {
    type Dataset = Trials;
    type Model = Sides;

    fn build_dataset(&self) -> Result<Trials> {
        Trials::read(&self.trials)
    }

    fn build_model(&self) -> Result<Sides> {
        let test = self.test.as_deref().map(Embeddings::list).transpose()?;
        Ok(Sides { enroll: Embeddings::list(&self.enroll)?, test })
    }

    fn validate(&self) -> Result<()> {
        self.build_model().map(drop)
    }

    fn inputs(&self) -> Result<Inputs> {
        let Sides { enroll, test } = self.build_model()?;
        let inputs = Inputs::default().bytes("enroll", &enroll.bytes());
        Ok(match test {
            Some(test) => inputs.bytes("test", &test.bytes()),
            None => inputs,
        })
    }
}

/// The runner of `cosine_score`: `score`, the cosine of two embeddings. Its merge tells how well scores
/// tell target trials from others.
///
/// ```
/// use espnet3_par::speech::ark;
/// use espnet3_par::stages::CosineScore;
/// use espnet3_par::{EnvironmentProvider, Runner};
/// use serde_json::json;
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// for (utt_id, embedding) in [("a", [1.0, 0.0]), ("b", [3.0, 3.0])] {
///     let (entry, skip) = ark::vector(utt_id, &embedding);
///     std::fs::write(folder.join(utt_id), &entry[skip..])?;
/// }
/// let place = |utt_id: &str| format!("{utt_id} {}\n", folder.join(utt_id).display());
/// std::fs::write(folder.join("embedding.scp"), place("a") + &place("b"))?;
/// std::fs::write(folder.join("trials"), "a b nontarget\na a target\n")?;
/// type Provider = <CosineScore as Runner>::Provider;
/// // The section `cosine_score:` of a config.
/// let section =
///     json!({"trials": folder.join("trials"), "enroll": folder.join("embedding.scp")});
/// let env = serde_json::from_value::<Provider>(section)?.build_env_local()?;
/// let record = CosineScore::forward(0, &env)?;
/// assert!((record.get::<f64>("score")? - 0.5_f64.sqrt()).abs() < 1e-6);
/// assert_eq!(record.get::<bool>("target")?, false);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub struct CosineScore;

#[derive(Serialize, Deserialize)]
struct Item {
    enroll: String,
    test: String,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<bool>,
}

impl Runner for CosineScore {
    type Provider = CosineScoreProvider;

    fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
        let trial = env.dataset.get(idx)?;
        let Sides { enroll, test } = &env.model;
        let a = enroll.get(&trial.enroll)?;
        let b = test.as_ref().unwrap_or(enroll).get(&trial.test)?;
        if a.len() != b.len() {
            bail!("an embedding of {} values, and one of {}", a.len(), b.len());
        }
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        let score = products.sum::<f64>() as f32;
        let (enroll, test) = (trial.enroll.clone(), trial.test.clone());
        Record::new(Item { enroll, test, score, target: trial.target })
    }

    /// Writes `scores`, lines of `ENROLL TEST SCORE`, and, where trials are labelled, `metrics.json`.
    fn merge(run: CompleteRun<'_, Self::Provider>) -> Result<()> {
        let mut labelled = Vec::new();
        write_own(&run.output_dir.join("scores"), |scores| {
            for record in run.records {
                let record = record?;
                let (enroll, test): (String, String) = (record.get("enroll")?, record.get("test")?);
                let score = record.get("score")?;
                writeln!(scores, "{enroll} {test} {score}")?;
                labelled.extend(record.get("target").ok().map(|target| (score, target)));
            }
            Ok(())
        })?;
        if labelled.is_empty() {
            return Ok(());
        }
        let metrics = serde_json::to_string(&Metrics::of(labelled))?;
        write_own(&run.output_dir.join("metrics.json"), |file| Ok(writeln!(file, "{metrics}")?))
    }
}

#[derive(Serialize)]
struct Metrics {
    trials: usize,
    target: usize,
    nontarget: usize,
    /// Without trials of both kinds there is no rate of errors.
    #[serde(flatten)]
    rates: Option<Rates>,
}

#[derive(Serialize)]
struct Rates {
    eer_percent: f64,
    eer_threshold: f32,
    min_dcf: BTreeMap<String, f64>,
}

impl Metrics {
    fn of(labelled: Vec<detection::Scored>) -> Self {
        let trials = labelled.len();
        let target = labelled.iter().filter(|(_, target)| *target).count();
        let rates = (target > 0 && target < trials).then(|| {
            let points = points(labelled);
            let (eer, eer_threshold) = equal_error_rate(&points);
            let costs = P_TARGETS.map(|p| (p.to_string(), min_dcf(&points, p)));
            Rates { eer_percent: 100.0 * eer, eer_threshold, min_dcf: costs.into() }
        });
        Self { trials, target, nontarget: trials - target, rates }
    }
}

#[cfg(test)]
mod tests;
