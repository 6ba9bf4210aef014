//! A small run that is struck again and again, and judged each time.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::process::Command;

use super::{NEVER, Shim};
use crate::common::disk::{check_files, recorded, said};
use crate::common::processes::{kill_all, of_run};
use crate::common::recipe::{Ended, Recipe};
use crate::common::until::wait_until;

/// A small run that is struck again and again, and what came of it.
pub(super) struct Sweep {
    recipe: Recipe,
    files: bool,
    expected: String,
    /// Whether each run goes on from one whose processes were all killed amid two shards.
    resumes: bool,
    injected: u64,
    /// Strikes by process and kind.
    struck: BTreeMap<String, u64>,
    /// What did not go as it should.
    wrong: Vec<String>,
}

impl Sweep {
    pub(super) fn new(files: bool, resumes: bool) -> Self {
        let config = format!(
            "toy: {{n: 12, files: {files}}}\nparallel: {{env: local, n_workers: 2, shard_size: 4}}"
        );
        let recipe = Recipe::held_at(0, &config);
        let expected = recipe.undisturbed();
        if resumes {
            let hangs = r#"{"2": "hang", "6": "hang"}"#;
            fs::write(recipe.path("faults.json"), hangs).expect("writes");
            let driver = recipe.start_run(&[]);
            wait_until("records", || recorded(&recipe.root).len() == 4);
            kill_all(&recipe.root, Some(driver.pid()));
            recipe.release();
            fs::rename(&recipe.root, recipe.path("killed")).expect("renames");
        }
        let (struck, wrong) = (BTreeMap::new(), Vec::new());
        Self { recipe, files, expected, resumes, injected: 0, struck, wrong }
    }

    /// How many calls of this kind a run makes.
    pub(super) fn calls(&self, kind: &str) -> u64 {
        self.reset();
        let shim = Shim::of(&self.recipe).with("SHIM_FAIL", format!("{kind} {NEVER} 0 1 0 undone"));
        shim.start_run(&self.recipe).wait().expect_code(0);
        shim.calls()
    }

    fn reset(&self) {
        let root = &self.recipe.root;
        let _ = fs::remove_dir_all(root);
        if self.resumes {
            let killed = self.recipe.path("killed");
            let copied = Command::new("cp").arg("-r").arg(killed).arg(root).status();
            assert!(copied.expect("cp starts").success());
        }
    }

    /// Runs with calls `numbers` of these kinds failing, then without.
    pub(super) fn strike(&mut self, kinds: &str, (first, last): (u64, u64), error: i32, how: &str) {
        self.reset();
        let recipe = &self.recipe;
        let plan = format!("{kinds} {first} {last} 1 {error} {how}");
        let shim = Shim::of(recipe).with("SHIM_FAIL", &plan);
        let ended = shim.start_run(recipe).wait();
        wait_until("nobody works", || of_run(&recipe.root).is_empty());
        let struck = shim.struck();
        self.injected += 1;
        for line in &struck {
            let process_and_kind = line.split_once(" /").expect("a line of the shim").0;
            *self.struck.entry(process_and_kind.to_owned()).or_default() += 1;
        }
        // Nobody knows of an error that went away before it could be written down.
        let untold = last != NEVER && struck.iter().any(|line| line.contains("/logs/"));
        let judged = self.judge(&ended, error, untold).and_then(|()| {
            // The disk is sound again.
            let again = self.recipe.run(&[]);
            self.judge_whole(&again)
        });
        if let Err(why) = judged {
            let first = &struck[..struck.len().min(3)];
            self.wrong.push(format!("{plan}, resumed: {}, {first:?}: {why}", self.resumes));
        }
    }

    /// Whether a run that was struck ended as it should.
    fn judge(&self, ended: &Ended, error: i32, untold: bool) -> Result<(), String> {
        if ended.err.contains("panicked") || said(&self.recipe.root, "panicked") > 0 {
            return Err(format!("a panic: {ended:?}"));
        }
        let error = io::Error::from_raw_os_error(error).to_string();
        let name = error.split(" (").next().expect("a message");
        match ended.status.code() {
            Some(0) => self.judge_whole(ended),
            Some(3 | 5) if untold || ended.err.contains(name) => Ok(()),
            Some(3 | 5) => Err(format!("{name:?} is not told: {ended:?}")),
            _ => Err(format!("{ended:?}")),
        }
    }

    fn judge_whole(&self, ended: &Ended) -> Result<(), String> {
        if ended.status.code() != Some(0) || self.recipe.results() != self.expected {
            return Err(format!("not the same bytes: {ended:?}"));
        }
        if self.files {
            check_files(&self.recipe.root);
        }
        Ok(())
    }

    /// That it struck where it should have, and how often.
    pub(super) fn conclude(&self, name: &str, processes: &[&str]) {
        let strikes: u64 = self.struck.values().sum();
        println!("{name}: {} runs, {strikes} strikes: {:?}", self.injected, self.struck);
        assert!(
            self.wrong.is_empty(),
            "{} went wrong:\n{}",
            self.wrong.len(),
            self.wrong.join("\n")
        );
        assert!(strikes > 0, "nothing was struck");
        for process in processes {
            let met = self.struck.keys().any(|line| line.starts_with(process));
            assert!(met, "no {process} was struck: {:?}", self.struck);
        }
    }
}
