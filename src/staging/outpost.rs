//! What a courier has on its host besides its [`provisions`](super::provisions): a run directory with
//! the shards that it brought. Each courier has one of its own, so that what an earlier one left, even
//! if it still lives, is in nobody's way.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};

use super::provisions::Provisions;
use super::remote::{Remote, last_line, quote};
use crate::claim::Claim;
use crate::job::{Job, Task};
use crate::launch::{Started, TASK};
use crate::roster::{Life, Worker, life};
use crate::run_dir::{RunDir, ShardName, ShardState};
use crate::spec::Spec;
use crate::stop::Stop;

/// Workers that a courier left behind are waited for, so many seconds.
const WAIT: &str = "1 2 3 4 5 6 7 8";

/// Workers that have nothing in hand end within this time.
const END: Duration = Duration::from_secs(3);

/// Workers that are told to end have given back within this time.
const GIVE_BACK: Duration = Duration::from_secs(8);

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
    /// The task there; the file with its words, and where in it they begin.
    task: Option<(Started, (PathBuf, u64))>,
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
        let provisions = Provisions::bring(&remote, run, job, host, courier)?;
        let Provisions { folder, program, recipe, earlier } = provisions;
        let there = RunDir::new(format!("{folder}/runs/{courier}"));
        let number = job.number.to_string();
        let theirs = Job {
            first_rank: job.rank(task),
            tasks: vec![Task::of(job.tasks.get(task as usize).map_or(0, |task| task.workers))],
            options: serde_json::Map::new(),
            recipe_dir: recipe.into(),
            argv: [&program, TASK, &text(there.root()), "--job", &number]
                .map(str::to_owned)
                .to_vec(),
            ..job.clone()
        };
        let model = tempfile::tempdir()?;
        write_model(&RunDir::new(model.path().join(courier)), spec, &theirs)
            .context("failed to prepare a run directory")?;
        remote.send(model.path(), &[courier.to_owned()], &format!("{folder}/runs"), "true")?;
        Ok(Self {
            remote,
            folder,
            earlier,
            run: there,
            job: theirs,
            task: None,
            outgoing: Vec::new(),
        })
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

    /// Starts the task there, unless it was; its words go into the file `log`.
    pub(crate) fn start(&mut self, log: &Path) -> Result<()> {
        if self.task.is_none() {
            let recipe = quote(&text(&self.job.recipe_dir));
            let command = shell_words::join(&self.job.argv);
            let script = format!("cd {recipe} && exec {command} --lifeline");
            let file = File::options().append(true).open(log)?;
            let said = (log.to_owned(), file.metadata()?.len());
            self.task = Some((self.remote.start(&script, &file)?, said));
        }
        Ok(())
    }

    /// How the task there has ended, if it has, and what it said last.
    pub(crate) fn task_ended(&self) -> Result<Option<(ExitStatus, String)>> {
        let Some((task, (log, start))) = &self.task else { return Ok(None) };
        let Some(status) = task.try_wait()? else { return Ok(None) };
        let log = std::fs::read(log)?;
        let start = usize::try_from(*start).unwrap_or(0).min(log.len());
        let said = String::from_utf8_lossy(&log[start..]).into_owned();
        Ok(Some((status, last_line(&said).unwrap_or("it said nothing").to_owned())))
    }

    /// Ends the task there, if it was started: once its workers find that nothing is left, or else
    /// by giving back what they have in hand.
    pub(crate) fn end_task(&mut self, nothing_left: bool) -> Result<()> {
        let Some((task, _)) = &mut self.task else { return Ok(()) };
        if nothing_left {
            self.remote.run(&format!("rm -f {}", quote(&text(&self.run.more()))))?;
            task.rest(END)?;
        }
        task.stop();
        task.rest(GIVE_BACK)
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
}
