//! A folder in which steps of a recipe are called.

use std::fs;
use std::path::PathBuf;

use crate::common::recipe::{Call, Ended, Recipe};

/// The recipe's own config is not used: `queue` needs none.
pub(crate) struct Steps(pub Recipe);

impl Steps {
    pub(crate) fn new() -> Self {
        Self(Recipe::new(""))
    }

    pub(crate) fn start(&self, words: &[&str]) -> Call {
        self.0.start(&[&["queue"], words].concat())
    }

    pub(crate) fn call(&self, words: &[&str]) -> Ended {
        self.start(words).wait()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("makes folders");
        fs::write(path, text).expect("writes");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What a job printed: the log without its head and tail.
    pub(crate) fn output(&self, log: &str) -> String {
        let text = self.read(log);
        let lines = text.split_inclusive('\n').filter(|line| !line.starts_with('#'));
        lines.collect()
    }
}
