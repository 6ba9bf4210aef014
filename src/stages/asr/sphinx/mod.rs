//! A recogniser with acoustic models of CMU Sphinx: continuous models of context-independent phones,
//! a dictionary, and a unigram or bigram language model in the ARPA format.
//!
//! It computes what PocketSphinx 5 computes in its first pass without beams, to the unit of its
//! scores; see `tests/reference/sphinx.sh`. PocketSphinx is not needed.

mod arpa;
mod dict;
mod features;
mod gmm;
mod mdef;
mod mel;
mod mfcc;
mod network;
mod params;
#[cfg(test)]
mod reference;
mod s3file;
#[cfg(test)]
mod testing;
mod transitions;
mod units;
mod viterbi;
#[cfg(test)]
mod viterbi_tests;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::recogniser::{Hypothesis, Recogniser};
use arpa::Lm;
use gmm::Mixtures;
use mdef::Phones;
use mfcc::Mfcc;
use network::Network;
use params::{Cmn, Params};
use viterbi::Search;

/// The file by which a folder is known as an acoustic model of CMU Sphinx: its model definition.
pub(crate) const MDEF: &str = "mdef";

/// The files of a model.
const FILES: [&str; 7] = [
    MDEF,
    "feat.params",
    "means",
    "variances",
    "mixture_weights",
    "transition_matrices",
    "noisedict",
];

/// Seconds. It could search any length; but the mean of the cepstra, which is taken away, is that of a
/// whole piece, and the longer it is, the less it is that of one voice.
const LONGEST: f64 = 30.0;

/// Frames that are scored at once.
const BLOCK: usize = 512;

/// The files of the model in `folder`, on which results depend.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    FILES.iter().map(|name| folder.join(name)).collect()
}

/// A model, a dictionary and a language model, ready to recognise.
pub(crate) struct Sphinx {
    sample_rate: u32,
    mfcc: Mfcc,
    cmn: Cmn,
    mixtures: Mixtures,
    network: Network,
}

impl Sphinx {
    /// Loads the model in `folder`, a dictionary, and a language model. Without one, all words are
    /// equally likely.
    ///
    /// # Errors
    /// Names the file, and the line in a text, of what is missing, damaged or does not fit the rest.
    pub(crate) fn load(folder: &Path, dict: &Path, lm: Option<&Path>) -> Result<Self> {
        let phones = Phones::read(&folder.join(MDEF))?;
        let params = Params::read(&folder.join("feat.params"))?;
        let mixtures = Mixtures::read(folder)?;
        let path = folder.join("transition_matrices");
        let matrices = transitions::read(&path)?;
        let place = folder.display();
        let mfcc = Mfcc::new(&params).with_context(|| format!("{place}/feat.params"))?;
        ensure!(
            matrices.len() == phones.matrices && mixtures.senones == phones.senones,
            "{place}: {} states and {} matrices in mdef, {} states and {} matrices in the other files",
            phones.senones,
            phones.matrices,
            mixtures.senones,
            matrices.len()
        );
        ensure!(
            mixtures.dim == 3 * mfcc.dim(),
            "{place}: Gaussians of {} dimensions, features of 3 · {}",
            mixtures.dim,
            mfcc.dim()
        );
        let fillers = dict::read_fillers(&folder.join("noisedict"), &phones)?;
        let words = dict::read(dict, &phones)?;
        let model = match lm {
            Some(path) => Lm::read(path)?,
            None => Lm::uniform(words.iter().map(|entry| entry.word.as_str())),
        };
        let network =
            Network::new(&words, &fillers, &model, &phones, &matrices).with_context(|| {
                let lm = lm.unwrap_or(Path::new("no language model")).display();
                format!("{} with {lm}", dict.display())
            })?;
        Ok(Self { sample_rate: params.sample_rate, mfcc, cmn: params.cmn, mixtures, network })
    }

    /// The features of a piece of audio, frame by frame.
    fn features(&self, samples: &[f32]) -> Vec<f32> {
        let mut cepstra = self.mfcc.compute(samples);
        features::normalise(&mut cepstra, self.mfcc.dim(), &self.cmn);
        let mut features = features::with_deltas(&cepstra, self.mfcc.dim());
        // PocketSphinx takes the words from the frame before its last one, which is not a whole one.
        features.truncate(features.len().saturating_sub(self.mixtures.dim));
        features
    }

    fn recognise_one(&self, samples: &[f32]) -> Result<Hypothesis> {
        let features = self.features(samples);
        let mut search = Search::new(&self.network);
        let mut acoustic = 0;
        for block in features.chunks(BLOCK * self.mixtures.dim) {
            let scores = self.mixtures.score(block)?;
            search.advance(&scores.penalties, self.mixtures.senones);
            acoustic += scores.best;
        }
        let (words, score) = search.finish().with_context(|| {
            let seconds = samples.len() as f64 / f64::from(self.sample_rate);
            format!("too short: {seconds} s have room for no word, nor for silence at both ends")
        })?;
        Ok(Hypothesis { text: words.join(" "), score: units::nats(score + acoustic), tokens: None })
    }
}

impl Recogniser for Sphinx {
    fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    fn longest(&self) -> f64 {
        LONGEST
    }

    fn recognise(&self, pieces: &[&[f32]]) -> Result<Vec<Hypothesis>> {
        pieces.iter().map(|samples| self.recognise_one(samples)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::super::{Asr, AsrProvider};
    use super::*;
    use crate::speech::testing::{sine, wav};
    use crate::{EnvironmentProvider, Runner};

    /// A model, a dictionary and a language model in a folder.
    fn toy() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a directory");
        testing::write_model(folder.path());
        let write =
            |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
        write("dic", "AB A B\nBA B A\n");
        write("lm", "\\data\\\nngram 1=3\n\\1-grams:\n-0.3 </s>\n-0.3 AB\n-0.3 BA\n\\end\\\n");
        folder
    }

    fn load(folder: &Path) -> Result<Sphinx> {
        Sphinx::load(folder, &folder.join("dic"), Some(&folder.join("lm")))
    }

    #[test]
    fn audio_becomes_words() {
        let folder = toy();
        let sphinx = load(folder.path()).expect("a recogniser");
        assert_eq!(sphinx.sample_rate(), 8000);
        // Loud and soft: the states differ in energy.
        let loud: Vec<f32> =
            sine(1000.0, 8000, 0.5).iter().map(|&sample| f32::from(sample) / 32768.0).collect();
        let soft: Vec<f32> = loud.iter().map(|sample| sample / 16.0).collect();
        let (rising, falling) = ([soft.clone(), loud.clone()].concat(), [loud, soft].concat());
        let found = sphinx.recognise(&[&rising, &falling]).expect("hypotheses");
        assert_eq!(found.len(), 2);
        assert_ne!(found[0].score, found[1].score);
        assert!(found.iter().all(|found| found.score.is_finite() && found.tokens.is_none()));
        // One by one they are the same.
        assert_eq!(sphinx.recognise(&[&falling]).expect("a hypothesis"), found[1..]);

        let error = sphinx.recognise(&[&rising[..100]]).expect_err("too short").to_string();
        assert!(error.starts_with("too short: 0.0125 s have room for no word"), "{error}");
        let error = sphinx.recognise(&[&[]]).expect_err("nothing").to_string();
        assert!(error.starts_with("too short: 0 s have room for no word"), "{error}");
    }

    #[test]
    fn the_stage_takes_a_model_with_its_dictionary() {
        let folder = toy();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.wav"), wav(&sine(440.0, 8000, 0.5), 8000, 1)).expect("a file");
        fs::write(path("wav.scp"), "utt1 a.wav\n").expect("a file");
        let provider = |more: &[(&str, Value)]| -> AsrProvider {
            let mut parameters = json!({"manifest": path("wav.scp"), "model": folder.path()});
            for (key, value) in more {
                parameters[*key] = value.clone();
            }
            serde_json::from_value(parameters).expect("parameters")
        };
        let dict = ("dict", json!(path("dic")));
        let asr = provider(&[dict.clone(), ("lm", json!(path("lm")))]);
        asr.validate().expect("good parameters");
        let inputs = asr.items().expect("files").inputs.value();
        let names = inputs.as_object().expect("files").keys();
        assert_eq!(names.filter(|name| name.starts_with("model/")).count(), FILES.len());
        assert_ne!(inputs["dict"], inputs["lm"]);
        let env = asr.build_env_local().expect("an env");
        let record = Asr::forward(0, &env).expect("a record");
        assert!(["AB", "BA", ""].contains(&record.get::<String>("text").expect("a text").as_str()));
        // All words are equally likely without a language model.
        provider(std::slice::from_ref(&dict)).build_env_local().expect("an env");

        let error = |more: &[(&str, Value)]| {
            format!("{:#}", provider(more).validate().expect_err("bad parameters"))
        };
        assert!(
            error(&[]).contains("is a model of CMU Sphinx, and needs `dict`"),
            "{}",
            error(&[])
        );
        let language = error(&[dict, ("language", json!("en"))]);
        assert!(language.contains("`language` and `task` are for Whisper"), "{language}");
    }

    #[test]
    fn what_is_missing_or_cut_is_named() {
        for name in FILES.into_iter().chain(["dic", "lm"]) {
            let folder = toy();
            let path = folder.path().join(name);
            let bytes = fs::read(&path).expect("a file");
            let error = || format!("{:#}", load(folder.path()).err().expect("an error"));
            fs::remove_file(&path).expect("a file");
            let missing = format!("failed to read `{}`: No such file", path.display());
            assert!(error().starts_with(&missing), "{}", error());
            // Half of it. Half a dictionary or half the options can be whole ones.
            fs::write(&path, &bytes[..bytes.len() / 2]).expect("a file");
            if !["feat.params", "dic"].contains(&name) {
                assert!(error().starts_with(&path.display().to_string()), "{}", error());
            }
        }
    }

    #[test]
    fn whatever_the_files_hold_it_is_an_error_or_a_model() {
        for name in FILES.into_iter().chain(["dic", "lm"]) {
            let folder = toy();
            let path = folder.path().join(name);
            let bytes = fs::read(&path).expect("a file");
            for at in (0..bytes.len()).step_by(3) {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x81;
                for damaged in [&damaged, &bytes[..at]] {
                    fs::write(&path, damaged).expect("a file");
                    if let Ok(sphinx) = load(folder.path()) {
                        sphinx.recognise(&[&[0.5; 2000]]).expect("a hypothesis");
                    }
                }
            }
        }
    }

    #[test]
    fn parts_of_different_models_are_told_apart() {
        let folder = toy();
        let write =
            |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
        let error = || {
            let error = format!("{:#}", load(folder.path()).err().expect("an error"));
            error.replace(&folder.path().display().to_string(), "model")
        };
        write("feat.params", "-samprate 8000 -upperf 3500 -nfilt 10 -ncep 3\n");
        assert_eq!(error(), "model: Gaussians of 6 dimensions, features of 3 · 3");
        let folder_mdef = fs::read_to_string(folder.path().join("mdef")).expect("a file");
        write("mdef", &folder_mdef.replace("6 n_tied_state", "7 n_tied_state"));
        let states =
            "model: 7 states and 3 matrices in mdef, 6 states and 3 matrices in the other files";
        assert_eq!(error(), states);
        let folder = toy();
        fs::write(folder.path().join("dic"), "AB A B\nZOO Z UW\n").expect("a file");
        let error = format!("{:#}", load(folder.path()).err().expect("an error"));
        let phone = "dic:2: word ZOO uses phone Z, which the model has not (";
        assert!(error.contains(phone), "{error}");
    }
}
