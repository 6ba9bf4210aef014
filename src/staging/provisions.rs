//! What a courier brings to its host, below `stage_directory`, before it brings shards: this program,
//! and the recipe's files.
//!
//! `bin/` is for all runs and named by content. Each run has a folder of its own: `recipe/`, the
//! working directory there, and `runs/`, with a run directory for each courier.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::remote::{Remote, quote};
use super::stage_files::{STAMPS, send_files};
use crate::checksum::{sha256, sha256_bytes};
use crate::cluster::Ssh;
use crate::job::Job;
use crate::log::log;
use crate::run_dir::RunDir;

/// Relative to the home directory there.
const STAGE_DIRECTORY: &str = ".cache/espnet3-par";

/// So much of a checksum names a file.
const DIGITS: usize = 16;

/// Where things are there.
pub(crate) struct Provisions {
    /// The run's folder.
    pub folder: String,
    pub program: String,
    /// The working directory.
    pub recipe: String,
    /// The couriers that were there before and have not taken everything with them.
    pub earlier: Vec<String>,
}

impl Provisions {
    /// Brings what is not there yet.
    pub(crate) fn bring(
        remote: &Remote<'_>,
        run: &RunDir,
        job: &Job,
        host: &str,
        courier: &str,
    ) -> Result<Self> {
        let (ssh, _) = Ssh::read(&job.options);
        let program = PathBuf::from(&job.argv[0]);
        let name = program.file_name().and_then(|name| name.to_str()).context("no program")?;
        let bin = format!("bin/{}", &sha256(&program)?[..DIGITS]);
        let key = key(&crate::identity::host(), &std::path::absolute(run.root())?, host);
        let wanted = ssh.stage_directory.as_deref().unwrap_or(STAGE_DIRECTORY);
        let wanted = wanted.strip_prefix("~/").unwrap_or(wanted);
        let script = [
            "umask 077".to_owned(),
            "cd".to_owned(),
            format!("mkdir -p -- {0} && cd -- {0}", quote(wanted)),
            format!("mkdir -p bin {key}/recipe {key}/runs"),
            "printf 'at:%s\\n' \"$(pwd -P)\"".to_owned(),
            format!("{{ [ ! -x {bin}/{} ] || echo has:program; }}", quote(name)),
            format!("{{ [ ! -e {key}/recipe/{STAMPS} ] || cat {key}/recipe/{STAMPS}; }}"),
            format!("for one in {key}/runs/*; do echo \"courier:${{one##*/}}\"; done"),
        ];
        // What a shell says before it comes to the script is not ours: lines are marked.
        let said = remote.run(&script.join(" && "))?;
        let marked =
            |mark: &'static str| said.lines().filter_map(move |line| line.strip_prefix(mark));
        let at = marked("at:").next();
        let at = at.with_context(|| format!("{host} did not say where {wanted} is"))?;
        if marked("has:").next().is_none() {
            log(&format!("copying {} to {host}", program.display()));
            let from = program.parent().unwrap_or(Path::new("/"));
            // Of several couriers that do this, one is the first to be ready.
            let new = format!("{bin}.{courier}");
            remote.send(from, &[name.to_owned()], &format!("{at}/{new}"), "true")?;
            let first = format!("{{ [ -d {bin} ] || mv {new} {bin}; }}");
            remote.run(&format!("cd {} && {first} && rm -rf {new}", quote(at)))?;
        }
        let folder = format!("{at}/{key}");
        let recipe = format!("{folder}/recipe");
        send_files(remote, host, &job.recipe_dir, &ssh.stage_files, &recipe, &said)?;
        let program = format!("{at}/{bin}/{name}");
        let earlier = marked("courier:").filter(|name| *name != "*").map(str::to_owned).collect();
        Ok(Self { folder, program, recipe, earlier })
    }
}

/// The name of a run's folder on its hosts: always the same, and no other run's.
///
/// No other host's either: they may share a home.
fn key(here: &str, root: &Path, there: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' };
    let name = root.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let name: String = name.chars().map(word).take(40).collect();
    let sum = sha256_bytes(format!("{here}:{}:{there}", root.display()).as_bytes());
    format!("run-{name}-{}", &sum[..DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_have_folders_of_their_own() {
        let key = |here: &str, root: &str, there: &str| key(here, Path::new(root), there);
        let first = key("here", "/a/exp/vad", "there");
        assert_eq!(first, key("here", "/a/exp/vad", "there"));
        assert_ne!(first, key("here", "/b/exp/vad", "there"));
        assert_ne!(first, key("elsewhere", "/a/exp/vad", "there"));
        assert_ne!(first, key("here", "/a/exp/vad", "elsewhere"));
        assert!(key("h", "/a/exp/it's a", "g").starts_with("run-it_s_a-"));
    }
}
