//! Numbers against PocketSphinx's own. `tests/reference/sphinx.sh` writes them and runs this.

use std::env;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use super::params::Params;
use super::*;
use crate::speech::audio;

/// What PocketSphinx has of an utterance, in its first pass without beams.
#[derive(Deserialize)]
struct Reference {
    path: PathBuf,
    lm: PathBuf,
    /// 13 values a frame.
    mfcc: Vec<f32>,
    /// Of all senones in each frame, less the least.
    penalties: Vec<i32>,
    score: i64,
    text: String,
}

/// A signal, and its cepstra under some options.
#[derive(Deserialize)]
struct Signal {
    options: String,
    mfcc: Vec<f32>,
}

fn furthest(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The signal of `mfcc.jsonl`: noise that swells, made with integers so that it is the same anywhere.
fn signal() -> Vec<f32> {
    let mut state = 1_u32;
    let next = |at: i32| {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
        let noise = (state >> 16).cast_signed() % 2048 - 1024;
        let sample = noise * (at % 500) / 32 + 100;
        sample as f32 / 32768.0
    };
    (0..1600).map(next).collect()
}

/// `tests/reference/sphinx.py mfcc` made the file.
#[test]
fn cepstra_are_those_of_pocketsphinx() {
    let mut cases = 0;
    for line in include_str!("mfcc.jsonl").lines() {
        let case: Signal = serde_json::from_str(line).expect("a signal");
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), &case.options).expect("a file");
        let params = Params::read(file.path()).expect("parameters");
        let found = Mfcc::new(&params).expect("filters").compute(&signal());
        // Sums are in single precision there.
        let largest = case.mfcc.iter().copied().fold(0.0, f32::max);
        let furthest = furthest(&found, &case.mfcc) / largest;
        assert!(furthest < 1e-6, "{}: {furthest}", case.options);
        cases += 1;
    }
    assert_eq!(cases, 3);
}

#[test]
#[ignore = "needs PocketSphinx: tests/reference/sphinx.sh runs it"]
fn utterances_are_scored_as_by_pocketsphinx() {
    let variable = |name| PathBuf::from(env::var_os(name).expect("a path"));
    let an4 = variable("SPHINX_DOWNLOADS");
    let (model, dict) = (an4.join("an4_ci_cont"), an4.join("an4/etc/an4.dic"));
    let unigrams = fs::canonicalize(an4.join("an4/etc/an4.ug.lm")).expect("a file");
    let text = fs::read_to_string(variable("SPHINX_REFERENCE")).expect("references");
    let (mut cepstra, mut scores, mut unequal, mut better) = (0_f32, 0, 0, 0);
    for line in text.lines() {
        let reference: Reference = serde_json::from_str(line).expect("a reference");
        let sphinx = Sphinx::load(&model, &dict, Some(&reference.lm)).expect("a model");
        let whole = audio::Span { start: 0.0, end: None };
        let audio = audio::read(&reference.path, whole, None, sphinx.sample_rate).expect("audio");
        cepstra = cepstra.max(furthest(&sphinx.mfcc.compute(&audio.samples), &reference.mfcc));

        let found = sphinx.mixtures.score(&sphinx.features(&audio.samples)).expect("scores");
        // PocketSphinx's last frame is not searched.
        let pairs = found.penalties.iter().zip(&reference.penalties);
        scores += found.penalties.len();
        for (found, expected) in pairs.filter(|(found, expected)| found != expected) {
            assert!((found - expected).abs() == 1, "{found} and {expected}");
            unequal += 1;
        }
        let mut search = Search::new(&sphinx.network);
        search.advance(&found.penalties, sphinx.mixtures.senones);
        let (words, score) = search.finish().expect("words");
        println!("{score:>7} {:>7}  {}", reference.score, words.join(" "));
        // Its tree of words is exact for unigrams only. Nothing it finds may be better.
        if reference.lm != unigrams && score > reference.score + 3 {
            better += 1;
            continue;
        }
        assert_eq!(words.join(" "), reference.text);
        assert!((score - reference.score).abs() <= 3, "{score} and {}", reference.score);
    }
    println!(
        "bigrams: {better} of 8 paths are better than PocketSphinx's, which approximates there"
    );
    println!("cepstra differ by up to {cepstra:.1e}; of {scores} scores of states, {unequal} by 1");
    assert!(cepstra < 1e-4 && scores > 0 && unequal < scores / 500);
}
