//! Faults injected at the C library, behind the run directory's module: `tests/faults/shim.c` is
//! compiled once and put in front of the toy, its tasks and its workers with LD_PRELOAD.
//!
//! A plain `cargo test` takes a seeded few of the places where a fault can strike; with PAR_LONG
//! in the environment each place is visited, and the tests print how many.

mod cancel;
mod errors;
mod nfs;
mod stopped;
mod sweep;
mod zombies;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::common::recipe::{Call, Recipe};

/// Whether every place is visited.
fn long() -> bool {
    std::env::var_os("PAR_LONG").is_some()
}

/// More than all calls of a run.
const NEVER: u64 = 1 << 40;

/// The shim, compiled by the first test that asks.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let library = folder.join("shim.so");
        let new = folder.join(format!("shim.{}.so", std::process::id()));
        let compiled = Command::new("cc")
            .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
            .args([&new, &source])
            .arg("-ldl")
            .output()
            .expect("these tests compile a C file: install cc, which cargo links with");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        // Another test program may be using the old one.
        fs::rename(&new, &library).expect("renames");
        library
    })
}

/// What the C library does to the processes of a recipe.
#[derive(Clone)]
struct Shim {
    variables: Vec<(&'static str, String)>,
    state: PathBuf,
    told: PathBuf,
}

impl Shim {
    /// Does nothing yet, and counts from zero.
    fn of(recipe: &Recipe) -> Self {
        let [state, told] = ["shim.state", "shim.told"].map(|name| recipe.path(name));
        for old in [&state, &told] {
            let _ = fs::remove_file(old);
        }
        let text = |path: &Path| path.to_str().expect("is UTF-8").to_owned();
        let variables = vec![
            ("LD_PRELOAD", text(library())),
            ("SHIM_DIR", text(&recipe.root)),
            ("SHIM_STATE", text(&state)),
            ("SHIM_TOLD", text(&told)),
        ];
        Self { variables, state, told }
    }

    /// With one of the variables that the shim's head explains.
    fn with(mut self, variable: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((variable, value.into()));
        self
    }

    fn start(&self, recipe: &Recipe, args: &[&str]) -> Call {
        recipe.start_with(args, |command| {
            command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        })
    }

    fn start_run(&self, recipe: &Recipe) -> Call {
        self.start(recipe, &["run", "conf.yaml"])
    }

    /// A line for each call that was struck.
    fn struck(&self) -> Vec<String> {
        let told = fs::read_to_string(&self.told).unwrap_or_default();
        told.lines().map(str::to_owned).collect()
    }

    /// How many calls of the kinds in SHIM_FAIL there were.
    fn calls(&self) -> u64 {
        let state = fs::read(&self.state).expect("the shim was there");
        u64::from_ne_bytes(state[..8].try_into().expect("a counter"))
    }
}

/// `count` different numbers of 1 to `most`, other ones with another seed; all in the long form.
fn places(most: u64, count: u64, seed: u64) -> Vec<u64> {
    if long() || count >= most {
        return (1..=most).collect();
    }
    // One in each of `count` equal stretches.
    let stretch = |nth: u64| (most * nth / count, most * (nth + 1) / count);
    let mut mixed = seed;
    let mut within = |(start, end): (u64, u64)| {
        mixed = mixed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        start + 1 + (mixed >> 33) % (end - start)
    };
    (0..count).map(stretch).map(&mut within).collect()
}

/// Seeds, so many in the short form.
fn rounds(few: u64) -> std::ops::Range<u64> {
    0..if long() { 40 } else { few }
}
