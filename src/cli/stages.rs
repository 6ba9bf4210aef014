//! `stages`: what is compiled into this program.

use clap::Args;
use serde_json::json;

use super::fail::{Exit, Fail, say};
use crate::stage::Stage;

/// List the stages of this program.
#[derive(Args)]
pub(super) struct Stages {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Stages {
    pub(super) fn answer(self, stages: &[Stage]) -> Result<Exit, Fail> {
        if self.json {
            let list: Vec<_> = stages
                .iter()
                .map(|stage| json!({"name": stage.name, "about": stage.about}))
                .collect();
            say(serde_json::Value::from(list))?;
            return Ok(Exit::Done);
        }
        let width = stages.iter().map(|stage| stage.name.len()).max().unwrap_or(0);
        for stage in stages {
            say(format!("{:width$}  {}", stage.name, stage.about))?;
        }
        Ok(Exit::Done)
    }
}
