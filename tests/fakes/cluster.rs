//! A recipe with fake commands on PATH.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::processes::send;
use crate::common::recipe::{Call, Ended, Recipe};
use crate::common::until::wait_until;

/// A recipe, the fake commands in its folder, and what they keep there. Ends all of it when dropped.
pub(crate) struct Cluster {
    pub recipe: Recipe,
    /// Environment of the commands: `NAME=VALUE`.
    pub env: Vec<(&'static str, String)>,
}

impl Cluster {
    /// `script` of this folder plays `commands`.
    pub(crate) fn new(recipe: Recipe, script: &str, commands: &[&str]) -> Self {
        fs::create_dir_all(recipe.path("bin")).expect("makes the folder");
        fs::create_dir_all(recipe.path("cluster/home")).expect("makes the folder");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes").join(script);
        for command in commands {
            symlink(&script, recipe.path("bin").join(command)).expect("links");
        }
        let state = recipe.path("cluster").display().to_string();
        Self { recipe, env: vec![("FAKE_CLUSTER", state)] }
    }

    pub(crate) fn start(&self, args: &[&str]) -> Call {
        self.start_with(args, |_| {})
    }

    pub(crate) fn start_with(&self, args: &[&str], change: impl FnOnce(&mut Command)) -> Call {
        self.recipe.start_with(args, |command| {
            let bin = self.recipe.path("bin");
            command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
            command.envs(self.env.iter().map(|(name, value)| (name, value)));
            change(command);
        })
    }

    pub(crate) fn call(&self, args: &[&str]) -> Ended {
        self.start(args).wait()
    }

    pub(crate) fn run(&self, more: &[&str]) -> Ended {
        self.call(&[&["run", "conf.yaml"], more].concat())
    }

    /// `status --json` of the run.
    pub(crate) fn status(&self) -> serde_json::Value {
        status(&self.call(&["status", "--json", self.recipe.root_text()]))
    }

    /// The same while the scheduler cannot be asked.
    pub(crate) fn status_while_down(&self) -> serde_json::Value {
        let args = ["status", "--json", self.recipe.root_text()];
        let down = |command: &mut Command| {
            command.env("FAKE_DOWN", "1");
        };
        status(&self.start_with(&args, down).wait())
    }

    /// How many calls of the commands begin with these words.
    pub(crate) fn calls(&self, words: &str) -> usize {
        let calls = fs::read_to_string(self.recipe.path("cluster/calls")).unwrap_or_default();
        calls.lines().filter(|line| line.starts_with(words)).count()
    }

    pub(crate) fn wait_for_nobody(&self) {
        wait_until("all processes to end", || {
            // A look at all processes is a long one.
            std::thread::sleep(Duration::from_millis(20));
            self.processes().is_empty()
        });
    }

    /// The processes that have something of this folder on their command line: the driver, what
    /// keeps the jobs going, scripts, tasks, workers.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let folder = self.recipe.path("").display().to_string();
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let ours = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&folder)
        };
        pids.filter(ours).collect()
    }
}

fn status(ended: &Ended) -> serde_json::Value {
    let mut runs: serde_json::Value = serde_json::from_str(&ended.out)
        .unwrap_or_else(|error| panic!("status: {error}: {ended:?}"));
    runs[0].take()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // What starts tasks is among them: once more for what was started meanwhile.
        loop {
            let left = self.processes();
            left.iter().for_each(|pid| send(*pid, Signal::SIGKILL));
            if left.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
