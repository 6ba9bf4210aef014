//! What a crash of a disk or a file server can leave in a dead worker's shard, put there by hand.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::disk::{check_places, claimed, recorded};
use crate::common::processes::kill_all;
use crate::common::recipe::{Recipe, assert_same};
use crate::common::until::wait_until;

/// Lines, each with its newline, and what becomes of them.
type Damage = fn(Vec<String>) -> Vec<u8>;

const DAMAGES: &[(&str, Damage)] = &[
    ("nothing", |lines| bytes(&lines)),
    ("a torn tail", |lines| [bytes(&lines), b"{\"idx\":39,\"utt_i".to_vec()].concat()),
    ("a torn first line", |lines| lines[0].as_bytes()[..7].to_vec()),
    ("zeros at the end", |lines| [bytes(&lines), vec![0; 4096]].concat()),
    ("a hole of zeros", |lines| {
        let mut all = bytes(&lines);
        let start = lines[0].len() + 5;
        all[start..start + lines[1].len()].fill(0);
        all
    }),
    ("zeros from the start", |lines| vec![0; bytes(&lines).len()]),
    ("a garbage line", |mut lines| {
        lines.insert(2, "\u{fffd}garbage {\n".into());
        bytes(&lines)
    }),
    ("a doubled line", |mut lines| {
        lines.insert(4, lines[1].clone());
        bytes(&lines)
    }),
    ("lines swapped", |mut lines| {
        lines.swap(1, 3);
        bytes(&lines)
    }),
    ("a line lost", |mut lines| {
        lines.remove(2);
        bytes(&lines)
    }),
    ("a foreign item", |mut lines| {
        lines.push("{\"idx\":900,\"utt_id\":\"utt900\",\"square\":810000}\n".into());
        bytes(&lines)
    }),
    ("empty lines", |mut lines| {
        lines.insert(1, "\n\n".into());
        bytes(&lines)
    }),
    ("nothing left", |_| Vec::new()),
];

fn bytes(lines: &[String]) -> Vec<u8> {
    lines.concat().into_bytes()
}

/// A run of one shard, killed when it had 25 records; each case has a copy of it.
struct Killed {
    recipe: Recipe,
    cases: Cell<u32>,
}

impl Killed {
    fn new(files: bool) -> Self {
        let config = format!("toy: {{n: 40, files: {files}}}\nparallel: {{env: local, shards: 1}}");
        let recipe = Recipe::held_at(25, &config);
        let driver = recipe.start_run(&[]);
        wait_until("records", || recorded(&recipe.root).len() == 25);
        kill_all(&recipe.root, Some(driver.pid()));
        recipe.release();
        Self { recipe, cases: Cell::new(0) }
    }

    /// Does `damage` in the shard's folder of a copy, resumes there, and returns the run directory.
    fn resumed_after(&self, damage: impl FnOnce(&Path)) -> PathBuf {
        self.cases.set(self.cases.get() + 1);
        let root = self.recipe.path(&format!("case.{}", self.cases.get()));
        copy(&self.recipe.root, &root);
        let shard = claimed(&root).pop().expect("the dead worker's shard");
        damage(&root.join("shards").join(shard));
        let output_dir = format!("output_dir={}", root.display());
        self.recipe.run(&["--set", &output_dir]).expect_code(0);
        root
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("makes the folder");
    for entry in fs::read_dir(from).expect("is there").flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("copies");
        }
    }
}

fn damage(path: &Path, how: Damage) {
    let text = fs::read_to_string(path).expect("is there");
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    fs::write(path, how(whole.split_inclusive('\n').map(str::to_owned).collect())).expect("writes");
}

#[test]
fn damaged_results_are_repaired() {
    let killed = Killed::new(false);
    let undisturbed = killed.recipe.undisturbed();
    for (what, how) in DAMAGES {
        println!("{what}");
        let root = killed.resumed_after(|shard| damage(&shard.join("results.jsonl"), *how));
        let results = fs::read_to_string(root.join("results.jsonl")).expect("was collected");
        assert_same(&results, &undisturbed);
    }
}

#[test]
fn damaged_results_of_shards_with_files_are_repaired() {
    let killed = Killed::new(true);
    for (what, how) in DAMAGES {
        println!("{what}");
        check_records(&killed.resumed_after(|shard| damage(&shard.join("results.jsonl"), *how)));
    }
}

/// A record whose line in extents.jsonl is lost is computed again.
#[test]
fn damaged_extents_cost_no_bytes() {
    let killed = Killed::new(true);
    let mut bad = Vec::new();
    for (what, how) in DAMAGES {
        let root = killed.resumed_after(|shard| damage(&shard.join("extents.jsonl"), *how));
        if std::panic::catch_unwind(|| check_records(&root)).is_err() {
            bad.push(what);
        }
    }
    assert!(bad.is_empty(), "records point at other bytes after: {bad:?}");
}

#[test]
fn a_shared_file_that_lost_its_end_or_grew_is_repaired() {
    let killed = Killed::new(true);
    for change in [-5, -60, -100_000, 1, 4096] {
        check_records(&killed.resumed_after(|shard| {
            let ark = shard.join("text.ark");
            let length = fs::metadata(&ark).expect("is there").len();
            let file = fs::OpenOptions::new().write(true).open(ark).expect("opens");
            file.set_len(length.saturating_add_signed(change)).expect("sets the length");
        }));
    }
}

/// Every item once, in order, each with its bytes. Where bytes were recomputed they may stand
/// elsewhere in the file than in an undisturbed run.
fn check_records(root: &Path) {
    let results = fs::read_to_string(root.join("results.jsonl")).expect("was collected");
    let items = results.lines().map(|line| {
        let record: serde_json::Value = serde_json::from_str(line).expect("a record");
        record["idx"].as_u64().expect("an index")
    });
    assert_eq!(items.collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
    check_places(root);
}
