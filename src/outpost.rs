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
use crate::roster::{Life, Worker, life};
use crate::run_dir::{RunDir, ShardName, ShardState};
use crate::spec::Spec;
use crate::stage_files::stamp;
use crate::stop::Stop;

/// Relative to the home directory there.
const STAGE_DIRECTORY: &str = ".cache/espnet3-par";

/// In the recipe's directory there: what was copied, each with its stamp.
const STAMPS: &str = ".staged";

/// Workers that a courier left behind are waited for, so many seconds.
const WAIT: &str = "1 2 3 4 5 6 7 8";

/// So much of a checksum names a file.
const DIGITS: usize = 16;

/// A courier's things on its host.
pub(crate) struct Outpost<'a> {
    pub remote: Remote<'a>,
    /// The run's folder there.
    folder: String,
    /// The couriers that were there before and have not taken everything with them.
    earlier: Vec<String>,
    /// The run directory there.
    run: RunDir,
    job: Job,
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
        let key = key(&crate::identity::host(), &root, host);

        let wanted = ssh.stage_directory.as_deref().unwrap_or(STAGE_DIRECTORY);
        let wanted = wanted.strip_prefix("~/").unwrap_or(wanted);
        let bin = format!("bin/{}", &sum[..DIGITS]);
        // What a shell says before it comes to the script is not ours.
        let said = remote.run(&format!(
            "umask 077; cd && mkdir -p -- {0} && cd -- {0} && mkdir -p bin {key}/recipe {key}/runs && echo at:$(pwd -P) && {{ [ ! -x {bin}/{1} ] || echo has:program; }} && {{ [ ! -e {key}/recipe/{STAMPS} ] || cat {key}/recipe/{STAMPS}; }} && for one in {key}/runs/*; do echo courier:${{one##*/}}; done",
            quote(wanted),
            quote(name),
        ))?;
        let at = said.lines().find_map(|line| line.strip_prefix("at:"));
        let at = at.with_context(|| format!("{host} did not say where {wanted} is"))?;
        let folder = format!("{at}/{key}");
        let earlier = said.lines().filter_map(|line| line.strip_prefix("courier:"));
        let earlier = earlier.filter(|name| *name != "*").map(str::to_owned).collect();
        if !said.lines().any(|line| line == "has:program") {
            log(&format!("copying {} to {host}", program.display()));
            let from = program.parent().unwrap_or(Path::new("/"));
            // Of several couriers that do this, one is the first to be ready.
            remote.send(from, &[name.to_owned()], &format!("{at}/{bin}.{courier}"), "true")?;
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
        remote.send(model.path(), &[courier.to_owned()], &format!("{folder}/runs"), "true")?;
        Ok(Self { remote, folder, earlier, run: there, job: theirs, outgoing: Vec::new() })
    }

    /// That a shard is not needed there any more.
    pub(crate) fn done_with(&mut self, name: &ShardName) {
        self.outgoing.push(name.to_string());
    }

    /// Brings shards there, from `shards`, the run's folder of shards here; removes what is done
    /// with, and looks.
    pub(crate) fn exchange(&mut self, shards: &Path, claims: &[&Claim]) -> Result<Seen> {
        let incoming = text(&self.run.incoming());
        let mut script =
            format!("new={} && cd {}", quote(&incoming), quote(&text(&self.run.shards())));
        let mut names = Vec::new();
        for claim in claims {
            let folder = claim.folder();
            let Some(name) = folder.file_name().and_then(|name| name.to_str()) else { continue };
            let todo = ShardName { shard: claim.shard, state: ShardState::Todo };
            // Workers see a shard when it is whole.
            script += &format!(" && mv \"$new\"/{name} {todo}");
            names.push(name.to_owned());
        }
        if !self.outgoing.is_empty() {
            script += &format!(" && rm -rf {}", self.outgoing.join(" "));
        }
        let (more, stop) = (quote(&text(&self.run.more())), quote(&text(&self.run.stop())));
        script += &format!(
            " && touch {more} && ls -1 && {{ [ ! -e {stop} ] || {{ printf stop:; cat {stop}; }}; }}"
        );
        let said = match names.is_empty() {
            true => self.remote.run(&script)?,
            false => self.remote.send(shards, &names, &incoming, &script)?,
        };
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
        self.fetch_from(&self.run, shards, &[], to)
    }

    /// The same, with all that tells of workers.
    pub(crate) fn fetch_all(&self, shards: &[ShardName], to: &RunDir) -> Result<()> {
        let inside = RunDir::new("");
        let rest = [inside.workers(), inside.logs(), inside.jobs()];
        self.fetch_from(&self.run, shards, &rest, to)
    }

    fn fetch_from(
        &self,
        run: &RunDir,
        shards: &[ShardName],
        rest: &[PathBuf],
        to: &RunDir,
    ) -> Result<()> {
        let inside = RunDir::new("").shards();
        let shards = shards.iter().map(|name| inside.join(name.to_string()));
        let names: Vec<String> =
            shards.chain(rest.iter().cloned()).map(|path| text(&path)).collect();
        self.remote.fetch(&text(run.root()), &names, to.root())
    }

    /// What couriers of this run that died or lost the host left there, once their workers have
    /// ended: courier, and shards.
    pub(crate) fn left_behind(&self, run: &RunDir) -> Result<Vec<(String, Vec<ShardName>)>> {
        let stop = serde_json::to_string(&Stop::Cancelled)?;
        let mut left = Vec::new();
        for earlier in &self.earlier {
            if life(run, earlier) != Life::Dead {
                continue;
            }
            let there = self.earlier_run(earlier);
            let Some(worker) = Worker::read(run, earlier) else {
                self.remove_left(earlier)?;
                continue;
            };
            let task = quote(&text(&there.task_json(worker.job, 0)));
            let said = self.remote.run(&format!(
                "cd {} && {{ [ ! -e {task} ] || printf %s {} > {}; }} && \
                 for second in {WAIT}; do [ ! -e {task} ] || sleep 1; done && ls -1",
                quote(&text(&there.shards())),
                quote(&stop),
                quote(&text(&there.stop())),
            ));
            // What was never complete has no folder for shards.
            left.push((
                earlier.clone(),
                said.map_or_else(|_| Vec::new(), |said| Seen::read(&said).shards),
            ));
        }
        Ok(left)
    }

    /// Copies what an earlier courier left here.
    pub(crate) fn fetch_left(
        &self,
        earlier: &str,
        shards: &[ShardName],
        to: &RunDir,
    ) -> Result<()> {
        let inside = RunDir::new("");
        let rest = [inside.spec(), inside.workers(), inside.logs()];
        self.fetch_from(&self.earlier_run(earlier), shards, &rest, to)
    }

    /// Removes what an earlier courier left.
    pub(crate) fn remove_left(&self, earlier: &str) -> Result<()> {
        self.remove_run(&self.earlier_run(earlier))
    }

    fn earlier_run(&self, courier: &str) -> RunDir {
        RunDir::new(format!("{}/runs/{courier}", self.folder))
    }

    /// Removes the run directory there.
    pub(crate) fn remove(&self) -> Result<()> {
        self.remove_run(&self.run)
    }

    fn remove_run(&self, run: &RunDir) -> Result<()> {
        self.remote.run(&format!("rm -rf {}", quote(&text(run.root())))).map(|_| ())
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
///
/// No other host's either: they may share a home.
fn key(here: &str, root: &Path, there: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' };
    let name = root.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let name: String = name.chars().map(word).take(40).collect();
    let sum = sha256_bytes(format!("{here}:{}:{there}", root.display()).as_bytes());
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
            remote.run(&format!("cd {} && rm -rf {STAMPS} {}", quote(to), quote(file)))?;
            remote.send(from, std::slice::from_ref(file), to, "true")?;
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
        let key = |here: &str, root: &str, there: &str| key(here, Path::new(root), there);
        let first = key("here", "/a/exp/vad", "there");
        assert_eq!(first, key("here", "/a/exp/vad", "there"));
        assert_ne!(first, key("here", "/b/exp/vad", "there"));
        assert_ne!(first, key("elsewhere", "/a/exp/vad", "there"));
        assert_ne!(first, key("here", "/a/exp/vad", "elsewhere"));
        assert!(key("h", "/a/exp/it's a", "g").starts_with("run-it_s_a-"));
    }
}
