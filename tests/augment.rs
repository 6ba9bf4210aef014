//! The stage `augment` writes the same bytes, however its work is cut and whatever happens to it.

#![cfg(feature = "speech")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use common::disk::recorded;
use common::processes::kill_all;
use common::recipe::Recipe;
use common::until::wait_until;
use serde_json::Value;

const UTTERANCES: u64 = 30;
/// Two speeds, two copies.
const ITEMS: usize = 4 * UTTERANCES as usize;

/// A WAV file of noise at 16 kHz, 16 bits, one channel.
fn wav(samples: u64, mut seed: u64) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 48) as u16).cast_signed() >> 2
    };
    let data: Vec<u8> = (0..samples).flat_map(|_| next().to_le_bytes()).collect();
    let length = data.len() as u32;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data");
    bytes.extend(length.to_le_bytes());
    bytes.extend(data);
    bytes
}

fn recipe() -> Recipe {
    let recipe = Recipe::of_product(
        "augment",
        "augment:
  manifest: data/wav.scp
  seed: 5
  copies: 2
  speed_perturb_factors: [0.9, 1.0]
  rir_scp: data/rir.scp
  rir_apply_prob: 0.5
  noise_scp: data/noise.scp
  noise_apply_prob: 0.8
  noise_db_range: \"0_15\"
parallel: {env: local}",
    );
    fs::create_dir(recipe.path("data")).expect("makes a folder");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(recipe.path("data").join(name), bytes).expect("writes");
    };
    let mut tables = BTreeMap::from([
        ("wav.scp", String::new()),
        ("utt2spk", String::new()),
        ("text", String::new()),
    ]);
    for utterance in 0..UTTERANCES {
        write(&format!("{utterance}.wav"), &wav(2000 + 211 * utterance, utterance));
        let mut add = |table, value: String| {
            *tables.get_mut(table).expect("a table") += &format!("utt{utterance:02} {value}\n");
        };
        add("wav.scp", format!("data/{utterance}.wav"));
        add("utt2spk", format!("speaker{}", utterance % 5));
        add("text", format!("NUMBER {utterance}"));
    }
    for (table, text) in tables {
        write(table, text.as_bytes());
    }
    write("long.wav", &wav(100_000, 100));
    write("short.wav", &wav(2000, 101));
    write("noise.scp", b"long data/long.wav\nshort data/short.wav\n");
    write("room.wav", &wav(900, 102));
    write("rir.scp", b"room data/room.wav\n");
    recipe
}

/// What a run made: of each file its bytes, of each record its other fields, and the tables.
fn made(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut made = BTreeMap::new();
    let results = fs::read_to_string(root.join("results.jsonl")).expect("was collected");
    for line in results.lines() {
        let mut record: Value = serde_json::from_str(line).expect("a record");
        let wav = record["wav"].take();
        let bytes = fs::read(root.join(wav.as_str().expect("a path"))).expect("is there");
        made.insert(record["utt_id"].as_str().expect("an id").to_owned(), bytes);
        made.insert(format!("{} of the records", record["idx"]), record.to_string().into_bytes());
    }
    for table in ["utt2dur", "utt2uniq", "text", "utt2spk", "spk2utt"] {
        made.insert(table.to_owned(), fs::read(root.join(table)).expect("was merged"));
    }
    assert_eq!(made.len(), 2 * ITEMS + 5);
    made
}

fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (made(one), made(other));
    let differ: Vec<_> = one.keys().filter(|key| one.get(*key) != other.get(*key)).collect();
    assert!(one.keys().eq(other.keys()) && differ.is_empty(), "{differ:?}");
}

/// The run of one worker, which all others are compared with.
fn undisturbed(recipe: &Recipe) -> std::path::PathBuf {
    let root = recipe.path("one_worker");
    let set = format!("output_dir={}", root.display());
    recipe.run(&["--set", &set, "--set", "parallel.n_workers=1"]).expect_code(0);
    root
}

#[test]
fn workers_threads_and_batches_change_nothing() {
    let recipe = recipe();
    let one = undisturbed(&recipe);
    for more in [
        &["parallel.n_workers=2"][..],
        &["parallel.n_workers=5"],
        &["parallel.n_workers=2", "batch_size=7"],
        &["parallel.n_workers=1", "parallel.options.threads_per_worker=3", "parallel.shards=3"],
    ] {
        let sets: Vec<&str> = more.iter().flat_map(|set| ["--set", *set]).collect();
        recipe.run(&[&sets[..], &["--restart"]].concat()).expect_code(0);
        assert_same(&recipe.root, &one);
        let results =
            [&recipe.root, &one].map(|root| fs::read(root.join("results.jsonl")).expect("reads"));
        // The paths of files, too, where the plan of shards is the same.
        assert!(more.len() > 1 || results[0] == results[1], "{more:?}");
    }
    // Kaldi's order, and nobody's folder missing in a path.
    let scp = fs::read_to_string(recipe.root.join("wav.scp")).expect("was merged");
    let lines: Vec<_> =
        scp.lines().map(|line| line.split_once(' ').expect("two columns")).collect();
    assert!(lines.is_sorted() && lines.len() == ITEMS);
    assert!(lines.iter().all(|(_, path)| Path::new(path).is_file()), "{}", lines[0].1);
    assert_eq!((lines[0].0, lines[ITEMS - 1].0), ("sp0.9-utt00-aug1", "utt29-aug2"));
}

#[test]
fn killed_and_resumed_with_others() {
    let recipe = recipe();
    let one = undisturbed(&recipe);
    let workers = ["parallel.n_workers=1", "parallel.n_workers=5", "parallel.n_workers=2"];
    let mut before = 0;
    for round in 0..6 {
        let batch = format!("batch_size={}", 1 + 4 * (round % 2));
        let driver = recipe.start_run(&["--set", workers[round % 3], "--set", &batch]);
        wait_until("more records", || {
            let now = recorded(&recipe.root).len();
            now > before + 5 || now == ITEMS
        });
        std::thread::sleep(Duration::from_millis(3 * round as u64));
        kill_all(&recipe.root, Some(driver.pid()));
        before = recorded(&recipe.root).len();
    }
    assert!(before < ITEMS, "it was over before the last kill");
    recipe.run(&[]).expect_code(0);
    assert_same(&recipe.root, &one);
}
