use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::EnvironmentProvider;
use crate::speech::{ark, npy};
use crate::stage::merge_all;

fn provider() -> (TempDir, CosineScoreProvider) {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let mut archive = Vec::new();
    let mut scp = String::new();
    for (utt_id, values) in [("a", &[2.0, 0.0][..]), ("b", &[3.0, 4.0]), ("0", &[0.0, 0.0])] {
        let (entry, skip) = ark::vector(utt_id, values);
        scp += &format!("{utt_id} {}:{}\n", at("x.ark").display(), archive.len() + skip);
        archive.extend(entry);
    }
    scp += &format!("gone {}\n", at("gone.npy").display());
    fs::write(at("x.ark"), archive).expect("writes");
    fs::write(at("x.scp"), scp).expect("writes");
    fs::write(at("t.npy"), npy::float32(&[0.0, -5.0], &[2])).expect("writes");
    fs::write(at("u.npy"), npy::float32(&[1.0, 1.0, 1.0], &[3])).expect("writes");
    let test = format!("t {}\nu {}\n", at("t.npy").display(), at("u.npy").display());
    fs::write(at("t.scp"), test).expect("writes");
    let trials = "a t target\nb t nontarget\nb u target\n0 t target\ngone t target\nc t target\n";
    fs::write(at("trials"), trials).expect("writes");
    let (trials, enroll, test) = (at("trials"), at("x.scp"), Some(at("t.scp")));
    (dir, CosineScoreProvider { trials, enroll, test })
}

#[test]
fn scores_of_two_sides_and_what_has_none() {
    let (_dir, provider) = provider();
    let env = provider.build_env_local().expect("an env");
    for (idx, score, target) in [(0, 0.0, true), (1, -0.8, false)] {
        let record = CosineScore::forward(idx, &env).expect("a score");
        assert!((record.get::<f32>("score").expect("a number") - score).abs() < 1e-6);
        assert_eq!(record.get::<bool>("target").expect("a label"), target);
    }
    for (idx, expected) in [
        (2, "an embedding of 2 values, and one of 3"),
        (3, "its length is 0"),
        (4, "gone.npy: No such file"),
        (5, "no embedding of `c` in "),
    ] {
        let error = CosineScore::forward(idx, &env).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(CosineScoreProvider::item_name(1, &env).as_deref(), Some("b t"));
}

#[test]
fn embeddings_that_change_are_other_inputs() {
    let (dir, provider) = provider();
    let before = InferenceProvider::inputs(&provider).expect("files");
    assert_eq!(InferenceProvider::inputs(&provider).expect("files"), before);
    // The scp stays as it was.
    fs::write(dir.path().join("t.npy"), npy::float32(&[0.1, -5.0], &[2])).expect("writes");
    let after = InferenceProvider::inputs(&provider).expect("files");
    let [before, after] = [before.value(), after.value()];
    assert_eq!(before["enroll"], after["enroll"]);
    assert_ne!(before["test"], after["test"]);
}

#[test]
fn wrong_scps_name_the_line() {
    let (dir, provider) = provider();
    for (scp, expected) in [
        ("a x:1\nb\n", "x.scp:2: expected `UTT_ID PATH:OFFSET`"),
        ("a x:1\na y:2\n", "x.scp:2: `a` was already there"),
        ("a copy-vector x - |\n", "x.scp:1: `a` is a command"),
    ] {
        fs::write(dir.path().join("x.scp"), scp).expect("writes");
        let error = InferenceProvider::validate(&provider).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn merge_tells_scores_and_rates() {
    let dir = tempfile::tempdir().expect("a directory");
    let merge = |items: &[(f32, Option<bool>)]| {
        let record = |(score, target): &(f32, Option<bool>)| {
            let (enroll, test) = ("a".to_owned(), "b".to_owned());
            Record::new(Item { enroll, test, score: *score, target: *target })
        };
        let section = json!({"trials": "trials", "enroll": "embedding.scp"});
        merge_all::<CosineScore>(&section, items.iter().map(record), dir.path()).expect("merges");
        fs::read_to_string(dir.path().join("scores")).expect("scores")
    };
    let metrics = || {
        let text = fs::read_to_string(dir.path().join("metrics.json")).expect("metrics");
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    assert_eq!(merge(&[(0.25, None), (-0.5, None)]), "a b 0.25\na b -0.5\n");
    assert!(!dir.path().join("metrics.json").exists());

    merge(&[(0.9, Some(true)), (0.5, Some(true)), (0.75, Some(false)), (0.25, Some(false))]);
    let expected = json!({
        "trials": 4, "target": 2, "nontarget": 2, "eer_percent": 50.0, "eer_threshold": 0.75,
        "min_dcf": {"0.05": 0.5, "0.01": 0.5, "0.001": 0.5},
    });
    assert_eq!(metrics(), expected);

    merge(&[(0.9, Some(true))]);
    assert_eq!(metrics(), json!({"trials": 1, "target": 1, "nontarget": 0}));
}
