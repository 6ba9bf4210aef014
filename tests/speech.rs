//! The built-in stages on audio files that are there, and on some that are not what they should be.

#![cfg(feature = "speech")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The recipe that `init` writes, in a new folder.
fn recipe() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert!(call(folder.path(), &["init", "."]).status.success());
    folder
}

fn call(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_espnet3-par"));
    command.args(args).current_dir(folder).output().expect("starts")
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("is there");
    text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
}

#[test]
fn the_recipe_that_init_writes_runs() {
    let folder = recipe();
    let path = format!(
        "{}:{}",
        Path::new(env!("CARGO_BIN_EXE_espnet3-par")).parent().expect("a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let script = folder.path().join("run.sh");
    let output = Command::new(script).env("PATH", path).output().expect("starts");
    assert!(output.status.success(), "{output:?}");
    let scp = fs::read_to_string(folder.path().join("exp/fbank/feats.scp")).expect("merged");
    let keys: Vec<_> = scp.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(keys, ["one", "two", "three"]);
}

#[test]
fn one_corrupt_file_among_good_ones() {
    let folder = recipe();
    let two = folder.path().join("data/two.flac");
    let bytes = fs::read(&two).expect("reads");
    fs::write(&two, &bytes[..bytes.len() / 2]).expect("cuts it in half");
    let output = call(folder.path(), &["run", "conf/train.yaml"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let run = folder.path().join("exp/fbank");
    let done: Vec<_> =
        lines(&run.join("results.jsonl")).into_iter().map(|r| r["utt_id"].clone()).collect();
    assert_eq!(done, ["one", "three"]);
    let errors = lines(&run.join("errors.jsonl"));
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0]["idx"], 1);
    assert_eq!(errors[0]["item"], "two (data/two.flac)");
    assert!(errors[0]["error"].as_str().is_some_and(|e| e.contains("data/two.flac")), "{errors:?}");

    // Set right, it alone is computed again.
    fs::write(&two, &bytes).expect("puts it back");
    let output = call(folder.path(), &["run", "conf/train.yaml", "--retry-failed"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let whole = fs::read(run.join("results.jsonl")).expect("reads");
    call(folder.path(), &["run", "conf/train.yaml", "--set", "output_dir=exp/new"]);
    assert!(fs::read(folder.path().join("exp/new/results.jsonl")).expect("reads") == whole);
    assert!(!run.join("errors.jsonl").exists());
}

#[test]
fn parameters_that_cannot_work_are_refused_before_there_is_a_run() {
    let folder = recipe();
    for set in ["fbank.num_mel_bins=0", "fbank.high_freq=9000", "fbank.manifest=data/none.scp"] {
        for command in ["check", "run"] {
            let output = call(folder.path(), &[command, "conf/train.yaml", "--set", set]);
            assert_eq!(output.status.code(), Some(2), "{command} {set}: {output:?}");
        }
    }
    assert!(!folder.path().join("exp").exists());
}

#[test]
fn a_manifest_that_changed_is_another_run() {
    let folder = recipe();
    assert!(call(folder.path(), &["run", "conf/train.yaml"]).status.success());
    let scp = folder.path().join("data/wav.scp");
    let text = fs::read_to_string(&scp).expect("reads");
    fs::write(&scp, text.replace("one data/one", "eins data/one")).expect("writes");
    let output = call(folder.path(), &["run", "conf/train.yaml"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("inputs.manifest"), "{said}");
}

/// A WAV file of 16-bit samples, one channel.
fn wav(rate: u32, samples: &[i16]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let length = data.len() as u32;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(rate.to_le_bytes());
    bytes.extend((2 * rate).to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend(length.to_le_bytes());
    bytes.extend(data);
    bytes
}

/// Each costs its item, and its message says which file and why; the others are computed.
#[test]
fn audio_that_is_none() {
    let folder = recipe();
    let good = wav(16_000, &[100; 16_000]);
    let no_audio =
        |start: &str| format!("neither WAV, FLAC nor NIST SPHERE: it starts with {start:?}");
    let files: [(&str, Vec<u8>, String); 8] = [
        ("empty.wav", Vec::new(), "the file is empty".to_owned()),
        (
            "header_only.wav",
            good[..44].to_vec(),
            "the file ends early: 0 of 16000 samples could be read".to_owned(),
        ),
        ("cut_header.wav", good[..30].to_vec(), "the file ends within its header".to_owned()),
        ("rate_0.wav", wav(0, &[100; 16_000]), "wrong header: a sample rate of 0 Hz".to_owned()),
        ("text.wav", b"hello, this is no audio\n".to_vec(), no_audio("hell")),
        ("bytes.flac", vec![0xff; 1000], no_audio("\u{fffd}\u{fffd}\u{fffd}\u{fffd}")),
        ("zeros.sph", vec![0; 2000], no_audio("\0\0\0\0")),
        ("link.wav", Vec::new(), "No such file or directory (os error 2)".to_owned()),
    ];
    let mut scp =
        "good good.wav\nother_rate other.wav\nshort short.wav\nmissing missing.wav\nfolder data\n"
            .to_owned();
    for (name, bytes) in [
        ("good.wav", good.clone()),
        ("other.wav", wav(8_000, &[100; 8_000])),
        ("short.wav", wav(16_000, &[])),
    ] {
        fs::write(folder.path().join(name), bytes).expect("writes");
    }
    let failed = |name: &str, why: &str| format!("failed to read audio `{name}`: {why}");
    let mut wanted = vec![
        "too short: 0 samples, one frame has 400".to_owned(),
        failed("missing.wav", "No such file or directory (os error 2)"),
        failed("data", "it is a folder, and no file"),
    ];
    for (name, bytes, why) in &files {
        let path = folder.path().join(name);
        match name.starts_with("link") {
            true => std::os::unix::fs::symlink("nowhere.wav", path).expect("links"),
            false => fs::write(path, bytes).expect("writes"),
        }
        scp += &format!("{name} {name}\n");
        wanted.push(failed(name, why));
    }
    fs::write(folder.path().join("wav.scp"), scp).expect("writes");
    let args = ["run", "conf/train.yaml", "--set", "fbank.manifest=wav.scp"];
    let output = call(folder.path(), &args);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let run = folder.path().join("exp/fbank");
    let errors = lines(&run.join("errors.jsonl"));
    let errors: Vec<_> = errors.iter().filter_map(|error| error["error"].as_str()).collect();
    assert_eq!(errors, wanted);
    let frames: Vec<_> = lines(&run.join("results.jsonl"))
        .into_iter()
        .map(|record| record["num_frames"].clone())
        .collect();
    assert_eq!(frames, [98, 98]);
}

/// `prepare` finds what is broken in a corpus, whose other utterances the next stages then take without
/// a word; `score` scores what was recognised of them.
#[test]
fn a_corpus_with_broken_files_is_prepared_and_used() {
    let folder = recipe();
    let data = folder.path().join("data");
    let (mut scp, mut text, mut utt2spk) = (String::new(), String::new(), String::new());
    for nth in 0..300 {
        let name = ["one", "two", "three"][nth % 3];
        scp += &format!("s{}-{nth:03} data/{name}.flac\n", nth % 2);
        text += &format!("s{}-{nth:03} {name} of them\n", nth % 2);
        utt2spk += &format!("s{}-{nth:03} s{}\n", nth % 2, nth % 2);
    }
    let flac = fs::read(data.join("two.flac")).expect("reads");
    fs::write(data.join("cut.flac"), &flac[..flac.len() / 2]).expect("writes");
    fs::write(data.join("empty.wav"), "").expect("writes");
    fs::write(data.join("text.wav"), "hello, this is no audio\n").expect("writes");
    fs::write(data.join("slow.wav"), wav(8_000, &[100; 8_000])).expect("writes");
    let broken = [
        ("s1-007", "cut.flac", "truncated"),
        ("s0-050", "empty.wav", "empty"),
        ("s1-111", "text.wav", "not audio"),
        ("s0-222", "slow.wav", "wrong sample rate"),
        ("s1-299", "lost.wav", "missing file"),
    ];
    for (utt_id, file, _) in broken {
        let line = scp.lines().find(|line| line.starts_with(utt_id)).expect("a line").to_owned();
        scp = scp.replace(&line, &format!("{utt_id} data/{file}"));
    }
    scp += "s0-004 data/one.flac\n";
    for (name, table) in [("wav.scp", &scp), ("text", &text), ("utt2spk", &utt2spk)] {
        fs::write(data.join(name), table).expect("writes");
    }
    let conf = "stage: prepare\noutput_dir: exp/${stage}\nprepare: {manifest: data, sample_rate: 16000}\n\
                fbank: {manifest: exp/prepare/data/wav.scp}\n\
                score: {ref: exp/prepare/data/text, hyp: hyp}\n";
    fs::write(folder.path().join("conf/all.yaml"), conf).expect("writes");
    let output = call(folder.path(), &["run", "conf/all.yaml"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let run = folder.path().join("exp/prepare");
    let errors = lines(&run.join("errors.jsonl"));
    let found: Vec<_> = errors
        .iter()
        .filter_map(|error| {
            let (item, why) = (error["item"].as_str()?, error["error"].as_str()?);
            Some((item.split(' ').next()?, why.split(": ").next()?))
        })
        .collect();
    let mut wanted: Vec<_> = broken.map(|(utt_id, _, why)| (utt_id, why)).into();
    wanted.push(("s0-004", "duplicate id"));
    assert_eq!(found, wanted);
    let report = fs::read_to_string(run.join("report.txt")).expect("is there");
    assert!(report.starts_with("295 good, 6 broken; 184.5 s"), "{report}");

    let output = call(folder.path(), &["run", "conf/all.yaml", "--stage", "fbank"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let frames = fs::read_to_string(folder.path().join("exp/fbank/utt2num_frames"));
    assert_eq!(frames.expect("is there").lines().count(), 295);

    // One hypothesis is wrong, one is missing.
    let good = fs::read_to_string(run.join("data/text")).expect("is there");
    let hyp = good.replace("s0-000 one of them\n", "s0-000 one of then\n");
    let hyp = hyp.replace("s1-001 two of them\n", "");
    fs::write(folder.path().join("hyp"), hyp).expect("writes");
    let output = call(folder.path(), &["run", "conf/all.yaml", "--stage", "score"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let result = fs::read_to_string(folder.path().join("exp/score/result.txt")).expect("is there");
    assert!(result.starts_with("%WER 0.45 [ 4 / 885, 0 ins, 3 del, 1 sub ]\n"), "{result}");
    assert!(result.contains("| s1      |   147      441 |   99.3    0.0    0.7 "), "{result}");
    assert!(result.contains("no hypothesis, counted as deletions: 1 (s1-001)\n"), "{result}");
}

#[test]
fn where_every_utterance_is_broken_the_report_says_so() {
    let folder = recipe();
    fs::write(folder.path().join("wav.scp"), "a missing.wav\nb conf/train.yaml\n").expect("writes");
    let config = "output_dir: exp/${stage}\n\
                  prepare: {manifest: wav.scp}\n\
                  fbank: {manifest: wav.scp}\n\
                  collect_stats: {manifest: wav.scp}\n\
                  augment: {manifest: wav.scp, speed_perturb_factors: [0.9]}\n";
    fs::write(folder.path().join("conf/all.yaml"), config).expect("writes");
    for stage in ["prepare", "fbank", "collect_stats", "augment"] {
        let output = call(folder.path(), &["run", "conf/all.yaml", "--stage", stage]);
        assert_eq!(output.status.code(), Some(1), "{stage}: {output:?}");
    }
    let report = fs::read_to_string(folder.path().join("exp/prepare/report.txt"));
    assert_eq!(
        report.expect("a report"),
        "0 good, 2 broken; 0.0 s, 0.00 hours\n\n\
         broken, see errors.jsonl\n\
         \x20 missing file                    1  a (missing.wav)\n\
         \x20 not audio                       1  b (conf/train.yaml)\n"
    );
    let scp = fs::read_to_string(folder.path().join("exp/fbank/feats.scp"));
    assert_eq!(scp.expect("merged"), "");
}
