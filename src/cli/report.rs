//! What `run` says when it is over.

use anyhow::Result;

use super::fail::{Exit, quoted};
use super::status::{exit, standing, troubles};
use crate::plain_file;
use crate::run_dir::RunDir;
use crate::status::{State, Status};
use crate::stop::Stop;

/// So many failed items are named one by one.
const NAMED: usize = 5;

/// The outcome of a run.
pub(super) struct Report {
    status: Status,
    run: RunDir,
}

impl Report {
    pub(super) fn of(run: &RunDir) -> Result<Self> {
        Ok(Self { status: Status::of(run)?, run: run.clone() })
    }

    pub(super) fn exit(&self) -> Exit {
        exit(&self.status)
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string_pretty(&self.status).expect("a status has string keys only")
    }

    /// What happened, and what to do next.
    pub(super) fn conclusion(&self) -> String {
        let run = &self.status.output_dir;
        let mut text = format!("{run}: {}", standing(&self.status));
        match self.status.state {
            State::Done => text += &format!("\n{}", self.run.results().display()),
            State::SomeFailed => {
                text += &self.failed_items();
                text += &format!("\n{}", self.run.results().display());
                text += match self.status.items.done {
                    0 => {
                        "\nhint: every item failed; set right why, and `run --retry-failed` tries again"
                    }
                    _ => "\nhint: `run --retry-failed` tries the failed ones again",
                };
            }
            State::Running | State::Queued => {}
            State::Stopped | State::Incomplete => {
                for trouble in troubles(&self.status) {
                    text += &format!("\n  {trouble}");
                }
                text += match &self.status.stop {
                    Some(Stop::ItemFailed { .. }) => {
                        "\nhint: the same command tries that item again; \
                         `--set on_item_error=skip` goes on without it"
                    }
                    Some(Stop::TooManyFailed { .. }) => {
                        "\nhint: raise `max_failed_items`, or set right what failed and add \
                         `--retry-failed`"
                    }
                    _ if self.status.no_env() => "\nhint: set that right and run again",
                    _ => "\nhint: the same command resumes, without `--restart`",
                };
                if !self.status.troubles().is_empty() {
                    text += &format!(
                        "; `espnet3-par logs {} --failed` shows what workers said",
                        quoted(self.run.root())
                    );
                }
            }
        }
        text
    }

    fn failed_items(&self) -> String {
        let lines = plain_file::read(&self.run.errors()).unwrap_or_default();
        let lines = String::from_utf8_lossy(&lines);
        let mut text = String::new();
        for line in lines.lines().take(NAMED) {
            let Ok(error) = serde_json::from_str::<crate::item_error::ItemError>(line) else {
                continue;
            };
            // What the name makes of its line's end is not a line of ours.
            let item = error.item.unwrap_or_default().replace('\n', "\\n");
            let item = if item.is_empty() { item } else { format!(" {item}") };
            // The way to an exception is for `errors.jsonl`.
            let why = error.error.lines().next().unwrap_or_default();
            text += &format!("\n  item {}{item}: {why}", error.idx);
        }
        let more = lines.lines().count().saturating_sub(NAMED);
        if more > 0 {
            text += &format!("\n  and {more} more in {}", self.run.errors().display());
        }
        text
    }
}
