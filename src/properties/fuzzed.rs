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

/// For `fuzz/run.sh`.
#[test]
#[ignore = "writes files"]
fn write_seeds() {
    let folder = PathBuf::from(std::env::var_os("ESPNET3_PAR_SEEDS").expect("where to"));
    for (name, seeds) in [("config", configs()), ("records", records()), ("reply", replies())] {
        fs::create_dir_all(folder.join(name)).expect("makes the folder");
        for (nth, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(name).join(nth.to_string()), seed).expect("writes");
        }
    }
}
