//! PBS Professional and OpenPBS: qsub, qstat, qdel. <https://openpbs.org>, "PBS Professional
//! Reference Guide".

use serde_json::Value;

use super::kaldi::{Gpus, Kaldi};
use super::pbs_lines::{self, HABITS, Resources, attribute, head, name, quote, split_id};
use super::script::{Shell, script};
use super::{
    Finding, Habits, LimitQuestion, Options, Order, Reply, SCRIPT, Scheduler, State, Submission,
    TaskState,
};

pub(super) struct Pbs;

/// Without the server's job history `-x` is an error (15140, its low byte), and there is nothing
/// more to ask for.
const QUERY: &str = "qstat -t -x -f -F json \"$@\"; code=$?; [ $code = 36 ] || exit $code; \
                     exec qstat -t -f -F json \"$@\"";

/// The low byte of 15001, "Unknown Job Id".
const UNKNOWN: i32 = 153;

/// Resources of a node: those of a `select` are asked for in it, or not at all.
const OF_A_NODE: [&str; 6] = ["mem", "mpiprocs", "ncpus", "ngpus", "nodes", "vmem"];

impl Scheduler for Pbs {
    fn name(&self) -> &'static str {
        "pbs"
    }

    fn kaldi(&self) -> Kaldi {
        Kaldi {
            conf: Some("conf/pbs.conf"),
            program: Some("qsub"),
            path: Some("-v PATH"),
            directives: true,
            gpus: |gpus| Gpus::Directive(format!("-l select=1:ngpus={gpus}")),
        }
    }

    fn own_options(&self) -> &'static [&'static str] {
        &["resource_spec"]
    }

    fn habits(&self) -> Habits {
        HABITS
    }

    fn review(&self, options: &Options) -> Vec<Finding> {
        let resources = Resources::by_select(options);
        let mut found = resources.doubled("in a script PBS heeds the first and forgets the other");
        if resources.lists.iter().any(|list| name(list) == "select") {
            let beside = resources.asked().filter(|item| OF_A_NODE.contains(&name(item)));
            found.extend(beside.map(|item| {
                let message = format!("PBS refuses `-l {item}` beside `-l select=`");
                let hint = "give all of it as one `resource_spec`";
                Finding::warning("job_extra_directives", message, hint)
            }));
        }
        found
    }

    fn submission(&self, order: &Order<'_>) -> Submission {
        let resources = Resources::by_select(order.options);
        let array = order.tasks > 1;
        let mut lines = head(order);
        lines.extend(resources.lines());
        // Relative to the directory qsub is called in.
        match &order.options.log_directory {
            Some(folder) => {
                let folder = quote(&format!("{folder}/"));
                lines.extend([format!("-e {folder}"), format!("-o {folder}")]);
            }
            None => {
                let index = if array { ".^array_index^" } else { "" };
                lines.extend(["-j oe".to_owned(), format!("-o {}{index}.log", order.log)]);
            }
        }
        // An array of one task is refused: it is a plain job.
        if array {
            let throttle = order.throttle();
            lines.push(format!("-J 0-{}{throttle}", order.tasks - 1));
        }
        let task = if array { "$PBS_ARRAY_INDEX" } else { "0" };
        let shell = Shell { task, ends_at: None };
        let text = script(order, &resources.directives(&lines, order), &shell);
        Submission {
            files: vec![(SCRIPT, text)],
            argv: vec!["qsub".to_owned(), order.script_path()],
            stdin: None,
        }
    }

    fn job_id(&self, stdout: &str) -> Option<String> {
        pbs_lines::job_id(stdout).map(str::to_owned)
    }

    fn array_limit(&self) -> Option<LimitQuestion> {
        let argv = ["qstat", "-B", "-f"].map(String::from).into();
        Some((argv, |reply| attribute(reply, "max_array_size")?.parse().ok()))
    }

    fn query(&self, ids: &[String]) -> Vec<String> {
        [&["sh", "-c", QUERY, "qstat"].map(String::from), ids].concat()
    }

    fn states(&self, reply: &Reply) -> Result<Vec<TaskState>, String> {
        let json = reply.stdout.find('{').map_or("", |at| &reply.stdout[at..]);
        let objects: Result<Vec<Value>, _> =
            serde_json::Deserializer::from_str(json).into_iter().collect();
        let objects = objects.map_err(|_| match reply.stderr.trim() {
            "" => "qstat printed no JSON".to_owned(),
            _ => reply.complaint(),
        })?;
        let jobs = objects.iter().filter_map(|object| object["Jobs"].as_object()).flatten();
        let states: Vec<_> = jobs.filter_map(|(id, job)| task_state(id, job)).collect();
        // Of some ids that are unknown it fails and tells the others; so it does when all are.
        let answered = !objects.is_empty() && matches!(reply.code, Some(0 | UNKNOWN));
        if states.is_empty() && !answered { Err(reply.complaint()) } else { Ok(states) }
    }

    fn cancel(&self, ids: &[String]) -> Vec<String> {
        [&["qdel".to_owned()], ids].concat()
    }

    fn already_gone(&self) -> &'static [&'static str] {
        &["Unknown Job Id", "Job has finished", "Request invalid for finished"]
    }
}

fn task_state(id: &str, of: &Value) -> Option<TaskState> {
    let ((job, task), server) = split_id(id)?;
    let letter = of["job_state"].as_str()?;
    let comment = of["comment"].as_str();
    let words = |more: Option<String>| {
        more.map_or_else(|| letter.to_owned(), |more| format!("{letter} {more}"))
    };
    // "PBS Professional Reference Guide", "Job States". A job that is (M)oved lives elsewhere.
    let state = match letter {
        // What an array was told when it began is told of its queued tasks too.
        "Q" | "H" | "W" | "T" => State::Queued(words(
            comment.filter(|text| !text.starts_with("Job Array Began")).map(str::to_owned),
        )),
        "R" | "E" | "S" | "U" | "B" => {
            State::Running(words(of["exec_host"].as_str().map(str::to_owned)))
        }
        // X: a task that is over, of an array that is not.
        "F" | "X" => {
            // A task that never ran is told with the exit status of the array.
            let ran = of["run_count"].as_u64().is_some();
            let status = of["Exit_status"].as_i64().filter(|_| ran);
            let status = status.map(|status| format!("Exit_status {status}"));
            // "Job run at DATE on HOST and exceeded resource walltime".
            let how = comment.map(|text| text.rsplit_once(" and ").map_or(text, |(_, how)| how));
            let both: Vec<_> = status.into_iter().chain(how.map(str::to_owned)).collect();
            State::Ended(words(Some(both.join(", ")).filter(|text| !text.is_empty())))
        }
        _ => State::Unknown(words(None)),
    };
    let job = if server.is_empty() { job } else { format!("{job}.{server}") };
    Some(TaskState { job, task, state })
}
