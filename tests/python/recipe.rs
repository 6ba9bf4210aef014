//! A recipe whose classes are in `classes/`; they leave notes of what they do in a file.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::common::processes::kill_all;
use crate::common::recipe::{Call, Ended, Recipe};

/// A recipe for the real program.
pub(crate) struct PythonRecipe(Recipe);

impl Deref for PythonRecipe {
    type Target = Recipe;

    fn deref(&self) -> &Recipe {
        &self.0
    }
}

/// A Python to test with. Where there is none the tests pass, but not with `PAR_PYTHON=required`.
pub(crate) fn python() -> Option<&'static str> {
    static FOUND: OnceLock<Option<&'static str>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        // The shims of version managers take their time at every start.
        let works = |python: &&str| {
            Command::new(python)
                .arg("--version")
                .output()
                .is_ok_and(|output| output.status.success())
        };
        let found = ["/usr/bin/python3", "python3"].into_iter().find(works);
        if found.is_none() {
            let required = std::env::var("PAR_PYTHON").is_ok_and(|word| word == "required");
            assert!(!required, "there is no python3");
            eprintln!("skipped: there is no python3");
        }
        found
    })
}

/// A recipe with a provider and a runner of `classes/`, where there is a Python.
pub(crate) fn recipe(provider: &str, runner: &str, config: &str) -> Option<PythonRecipe> {
    let python = python()?;
    let program = PathBuf::from(env!("CARGO_BIN_EXE_espnet3-par"));
    let text = format!(
        "python: {python}\nprovider: {{_target_: {provider}}}\nrunner: {{_target_: {runner}}}\n{config}"
    );
    Some(PythonRecipe(Recipe::of(program, &text)))
}

impl PythonRecipe {
    pub(crate) fn start_run(&self, more: &[&str]) -> Call {
        self.start_at(&self.root, more)
    }

    pub(crate) fn run(&self, more: &[&str]) -> Ended {
        self.start_run(more).wait()
    }

    fn start_at(&self, root: &Path, more: &[&str]) -> Call {
        let output_dir = format!("output_dir={}", root.display());
        let args = [&["run", "conf.yaml", "--set", &output_dir], more].concat();
        self.start_with(&args, |command| {
            let classes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/classes");
            command
                .env_remove("PYTHONUNBUFFERED")
                .env("PYTHONPATH", classes)
                .env("PYTHONDONTWRITEBYTECODE", "1");
            command.env("NOTES", self.path("notes"));
        })
    }

    /// What a run of the same config gives in another directory, where nothing happens to it.
    pub(crate) fn elsewhere(&self, more: &[&str], code: i32) -> PathBuf {
        let root = self.path("elsewhere");
        self.start_at(&root, more).wait().expect_code(code);
        root
    }

    /// What the classes noted, and how often.
    pub(crate) fn notes(&self) -> BTreeMap<String, usize> {
        let mut notes = BTreeMap::new();
        for line in fs::read_to_string(self.path("notes")).unwrap_or_default().lines() {
            *notes.entry(line.to_owned()).or_default() += 1;
        }
        notes
    }

    pub(crate) fn noted(&self, note: &str) -> usize {
        self.notes().get(note).copied().unwrap_or_default()
    }

    /// How often each item was computed, of those that were.
    pub(crate) fn computed(&self) -> BTreeMap<u64, usize> {
        let forward = |(note, times): (String, usize)| {
            Some((note.strip_prefix("forward ")?.parse().ok()?, times))
        };
        self.notes().into_iter().filter_map(forward).collect()
    }

    pub(crate) fn forget_notes(&self) {
        let _ = fs::remove_file(self.path("notes"));
    }

    /// The records, each line read as JSON.
    pub(crate) fn records(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str(line).expect("a line is JSON");
        self.results().lines().map(read).collect()
    }

    /// All that the workers' logs have.
    pub(crate) fn log(&self) -> String {
        crate::common::disk::logs(&self.root).into_values().collect()
    }

    /// The Python processes that work for runs of this folder: those that have its notes in their
    /// environment.
    pub(crate) fn pythons(&self) -> Vec<u32> {
        let marker = format!("NOTES={}", self.path("notes").display());
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let python = |pid: &u32| {
            let file = |name| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            let marked =
                file("environ").split(|byte| *byte == 0).any(|word| word == marker.as_bytes());
            marked && String::from_utf8_lossy(&file("cmdline")).contains("espnet3_par_child")
        };
        pids.filter(python).collect()
    }
}

impl Drop for PythonRecipe {
    fn drop(&mut self) {
        kill_all(&self.path("elsewhere"), None);
    }
}

/// `{"idx":I,"square":I*I}` for each item.
pub(crate) fn squares(items: impl IntoIterator<Item = u64>) -> String {
    items.into_iter().map(|idx| format!("{{\"idx\":{idx},\"square\":{}}}\n", idx * idx)).collect()
}
