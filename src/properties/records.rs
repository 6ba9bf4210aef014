//! What a writer wrote, a kill left and a zombie does to it.

use std::fs;
use std::path::Path;

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
