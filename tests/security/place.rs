//! A run, and a folder outside it that must stay as it is.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::disk::{shards, snapshot};
use crate::common::recipe::{Ended, Recipe};

/// No command takes so long, on however busy a machine, but one that hangs.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

pub(crate) struct Place {
    pub recipe: Recipe,
}

impl Place {
    /// With a complete run of four items in two shards.
    pub(crate) fn with_a_run() -> Self {
        let recipe = Recipe::new("toy: {n: 4}\nparallel: {env: local, shards: 2}");
        recipe.run(&[]).expect_code(0);
        fs::create_dir(recipe.path("outside")).expect("makes it");
        fs::write(recipe.path("outside/file"), "precious\n").expect("writes");
        Self { recipe }
    }

    /// The same with nothing computed of its first shard: its folder, to be written into.
    pub(crate) fn with_work_to_do() -> (Self, PathBuf) {
        let place = Self::with_a_run();
        let todo = place.root().join("shards/split.0.todo");
        fs::remove_dir_all(place.root().join("shards/split.0")).expect("removes");
        fs::create_dir(&todo).expect("makes it");
        (place, todo)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.recipe.root
    }

    pub(crate) fn outside(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        snapshot(&self.recipe.path("outside"))
    }

    /// Moves what is there out of the run directory, and leaves a link to it.
    pub(crate) fn lead_out(&self, name: &str) {
        let moved = self.recipe.path("outside").join(name.replace('/', "_"));
        fs::rename(self.root().join(name), &moved).expect("moves it");
        symlink(moved, self.root().join(name)).expect("links");
    }

    pub(crate) fn call(&self, args: &[&str]) -> Ended {
        let ended = self.recipe.start(args).wait_within(BOUND);
        let code = ended.status.code().unwrap_or_else(|| panic!("{args:?}: {ended:?}"));
        assert!(code < 6 && !ended.err.contains("panicked"), "{args:?}: {ended:?}");
        ended
    }

    /// Every command that reads a run directory or writes into it.
    pub(crate) fn call_all(&self) -> Vec<Ended> {
        let root = self.recipe.root_text();
        [
            &["status", root][..],
            &["logs", root],
            &["collect", root, "--stdout"],
            &["collect", root],
            &["cancel", root],
            &["run", "conf.yaml"],
            &["run", "conf.yaml", "--retry-failed"],
        ]
        .map(|args| self.call(args))
        .into()
    }

    /// A file of the run, by a name in which `*` stands for the worker.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        let workers = fs::read_dir(self.root().join("workers")).expect("is there").flatten();
        let mut names = workers.filter_map(|entry| entry.file_name().into_string().ok());
        let worker = names.find_map(|name| Some(name.strip_suffix(".json")?.to_owned()));
        self.root().join(name.replace('*', &worker.expect("one worked")))
    }

    pub(crate) fn expect_complete(&self) {
        assert_eq!(shards(self.root()), ["split.0", "split.1"]);
    }
}
