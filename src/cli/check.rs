//! `check`: what a config says when all is put together, and what a run of it would do.

use std::path::Path;

use clap::Args;

use super::ConfigArgs;
use super::fail::{Exit, Fail, say, tell};
use super::status::count;
use crate::cluster::{Reply, scheduler};
use crate::config::Config;
use crate::drive::{Planned, job, plan};
use crate::job::Job;
use crate::launch::ask_for_a_job;
use crate::run_dir::RunDir;
use crate::stage::Stage;
use crate::submit::{in_pieces, pieces, render, write_files};
use crate::survey::{Progress, Survey};

/// Print the resolved config and the plan, and do nothing.
#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print where each value comes from.
    #[arg(long)]
    origins: bool,
}

impl Check {
    pub(super) fn answer(self, stages: &[Stage]) -> Result<Exit, Fail> {
        let config = self.config.load(stages)?;
        if self.origins {
            let origins = config.origins();
            let width =
                origins.iter().map(|(key, value, _)| key.len() + value.len()).max().unwrap_or(0);
            for (key, value, origin) in origins {
                let padding = " ".repeat(width - key.len() - value.len());
                say(format!("{key}: {value}{padding}  # {origin}"))?;
            }
        } else {
            say(config.to_yaml().trim_end())?;
        }
        say("")?;
        let planned = plan(&config, false)?;
        let next = Next::asking(&config, &planned)?;
        say(describe(&config, &planned, next.as_ref())?.trim_end())?;
        match trial(&config, &planned, next.as_ref())? {
            Some(Trial { command, reply }) => {
                let passed = reply.code == Some(0);
                let verdict = if passed { "accepts it" } else { "does not accept it" };
                say(format!("# `{command}` {verdict}: {}", reply.complaint()))?;
                Ok(if passed { Exit::Done } else { Exit::Scheduler })
            }
            None => Ok(Exit::Done),
        }
    }
}

/// What the scheduler itself said of a submission that was not carried out.
struct Trial {
    command: String,
    reply: Reply,
}

/// Has the scheduler check the submission, where it offers that and is there.
fn trial(config: &Config, planned: &Planned, next: Option<&Next>) -> Result<Option<Trial>, Fail> {
    let Some(scheduler) = scheduler(&config.parallel.env) else { return Ok(None) };
    let Some(Next { job, .. }) = next else { return Ok(None) };
    let submission = render(scheduler, &planned.run, job, config.stage.name)?;
    let Some(argv) = scheduler.trial(&submission) else { return Ok(None) };
    // The run directory may not be there, and is not to be touched.
    let scratch = tempfile::tempdir()?;
    let place = RunDir::new(scratch.path());
    std::fs::create_dir_all(place.logs())?;
    std::fs::create_dir_all(place.job(job.number))?;
    write_files(&submission, &place.job(job.number))?;
    let stdin = submission.stdin.as_deref();
    match ask_for_a_job(
        &argv,
        &place.logs(),
        stdin,
        scheduler.job_variables(),
        &place.reply_out(job.number),
    ) {
        Ok(reply) => Ok(Some(Trial { command: shell_words::join(&argv), reply })),
        Err(error) => {
            tell(format!("note: {} could not check it: {error:#}", scheduler.name()));
            Ok(None)
        }
    }
}

/// The job that would be submitted next.
pub(super) struct Next {
    job: Job,
    /// How many others come with it, where it is too large for one.
    others: usize,
}

impl Next {
    /// As far as the config tells; `None`: nothing is left to do.
    ///
    /// # Errors
    /// Too few hosts or GPUs for the workers.
    pub(super) fn of(config: &Config, planned: &Planned) -> Result<Option<Self>, Fail> {
        Self::cut(config, planned, |job| pieces(job, job.max_array_size))
    }

    /// The same, with the scheduler asked how large its arrays may be.
    fn asking(config: &Config, planned: &Planned) -> Result<Option<Self>, Fail> {
        Self::cut(config, planned, |job| match scheduler(&job.cluster) {
            Some(scheduler) => in_pieces(scheduler, job, Path::new(".")),
            None => vec![job.clone()],
        })
    }

    fn cut(
        config: &Config,
        planned: &Planned,
        cut: impl Fn(&Job) -> Vec<Job>,
    ) -> Result<Option<Self>, Fail> {
        let progress = match planned.resumes {
            true => Survey::new(&planned.run, &planned.spec).look()?,
            false => Progress::before(&planned.spec),
        };
        if progress.complete() {
            return Ok(None);
        }
        let mut pieces = cut(&job(config, &planned.run)?.no_larger_than(&progress));
        let job = pieces.remove(0).numbered_next(&planned.run);
        Ok(Some(Self { job, others: pieces.len() }))
    }
}

/// The plan in words.
pub(super) fn describe(
    config: &Config,
    planned: &Planned,
    next: Option<&Next>,
) -> Result<String, Fail> {
    let Planned { run, spec, resumes, .. } = planned;
    let parallel = &config.parallel;
    let smallest = (0..spec.num_shards()).map(|shard| spec.len(shard)).min().unwrap_or(0);
    let largest = (0..spec.num_shards()).map(|shard| spec.len(shard)).max().unwrap_or(0);
    let sizes = match (smallest, largest) {
        (one, other) if one == other => one.to_string(),
        (one, other) => format!("{one} to {other}"),
    };
    let mut text = format!(
        "# stage {}: {} of {} items in {} of {sizes}\n",
        config.stage.name,
        spec.total(),
        spec.fingerprint.num_items,
        count(spec.num_shards(), "shard"),
    );
    text += &format!(
        "# {}: {}, {} each, batches of {}\n",
        parallel.env,
        count(parallel.n_workers as usize, "worker"),
        count(parallel.threads_per_worker as usize, "thread"),
        config.batch_size.unwrap_or(1),
    );
    let place = run.root().display();
    if *resumes && run.shards().is_dir() {
        let progress = Survey::new(run, spec).look()?;
        let (settled, failed) = (progress.done + progress.failed, progress.failed);
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        text += &format!(
            "# {place} has {settled} of {}{failed}; a run goes on from there\n",
            count(spec.total() as usize, "item")
        );
    } else {
        text += &format!("# {place} is new\n");
    }
    if let Some(Next { job, others }) = next
        && let Some(scheduler) = scheduler(&parallel.env)
    {
        if *others > 0 {
            let tasks = count(job.tasks.len(), "task");
            text +=
                &format!("# {} of at most {tasks} each; the first:\n", count(others + 1, "job"));
        }
        let submission = render(scheduler, run, job, config.stage.name)?;
        text += &format!("# {}\n", shell_words::join(&submission.argv));
        for (name, content) in &submission.files {
            text += &format!("\n# {name}\n{content}");
        }
        if submission.files.is_empty() {
            text += &format!("\n{}\n", submission.stdin.unwrap_or_default());
        }
        text += "\n";
    }
    Ok(text)
}
