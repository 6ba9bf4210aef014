//! Torque: qsub, qstat, qdel. <https://github.com/adaptivecomputing/torque>, `doc/man1`.

use super::kaldi::{Kaldi, nodes_with_gpus};
use super::pbs_lines::{self, HABITS, Resources, attribute, head, quote, split_id};
use super::script::{Shell, script};
use super::{
    Finding, Habits, LimitQuestion, Options, Order, Reply, SCRIPT, Scheduler, State, Submission,
    TaskState,
};

pub(super) struct Torque;

/// The low byte of 15001, "Unknown Job Id".
const UNKNOWN: i32 = 153;

impl Scheduler for Torque {
    fn name(&self) -> &'static str {
        "torque"
    }

    fn kaldi(&self) -> Kaldi {
        Kaldi {
            conf: None,
            program: Some("qsub"),
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
        Resources::by_nodes(options).review_nodes("Torque")
    }

    fn submission(&self, order: &Order<'_>) -> Submission {
        let resources = Resources::by_nodes(order.options);
        let array = order.tasks > 1;
        let mut lines = head(order);
        lines.extend(resources.lines());
        // Relative to the directory qsub is called in. Of an array, `-3` is put behind each path
        // for the task 3, also behind that of a directory.
        match &order.options.log_directory {
            Some(folder) => {
                let stem = if array { format!("{}.$PBS_JOBID", order.name) } else { String::new() };
                for (option, end) in [("-e", ".err"), ("-o", ".out")] {
                    let end = if array { end } else { "" };
                    lines.push(format!("{option} {}", quote(&format!("{folder}/{stem}{end}"))));
                }
            }
            None => lines.extend(["-j oe".to_owned(), format!("-o {}.log", order.log)]),
        }
        // Where the script is not run by its first line but by the login shell.
        lines.push("-S /bin/bash".to_owned());
        if array {
            let throttle = order.throttle();
            lines.push(format!("-t 0-{}{throttle}", order.tasks - 1));
        }
        let task = if array { "$PBS_ARRAYID" } else { "0" };
        let shell = Shell { task, ends_at: None };
        let text = script(order, &resources.directives(&lines, order), &shell);
        Submission {
            files: vec![(SCRIPT, text)],
            argv: vec!["qsub".to_owned(), order.script_path()],
            stdin: None,
        }
    }

    /// Without the server, whose name qstat's table cuts off.
    fn job_id(&self, stdout: &str) -> Option<String> {
        let ((job, _), _) = split_id(pbs_lines::job_id(stdout)?)?;
        Some(job)
    }

    fn array_limit(&self) -> Option<LimitQuestion> {
        let argv = ["qstat", "-B", "-f"].map(String::from).into();
        Some((argv, |reply| attribute(reply, "max_job_array_size")?.parse().ok()))
    }

    fn query(&self, ids: &[String]) -> Vec<String> {
        // -t: one line a task. Some that pass for Torque's qstat know neither it nor arrays.
        let array = ids.iter().any(|id| id.ends_with("[]")).then(|| "-t".to_owned());
        ["qstat".to_owned()].into_iter().chain(array).chain(ids.iter().cloned()).collect()
    }

    fn states(&self, reply: &Reply) -> Result<Vec<TaskState>, String> {
        let states: Vec<_> = reply.stdout.lines().filter_map(task_state).collect();
        // A job that is over is forgotten after `keep_completed` seconds.
        let unknown =
            |line: &str| line.contains("Unknown Job Id") || line.contains("Unknown Array ID");
        let mut said = reply.stderr.lines().filter(|line| !line.trim().is_empty()).peekable();
        let forgotten = match said.peek() {
            None => reply.code == Some(UNKNOWN),
            Some(_) => said.all(unknown),
        };
        if states.is_empty() && reply.code != Some(0) && !forgotten {
            return Err(reply.complaint());
        }
        Ok(states)
    }

    fn cancel(&self, ids: &[String]) -> Vec<String> {
        [&["qdel".to_owned()], ids].concat()
    }

    fn already_gone(&self) -> &'static [&'static str] {
        &["Unknown Job Id", "Job has finished", "invalid state for job"]
    }
}

/// `1098[3].head.cluster  espnet3-vad-3  ann  00:01:40 R batch`.
fn task_state(line: &str) -> Option<TaskState> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [id, _name, _user, _time, letter, _queue] = fields[..] else { return None };
    let ((job, task), _) = split_id(id)?;
    let word = letter.to_owned();
    // qstat(1B).
    let state = match letter {
        "Q" | "H" | "W" | "T" => State::Queued(word),
        "R" | "E" | "S" => State::Running(word),
        "C" => State::Ended(word),
        _ => State::Unknown(word),
    };
    Some(TaskState { job, task, state })
}
