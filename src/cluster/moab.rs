//! Moab: msub, showq, canceljob. "Moab Workload Manager Administrator Guide",
//! <https://docs.adaptivecomputing.com>. Its scripts are those of the Torque below it.

use super::kaldi::{Kaldi, nodes_with_gpus};
use super::pbs_lines::{HABITS, Resources, head, quote};
use super::script::{Shell, script};
use super::{
    Finding, Habits, Options, Order, Reply, SCRIPT, Scheduler, State, Submission, TaskState,
};

pub(super) struct Moab;

/// The jobs that are not over, then those that are.
const QUERY: &str = "showq --xml -w user=\"$(id -un)\" && showq -c --xml -w user=\"$(id -un)\"";

impl Scheduler for Moab {
    fn name(&self) -> &'static str {
        "moab"
    }

    fn kaldi(&self) -> Kaldi {
        Kaldi {
            conf: None,
            program: Some("msub"),
            path: Some("-v PATH"),
            directives: true,
            gpus: nodes_with_gpus,
        }
    }

    fn own_options(&self) -> &'static [&'static str] {
        &["resource_spec"]
    }

    fn habits(&self) -> Habits {
        HABITS
    }

    fn review(&self, options: &Options) -> Vec<Finding> {
        Resources::by_nodes(options).review_nodes("Moab")
    }

    fn submission(&self, order: &Order<'_>) -> Submission {
        let resources = Resources::by_nodes(order.options);
        let array = order.tasks > 1;
        let mut lines = head(order);
        lines.extend(resources.lines());
        // Relative to the directory msub is called in. Each task is a job of its own for Torque,
        // which fills in the id.
        match &order.options.log_directory {
            Some(folder) => {
                let folder = quote(&format!("{folder}/"));
                lines.extend([format!("-e {folder}"), format!("-o {folder}")]);
            }
            None => {
                let id = if array { ".$PBS_JOBID" } else { "" };
                lines.extend(["-j oe".to_owned(), format!("-o {}{id}.log", order.log)]);
            }
        }
        lines.push("-S /bin/bash".to_owned());
        let mut argv = vec!["msub".to_owned()];
        if array {
            let throttle = order.throttle();
            lines.push(format!("-t {}[1-{}]{throttle}", order.name, order.tasks));
            // Or there is no MOAB_JOBARRAYINDEX.
            argv.push("-E".to_owned());
        }
        argv.push(order.script_path());
        let task = if array { "$((MOAB_JOBARRAYINDEX - 1))" } else { "0" };
        let shell = Shell { task, ends_at: None };
        let text = script(order, &resources.directives(&lines, order), &shell);
        Submission { files: vec![(SCRIPT, text)], argv, stdin: None }
    }

    /// `4761849`, `Moab.123`, `cluster.45`: the last line that is nothing else.
    fn job_id(&self, stdout: &str) -> Option<String> {
        let ids = stdout.lines().rev().filter_map(|line| split_id(line.trim()));
        ids.filter(|(_, task)| task.is_none()).map(|(id, _)| id.to_owned()).next()
    }

    fn query(&self, _ids: &[String]) -> Vec<String> {
        // checkjob takes one job; showq tells all of the user's.
        ["sh", "-c", QUERY].map(String::from).into()
    }

    fn states(&self, reply: &Reply) -> Result<Vec<TaskState>, String> {
        // Two documents, or one where there was no second answer.
        if !reply.stdout.contains("</Data>") {
            return Err(reply.complaint());
        }
        Ok(reply.stdout.split("<job ").skip(1).filter_map(task_state).collect())
    }

    fn cancel(&self, ids: &[String]) -> Vec<String> {
        [&["canceljob".to_owned()], ids].concat()
    }

    fn already_gone(&self) -> &'static [&'static str] {
        &["could not find job", "invalid job"]
    }
}

/// `45[7]`: the job and the task 7, or 6 from 0. `45[]`, `45`, `45[8-32]`: the whole.
fn split_id(id: &str) -> Option<(&str, Option<u32>)> {
    let (job, index) = match id.split_once('[') {
        Some((job, index)) => (job, index.strip_suffix(']')?),
        None => (id, ""),
    };
    let (prefix, number) = job.rsplit_once('.').unwrap_or(("", job));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_job = !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
        && prefix.chars().all(plain)
        && (prefix.is_empty() || prefix.starts_with(|c: char| c.is_ascii_alphabetic()));
    let task = index.parse::<u32>().ok().and_then(|index| index.checked_sub(1));
    is_job.then_some((job, task))
}

/// The attributes of a `<job `, and whatever comes after it.
fn task_state(job: &str) -> Option<TaskState> {
    let (mut id, mut word, mut more) = ("", "", Vec::new());
    let mut rest = job;
    loop {
        rest = rest.trim_start();
        if rest.starts_with('>') || rest.starts_with("/>") {
            break;
        }
        let (key, value) = rest.split_once("=\"")?;
        let (value, after) = value.split_once('"')?;
        match key {
            "JobID" => id = value,
            "State" => word = value,
            "BlockReason" | "MasterHost" => more.push(plain(value)),
            "CompletionCode" => more.push(format!("CompletionCode {value}")),
            _ => {}
        }
        rest = after;
    }
    let (job, task) = split_id(id)?;
    more.insert(0, word.to_owned());
    let words = more.join(" ");
    // "Job States".
    let state = match word {
        "Idle" | "Hold" | "UserHold" | "SystemHold" | "BatchHold" | "Deferred" | "NotQueued"
        | "Migrated" | "Staged" | "Staging" | "Blocked" => State::Queued(words),
        "Running" | "Starting" | "Suspended" | "Canceling" => State::Running(words),
        "Completed" | "Removed" | "Vacated" => State::Ended(words),
        _ => State::Unknown(words),
    };
    Some(TaskState { job: job.to_owned(), task, state })
}

fn plain(value: &str) -> String {
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    entities.iter().fold(value.to_owned(), |text, (name, sign)| text.replace(name, sign))
}
