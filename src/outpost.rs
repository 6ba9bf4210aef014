//! What a courier has on its host, below `stage_directory`: the program, the recipe's files, and a
//! run directory with the shards that it brought.
//!
//! `bin/` is for all runs and named by content. A run has a folder of its own, and in it each courier
//! a run directory, so that what an earlier one left, even if it still lives, is in nobody's way.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::checksum::{sha256, sha256_bytes};
use crate::claim::Claim;
use crate::cluster::Ssh;
use crate::job::{Job, Task};
use crate::launch::{Started, TASK};
use crate::log::log;
use crate::remote::{Remote, quote};
use crate::run_dir::{RunDir, ShardName, ShardState};
use crate::spec::Spec;
use crate::stage_files::stamp;
use crate::stop::Stop;

/// Relative to the home directory there.
const STAGE_DIRECTORY: &str = ".cache/espnet3-par";

/// In the recipe's directory there: what was copied, each with its stamp.
const STAMPS: &str = ".staged";

/// So much of a checksum names a file.
const DIGITS: usize = 16;

/// A courier's things on its host.
pub(crate) struct Outpost<'a> {
    pub remote: Remote<'a>,
    host: String,
    /// The run's folder there.
    folder: String,
    /// The run directory there.
    run: RunDir,
    job: Job,
    /// Brought, but not to be seen by workers yet: old and new name.
    incoming: Vec<(String, String)>,
    /// No longer needed there.
    outgoing: Vec<String>,
}

/// How it is there.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub shards: Vec<ShardName>,
    pub stop: Option<Stop>,
}

impl<'a> Outpost<'a> {
    /// Makes what must be there before work can begin.
    pub(crate) fn set_up(
        remote: Remote<'a>,
        run: &RunDir,
        spec: &Spec,
        job: &Job,
        (task, host, courier): (u32, &str, &str),
    ) -> Result<Self> {
        let (ssh, _) = Ssh::read(&job.options);
        let program = PathBuf::from(&job.argv[0]);
        let name = program.file_name().and_then(|name| name.to_str()).context("no program")?;
        let sum = sha256(&program)?;
        let root = std::path::absolute(run.root())?;
        let key = key(&crate::identity::host(), &root);

        let wanted = ssh.stage_directory.as_deref().unwrap_or(STAGE_DIRECTORY);
        let wanted = wanted.strip_prefix("~/").unwrap_or(wanted);
        let bin = format!("bin/{}", &sum[..DIGITS]);
        // What a shell says before it comes to the script is not ours.
        let said = remote.run(&format!(
            "umask 077; cd && mkdir -p -- {0} && cd -- {0} && mkdir -p bin {key}/recipe {key}/runs && echo at:$(pwd -P) && {{ [ ! -x {bin}/{1} ] || echo has:program; }} && {{ [ ! -e {key}/recipe/{STAMPS} ] || cat {key}/recipe/{STAMPS}; }}",
            quote(wanted),
            quote(name),
        ))?;
        let at = said.lines().find_map(|line| line.strip_prefix("at:"));
        let at = at.with_context(|| format!("{host} did not say where {wanted} is"))?;
        let folder = format!("{at}/{key}");
        if !said.lines().any(|line| line == "has:program") {
            log(&format!("copying {} to {host}", program.display()));
            let from = program.parent().unwrap_or(Path::new("/"));
            // Of several couriers that do this, one is the first to be ready.
            remote.send(from, &[name.to_owned()], &format!("{at}/{bin}.{courier}"))?;
            remote.run(&format!(
                "cd {} && {{ [ ! -d {bin} ] || rm -rf {bin}.{courier}; }} && {{ [ -d {bin} ] || mv {bin}.{courier} {bin}; }}",
                quote(at)
            ))?;
        }

        let recipe = format!("{folder}/recipe");
        send_files(&remote, host, &job.recipe_dir, &ssh.stage_files, &recipe, &said)?;

        let there = RunDir::new(format!("{folder}/runs/{courier}"));
        let text = |path: &Path| path.display().to_string();
        let number = job.number.to_string();
        let theirs = Job {
            first_rank: job.rank(task),
            tasks: vec![Task::of(job.tasks.get(task as usize).map_or(0, |task| task.workers))],
            options: serde_json::Map::new(),
            recipe_dir: recipe.into(),
            argv: [&format!("{at}/{bin}/{name}"), TASK, &text(there.root()), "--job", &number]
                .map(str::to_owned)
                .to_vec(),
            ..job.clone()
        };
        let model = tempfile::tempdir()?;
        write_model(&RunDir::new(model.path().join(courier)), spec, &theirs)
            .context("failed to prepare a run directory")?;
        remote.send(model.path(), &[courier.to_owned()], &format!("{folder}/runs"))?;
        Ok(Self {
            remote,
            host: host.to_owned(),
            folder,
            run: there,
            job: theirs,
            incoming: Vec::new(),
            outgoing: Vec::new(),
        })
    }

    /// Brings shards there, as they are in `shards`, the run's folder of shards here. Workers find
    /// them with the next [`look`](Self::look).
    pub(crate) fn send(&mut self, shards: &Path, claims: &[&Claim]) -> Result<()> {
        let name = |claim: &&Claim| {
            let folder = claim.folder();
            folder.file_name().and_then(|name| name.to_str()).map(str::to_owned)
        };
        let names: Vec<String> = claims.iter().filter_map(name).collect();
        self.remote.send(shards, &names, &text(&self.run.incoming()))?;
        let todo = claims
            .iter()
            .map(|claim| ShardName { shard: claim.shard, state: ShardState::Todo }.to_string());
        self.incoming.extend(names.into_iter().zip(todo));
        Ok(())
    }

    /// That a shard is not needed there any more.
    pub(crate) fn done_with(&mut self, name: &ShardName) {
        self.outgoing.push(name.to_string());
    }

    /// Has workers find what was brought, removes what is done with, and looks.
    pub(crate) fn look(&mut self) -> Result<Seen> {
        let mut script = format!("cd {}", quote(&text(&self.run.shards())));
        let incoming = text(&self.run.incoming());
        for (old, new) in &self.incoming {
            // An order may have been carried out though its giver never heard of it.
            let old = quote(&format!("{incoming}/{old}"));
            script += &format!(" && {{ [ ! -e {old} ] || mv {old} {new}; }}");
        }
        if !self.outgoing.is_empty() {
            script += &format!(" && rm -rf {}", self.outgoing.join(" "));
        }
        let (more, stop) = (quote(&text(&self.run.more())), quote(&text(&self.run.stop())));
        script += &format!(
            " && touch {more} && ls -1 && {{ [ ! -e {stop} ] || {{ printf stop:; cat {stop}; }}; }}"
        );
        let said = self.remote.run(&script)?;
        self.incoming.clear();
        self.outgoing.clear();
        Ok(Seen::read(&said))
    }

    /// Starts the task there; its words go into `log`.
    pub(crate) fn start(&self, log: &File) -> Result<Started> {
        let recipe = text(&self.job.recipe_dir);
        let command = shell_words::join(&self.job.argv);
        self.remote.start(&format!("cd {} && exec {command} --lifeline", quote(&recipe)), log)
    }

    /// Tells workers that no more shards come.
    pub(crate) fn no_more(&self) -> Result<()> {
        self.remote.run(&format!("rm -f {}", quote(&text(&self.run.more())))).map(|_| ())
    }

    /// Copies shards here, into the run directory `to`.
    pub(crate) fn fetch(&self, shards: &[ShardName], to: &RunDir) -> Result<()> {
        self.fetch_from(&self.run, shards, false, to)
    }

    /// The same, with all that tells of workers.
    pub(crate) fn fetch_all(&self, shards: &[ShardName], to: &RunDir) -> Result<()> {
        self.fetch_from(&self.run, shards, true, to)
    }

    fn fetch_from(&self, run: &RunDir, shards: &[ShardName], all: bool, to: &RunDir) -> Result<()> {
        let inside = RunDir::new("");
        let shards = shards.iter().map(|name| inside.shards().join(name.to_string()));
        let rest = [inside.workers(), inside.logs(), inside.jobs()];
        let rest = rest.into_iter().filter(|_| all);
        let names: Vec<String> = shards.chain(rest).map(|path| text(&path)).collect();
        self.remote.fetch(&text(run.root()), &names, to.root())
    }

    /// Removes the run directory there.
    pub(crate) fn remove(&self) -> Result<()> {
        self.remote.run(&format!("rm -rf {}", quote(&text(self.run.root())))).map(|_| ())
    }
}

impl Seen {
    fn read(said: &str) -> Self {
        let shards = said.lines().filter_map(ShardName::parse).collect();
        let stop = said.lines().find_map(|line| line.strip_prefix("stop:"));
        Self { shards, stop: stop.and_then(|stop| serde_json::from_str(stop).ok()) }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The name of a run's folder on its hosts: always the same, and no other run's.
fn key(host: &str, root: &Path) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' };
    let name = root.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let name: String = name.chars().map(word).take(40).collect();
    let sum = sha256_bytes(format!("{host}:{}", root.display()).as_bytes());
    format!("run-{name}-{}", &sum[..DIGITS])
}

/// Copies those of the recipe's files that are not there, or were something else when they came.
fn send_files(
    remote: &Remote<'_>,
    host: &str,
    from: &Path,
    files: &[String],
    to: &str,
    said: &str,
) -> Result<()> {
    let there: BTreeSet<&str> = said.lines().collect();
    let mut stamps = String::new();
    for file in files {
        let stamp = stamp(from, file)
            .with_context(|| format!("failed to read `{file}` of `stage_files`"))?;
        let line = format!("{stamp} {file:?}");
        if !there.contains(line.as_str()) {
            log(&format!("copying {file} to {host}"));
            remote.run(&format!("cd {} && rm -rf {}", quote(to), quote(file)))?;
            remote.send(from, std::slice::from_ref(file), to)?;
        }
        stamps += &format!(" {}", quote(&line));
    }
    if files.is_empty() {
        return Ok(());
    }
    remote.run(&format!("cd {} && printf '%s\\n'{stamps} > {STAMPS}", quote(to))).map(|_| ())
}

/// The run directory as it is there at first.
fn write_model(run: &RunDir, spec: &Spec, job: &Job) -> Result<()> {
    for folder in [run.shards(), run.workers(), run.logs(), run.job(job.number)] {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(run.spec(), serde_json::to_vec(spec)?)?;
    std::fs::write(run.job_json(job.number), serde_json::to_vec_pretty(job)?)?;
    Ok(std::fs::write(run.more(), "")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_look_says_is_read() {
        let stop = serde_json::to_string(&Stop::Cancelled).expect("is JSON");
        let seen = Seen::read(&format!(
            "Welcome to h1!\nsplit.1\nsplit.2.todo\nsplit.30.2.wab\nstop:{stop}"
        ));
        let names: Vec<String> = seen.shards.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["split.1", "split.2.todo", "split.30.2.wab"]);
        assert_eq!(seen.stop, Some(Stop::Cancelled));
        assert_eq!(Seen::read(""), Seen::default());
    }

    #[test]
    fn runs_have_folders_of_their_own() {
        let key = |host: &str, root: &str| key(host, Path::new(root));
        assert_eq!(key("h", "/a/exp/vad"), key("h", "/a/exp/vad"));
        assert!(key("h", "/a/exp/it's a").starts_with("run-it_s_a-"));
        assert_ne!(key("h", "/a/exp/vad"), key("h", "/b/exp/vad"));
        assert_ne!(key("h", "/a/exp/vad"), key("g", "/a/exp/vad"));
    }
}
