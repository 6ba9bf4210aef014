//! `check`: what a config says when all is put together, and what a run of it would do.

use clap::Args;

use super::ConfigArgs;
use super::fail::{Exit, Fail, say};
use super::status::count;
use crate::config::Config;
use crate::drive::{Planned, plan};
use crate::stage::Stage;
use crate::survey::Survey;

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
        say(describe(&config, &plan(&config, false)?)?.trim_end())?;
        Ok(Exit::Done)
    }
}

/// The plan in words.
pub(super) fn describe(config: &Config, planned: &Planned) -> Result<String, Fail> {
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
        config.batch_size,
    );
    let place = run.root().display();
    if *resumes && run.shards().is_dir() {
        let progress = Survey::new(run, spec).look()?;
        let settled = progress.done + progress.failed;
        text += &format!(
            "# {place} has {settled} of {}; a run goes on from there\n",
            count(spec.total() as usize, "item")
        );
    } else {
        text += &format!("# {place} is new\n");
    }
    Ok(text)
}
