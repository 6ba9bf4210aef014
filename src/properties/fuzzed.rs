//! The fuzz targets without a fuzzer: over all seeds, and over each with a few bytes changed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cluster::SCHEDULERS;
use crate::fuzzing::{self, BETWEEN};

/// Changed copies of each target's seeds together.
const CHANGED: usize = 1000;

fn below(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> =
        fs::read_dir(&folder).expect("lists").flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// Configs: those for each cluster, and the bad ones whose messages are known.
fn configs() -> Vec<Vec<u8>> {
    let examples = below("conf").into_iter().map(|path| fs::read(path).expect("reads"));
    let bad = include_str!("../config/messages.txt").split("\n==== ").skip(1);
    let bad = bad.map(|case| {
        let lines = case.lines().skip(1).take_while(|line| !line.starts_with(['$', '-']));
        lines.collect::<Vec<_>>().join("\n").into_bytes()
    });
    examples.chain(bad).collect()
}

/// Shards' files: records, errors, extents, a shared file.
fn records() -> Vec<Vec<u8>> {
    let of = |files: [&str; 4]| files.join(&char::from(BETWEEN).to_string()).into_bytes();
    let part = r#"{"idx":0,"part":"parts/w1.1/split.0","part_items":2}
{"idx":1,"part":"parts/w1.1/split.0","part_items":2}
{"idx":2,"part":"parts/w1.2/split.2","part_items":3}
"#;
    let ark = r#"{"idx":0,"feats":"shards/split.0/feats.ark:1"}
{"idx":1,"feats":"shards/split.0/feats.ark:5"}
"#;
    let extents = r#"{"idx":0,"file":"feats.ark","end":4}
{"idx":1,"file":"feats.ark","end":8}
"#;
    let error = r#"{"idx":3,"item":"utt3","kind":"error","error":"no such luck"}
"#;
    vec![
        of(["{\"idx\":0}\n{\"idx\":2}\n{\"idx\":1}\n", error, "", ""]),
        of([part, "", "", ""]),
        of([ark, error, extents, "aaaabbbb"]),
        of([ark, "", extents, "aaaabb"]),
        of([ark, "", "", ""]),
    ]
}

/// Replies of all schedulers to all that they are asked.
fn replies() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (nth, scheduler) in SCHEDULERS.iter().enumerate() {
        for path in below(&format!("tests/replies/{}", scheduler.name())) {
            let text = fs::read_to_string(&path).expect("reads");
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            let question = ["submit", "limit"].iter().position(|asked| name.starts_with(asked));
            let choice = nth + SCHEDULERS.len() * question.map_or(0, |nth| nth + 1);
            let code =
                text.strip_prefix("exit ").and_then(|rest| rest.lines().next()?.parse().ok());
            let section = |name: &str| {
                let (_, rest) = text.split_once(&format!("---- {name}\n"))?;
                Some(rest.split("---- ").next().unwrap_or_default())
            };
            let mut seed = vec![choice as u8, code.unwrap_or(u8::MAX)];
            seed.extend(section("stdout").unwrap_or_default().bytes());
            seed.push(BETWEEN);
            seed.extend(section("stderr").unwrap_or_default().bytes());
            seeds.push(seed);
        }
    }
    seeds
}

/// Audio of every kind that is read, a tenth of a second or less.
#[cfg(feature = "speech")]
fn audio() -> Vec<Vec<u8>> {
    use crate::speech::testing::{sine, sphere, wav};
    let samples = sine(440.0, 16_000, 0.1);
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let mono = wav(&samples, 16_000, 1);
    // The same with another kind of samples: format tag, bytes each.
    let of_kind = |kind: u8, width: u8| {
        let mut file = mono.clone();
        (file[20], file[32], file[34]) = (kind, width, 8 * width);
        file
    };
    let fields = |coding: &str, count: usize| {
        format!("sample_count -i {count}\nsample_rate -i 16000\nchannel_count -i 1\n{coding}")
    };
    let files = [
        mono.clone(),
        wav(&samples, 44_100, 2),
        of_kind(1, 1),
        of_kind(1, 3),
        of_kind(3, 4),
        of_kind(7, 1),
        include_bytes!("../speech/fixtures/tones.flac").to_vec(),
        sphere(&fields("sample_byte_format -s2 10", samples.len()), &bytes),
        sphere(&fields("sample_coding -s4 ulaw", bytes.len()), &bytes),
    ];
    // Asked for as a whole, and in part.
    let asked = |file: Vec<u8>| [0, 1, 22].map(|choice| [&[choice], &file[..]].concat());
    files.into_iter().flat_map(asked).collect()
}

/// Each seed as it is, then changed ones: the same in every run.
fn over_all(seeds: &[Vec<u8>], target: fn(&[u8])) {
    assert!(seeds.len() >= 5);
    seeds.iter().for_each(|seed| target(seed));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    // xorshift64
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    for nth in 0..CHANGED {
        let mut bytes = seeds[nth % seeds.len()].clone();
        for _ in 0..=random(4) {
            let (at, to) = (random(bytes.len() + 1), random(bytes.len() + 1));
            match random(5) {
                0 if at < bytes.len() => bytes[at] = random(256) as u8,
                1 => bytes.truncate(at.max(2)),
                2 => drop(bytes.drain(at.min(to)..at.max(to))),
                3 => bytes.extend_from_within(at.min(to)..at.max(to)),
                _ => {
                    let odd = b"\0\n\"{}:-|=,$[]&*!%~\t\x1c\xff9";
                    bytes.insert(at, odd[random(odd.len())]);
                }
            }
        }
        target(&bytes);
    }
}

#[test]
fn configs_whatever_they_are() {
    over_all(&configs(), fuzzing::config);
}

#[test]
fn records_whatever_they_are() {
    over_all(&records(), fuzzing::records);
}

#[test]
fn replies_whatever_they_are() {
    over_all(&replies(), fuzzing::reply);
}

#[cfg(feature = "speech")]
#[test]
fn audio_whatever_it_is() {
    over_all(&audio(), fuzzing::audio);
}

/// For `fuzz/run.sh`.
#[test]
#[ignore = "writes files"]
fn write_seeds() {
    let folder = PathBuf::from(std::env::var_os("ESPNET3_PAR_SEEDS").expect("where to"));
    for (name, seeds) in [
        ("config", configs()),
        ("records", records()),
        ("reply", replies()),
        #[cfg(feature = "speech")]
        ("audio", audio()),
    ] {
        fs::create_dir_all(folder.join(name)).expect("makes the folder");
        for (nth, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(name).join(nth.to_string()), seed).expect("writes");
        }
    }
}
