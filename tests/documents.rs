//! The configs of the documents and of `conf/`: each is taken, and becomes what a cluster gets. Files of
//! recipes that a document shows are as it shows them.

#![cfg(feature = "speech")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(ROOT).join(folder)).expect("a folder").flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == ending))
        .collect();
    files.sort();
    files
}

/// `parallel:` sections, and where they stand.
fn sections() -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = files("conf", "yaml")
        .into_iter()
        .map(|path| (path.display().to_string(), fs::read_to_string(path).expect("is a text")))
        .collect();
    for path in files("docs", "md") {
        let text = fs::read_to_string(&path).expect("is a text");
        let blocks = text.split("\n```yaml\n").skip(1);
        let blocks = blocks.filter_map(|rest| Some(rest.split_once("\n```\n")?.0));
        let alone = blocks.filter(|block| block.starts_with("parallel:"));
        sections.extend(alone.map(|block| (path.display().to_string(), block.to_owned())));
    }
    sections
}

#[test]
fn every_parallel_section_can_be_laid_over_a_recipe() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let espnet3_par = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_espnet3-par"));
        // GPUs as a machine with four has them.
        command.env("CUDA_VISIBLE_DEVICES", "0,1,2,3");
        command.args(args).current_dir(folder.path()).output().expect("starts")
    };
    assert!(espnet3_par(&["init", "."]).status.success());
    let sections = sections();
    assert!(sections.len() > 12, "{}", sections.len());
    for (place, section) in sections {
        fs::write(folder.path().join("over.yaml"), &section).expect("writes");
        // Unlike `check` it asks no scheduler.
        let output = espnet3_par(&["run", "--dry-run", "conf/train.yaml", "over.yaml"]);
        assert!(output.status.success(), "{place}:\n{section}\n{output:?}");
        let env = section.lines().find_map(|line| line.trim().strip_prefix("env: "));
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(shown.contains(env.expect("names a cluster").trim()), "{place}: {shown}");
    }
}

/// What a document shows as a file of a recipe: a line that ends in its path, and a block.
fn shown(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("`:\n\n```").skip(1).zip(text.split("`:\n\n```")).filter_map(|(after, before)| {
        let (_, path) = before.rsplit_once('`')?;
        let (_language, block) = after.split_once('\n')?;
        Some((path, block.split_once("\n```\n")?.0))
    })
}

#[test]
fn recipes_files_are_as_the_documents_show_them() {
    let mut found = 0;
    for document in files("docs", "md") {
        let text = fs::read_to_string(&document).expect("is a text");
        for (path, block) in shown(&text).filter(|(path, _)| path.starts_with("recipes/")) {
            let file = fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_default();
            assert!(file == format!("{block}\n"), "{}: {path} is\n{file}", document.display());
            found += 1;
        }
    }
    assert!(found >= 9, "{found}");
}
