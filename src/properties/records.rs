//! What a writer wrote, a kill left and a zombie does to it.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use crate::claim::Claim;
use crate::indices::Indices;
use crate::record::Record;
use crate::run_dir::{RunDir, ShardName, ShardState};
use crate::shard_writer::ShardWriter;

const ITEMS: u64 = 6;

fn run_of_one_shard(folder: &Path) -> RunDir {
    let run = RunDir::new(folder);
    fs::create_dir_all(run.shard(0, ShardState::Todo)).expect("makes the shard");
    run
}

fn open(run: &RunDir, worker: &str) -> ShardWriter {
    let name: ShardName = run.list_shards().expect("lists").remove(0);
    let claim = Claim::take(run, name, worker).expect("no error").expect("takes it");
    ShardWriter::open(claim, Indices::all(ITEMS)).expect("opens")
}

/// A record whose bytes tell the item.
fn record(idx: u64) -> Record {
    Record::default().append("feats", "feats.ark", format!("<{idx}>").into_bytes(), 1)
}

fn write(writer: &mut ShardWriter, idx: u64) {
    writer.write(idx, &record(idx)).expect("the disk is fine").expect("the record is fine");
}

/// Each record's place in the shared file has that record's bytes.
fn check_done(run: &RunDir) {
    let folder = run.shard(0, ShardState::Done);
    let shared = fs::read_to_string(folder.join("feats.ark")).expect("reads");
    let results = fs::read_to_string(folder.join("results.jsonl")).expect("reads");
    assert_eq!(results.lines().count() as u64, ITEMS, "{results}");
    for (idx, line) in results.lines().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).expect("is JSON");
        assert_eq!(line["idx"], idx);
        let (_, place) =
            line["feats"].as_str().and_then(|text| text.split_once(':')).expect("a place");
        let place: usize = place.parse().expect("a number");
        assert!(shared[place..].starts_with(&format!("{idx}>")), "{idx}: {shared}");
    }
}

/// The zombie has a shared file open that no record on disk knows of.
#[test]
fn a_zombie_does_not_write_into_its_heirs_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = run_of_one_shard(folder.path());
    let mut zombie = open(&run, "zombie");
    write(&mut zombie, 0);
    let mut heir = open(&run, "heir");
    write(&mut heir, 0);
    let _ = zombie.flush();
    (1..ITEMS).for_each(|idx| write(&mut heir, idx));
    assert!(heir.commit().expect("commits"));
    check_done(&run);
}

/// What a kill, a torn disk or a foreign hand did to the records.
#[derive(Debug, Clone)]
enum Damage {
    CutAt(prop::sample::Index),
    Appended(Vec<u8>),
    /// The line of one item once more, at the end.
    Doubled(prop::sample::Index),
    /// The same to the shared file.
    FileCutAt(prop::sample::Index),
    ExtentsCutAt(prop::sample::Index),
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let index = || any::<prop::sample::Index>();
    let damage = prop_oneof![
        index().prop_map(Damage::CutAt),
        prop::collection::vec(any::<u8>(), 1..20).prop_map(Damage::Appended),
        index().prop_map(Damage::Doubled),
        index().prop_map(Damage::FileCutAt),
        index().prop_map(Damage::ExtentsCutAt),
    ];
    prop::collection::vec(damage, 0..4)
}

fn damage(folder: &Path, damage: &Damage) {
    let change = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let path = folder.join(name);
        let mut bytes = fs::read(&path).unwrap_or_default();
        change(&mut bytes);
        fs::write(path, bytes).expect("writes");
    };
    let cut =
        |at: &prop::sample::Index, bytes: &mut Vec<u8>| bytes.truncate(at.index(bytes.len() + 1));
    match damage {
        Damage::CutAt(at) => change("results.jsonl", &|bytes| cut(at, bytes)),
        Damage::FileCutAt(at) => change("feats.ark", &|bytes| cut(at, bytes)),
        Damage::ExtentsCutAt(at) => change("extents.jsonl", &|bytes| cut(at, bytes)),
        Damage::Appended(garbage) => change("results.jsonl", &|bytes| bytes.extend(garbage)),
        Damage::Doubled(nth) => change("results.jsonl", &|bytes| {
            let lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            if !lines.is_empty() {
                let line = lines[nth.index(lines.len())].to_vec();
                bytes.extend(line);
            }
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Attempts that die one after another, their files damaged: the last one commits what an
    /// undisturbed one would.
    #[test]
    fn whatever_is_left_the_shard_is_done_as_if_nothing_had_been(
        attempts in prop::collection::vec((0_usize..=6, damages()), 0..4)
    ) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = run_of_one_shard(folder.path());
        for (nth, (items, damages)) in attempts.iter().enumerate() {
            let mut writer = open(&run, &format!("w{nth}"));
            let pending: Vec<u64> = writer.pending().take(*items).collect();
            pending.into_iter().for_each(|idx| write(&mut writer, idx));
            writer.flush().expect("the disk is fine");
            damages.iter().for_each(|one| damage(&writer.claim.folder(), one));
        }
        let mut last = open(&run, "last");
        let pending: Vec<u64> = last.pending().collect();
        pending.into_iter().for_each(|idx| write(&mut last, idx));
        prop_assert!(last.commit().expect("commits"));
        check_done(&run);
    }
}
