//! HTCondor: condor_submit, condor_q, condor_rm.
//! <https://htcondor.readthedocs.io/en/latest/man-pages/condor_submit.html>
//!
//! The run directory must be shared between the machines: a job asks for one whose
//! `FILESYSTEM_DOMAIN` is the submitting machine's. Where a pool shares files but not that name,
//! `job_extra_directives: {should_transfer_files: "YES"}` goes without.

use serde_json::{Map, Value};

use super::kaldi::{Gpus, Kaldi};
use super::script::{Shell, script};
use super::units::bytes;
use super::{
    Additions, Fields, Finding, Habits, LimitQuestion, Options, Order, Reply, SCRIPT, Scheduler,
    State, Submission, TaskState,
};

pub(super) struct HtCondor;

/// What dask-jobqueue's submit files have besides what is in ours; a list of lines to skip may name
/// them.
const DASK_LINES: &[&str] = &["logdirectory", "streamoutput", "streamerror"];

/// What makes the job a task: not the user's.
const RESERVED: &[&str] = &["executable", "arguments", "queue"];

impl Scheduler for HtCondor {
    fn name(&self) -> &'static str {
        "htcondor"
    }

    fn kaldi(&self) -> Kaldi {
        Kaldi {
            conf: None,
            program: None,
            path: None,
            directives: false,
            gpus: |gpus| Gpus::Option("job_extra_directives.request_gpus", gpus.into()),
        }
    }

    fn own_options(&self) -> &'static [&'static str] {
        &["cancel_command_extra", "disk", "name", "submit_command_extra"]
    }

    fn habits(&self) -> Habits {
        Habits {
            needs_cores_and_memory: true,
            default_walltime: None,
            two_fields: Fields::MinutesSeconds,
            bare_number: 1,
        }
    }

    fn review(&self, options: &Options) -> Vec<Finding> {
        let mut found = Vec::new();
        match (options.own("disk"), disk(options)) {
            (None, _) => {
                let message = "`htcondor` needs `disk` of a job in the options";
                found.push(Finding::error("", message, "such as `disk: 1GB`"));
            }
            (Some(given), None) => {
                let message = format!("`disk` must be an amount of disk space, but is {given}");
                found.push(Finding::error("disk", message, "such as `1GB`").of_value());
            }
            _ => {}
        }
        for key in ["submit_command_extra", "cancel_command_extra"] {
            if options.own(key).is_some() && options.own_words(key).is_none() {
                let message = format!("`{key}` must be a list of words");
                let hint = format!("such as `{key}: [\"-name\", \"schedd7\"]`");
                found.push(Finding::error(key, message, hint).of_value());
            }
        }
        for line in &options.extra {
            match key(line) {
                Some(key) if RESERVED.contains(&key.as_str()) => {
                    let message = format!("`{line}` would replace the task itself");
                    let hint = "leave it out; commands before the task are `job_script_prologue`";
                    found.push(Finding::error("job_extra_directives", message, hint));
                }
                Some(_) => {}
                None => {
                    let message = format!("`{line}` is no `key = value` of a submit file");
                    let hint = "write a mapping, such as `{request_gpus: 1}`";
                    found.push(Finding::error("job_extra_directives", message, hint));
                }
            }
        }
        let known = |part: &String| {
            let part = plain(part);
            GENERATED.iter().any(|key| plain(key) == part)
                || DASK_LINES.contains(&part.as_str())
                || part.starts_with("dask")
                || part == "jobid"
        };
        for part in options.skip.iter().filter(|part| !known(part)) {
            let message = format!("`{part}` is no key of the submit file that could be left out");
            let hint = format!("those are {}", GENERATED.map(|key| format!("`{key}`")).join(", "));
            found.push(Finding::error("job_directives_skip", message, hint));
        }
        if options.shebang.contains("condor_submit") {
            let message = "`shebang` is the first line of the job's script, not of its submit file";
            found.push(Finding::error("shebang", message, "leave it out").of_value());
        }
        if options.account.as_ref().is_some_and(|account| account.contains(char::is_whitespace)) {
            let message = "`account` is an accounting group, which has no blanks";
            let hint = "such as `group_speech.ann`";
            found.push(Finding::error("account", message, hint).of_value());
        }
        if options.queue.is_some() {
            let message = "HTCondor has no queues: `queue` has no effect";
            let hint = "`job_extra_directives: {requirements: ...}` chooses among machines";
            found.push(Finding::warning("queue", message, hint));
        }
        found
    }

    fn submission(&self, order: &Order<'_>) -> Submission {
        let options = order.options;
        let stem = match &options.log_directory {
            Some(folder) => format!("{}/{}-$(Cluster)_", literal(folder), order.name),
            None => format!("{}.", order.log),
        };
        let (out, err) = match options.log_directory {
            Some(_) => ("out", "err"),
            None => ("log", "log"),
        };
        let value = |key: &str| -> Option<String> {
            Some(match key {
                "batch_name" => {
                    let name = options.own_text("name");
                    literal(name.as_deref().unwrap_or(order.name))
                }
                // The submitter's; HTCondor gives a job none of them.
                "getenv" => "HOME, LD_LIBRARY_PATH, PATH, USER".to_owned(),
                "should_transfer_files" => "NO".to_owned(),
                "output" => format!("{stem}$(Process).{out}"),
                "error" => format!("{stem}$(Process).{err}"),
                "log" => format!("{}/events.log", order.folder),
                "accounting_group" => literal(options.account.as_ref()?),
                "request_cpus" => options.cores.to_string(),
                "request_memory" => whole(options.memory?, 1 << 20),
                "request_disk" => whole(disk(options)?, 1 << 10),
                // `allowed_execute_duration` is no use: it holds the job, which then stays in the
                // queue for ever, and 23.9 overlooks it where the task begins in the very second
                // that its shadow does.
                "periodic_remove" => {
                    let seconds = options.walltime?.as_secs();
                    format!("JobStatus == 2 && time() - JobCurrentStartDate > {seconds}")
                }
                // A machine that is not heard of for ten minutes is given up, not for forty.
                "job_lease_duration" => "600".to_owned(),
                "max_materialize" => order.max_running?.to_string(),
                _ => return None,
            })
        };
        let given: Vec<String> = options.extra.iter().filter_map(|line| key(line)).collect();
        let skipped = |name: &str| {
            let name = plain(name);
            given.contains(&name) || options.skip.iter().any(|part| plain(part) == name)
        };
        let mut lines = vec![
            format!("executable = {}", order.script_path()),
            "arguments = \"$(Process)\"".to_owned(),
        ];
        let kept = GENERATED.iter().filter(|name| !skipped(name));
        lines.extend(kept.filter_map(|name| Some(format!("{name} = {}", value(name)?))));
        lines.extend_from_slice(&options.extra);
        lines.push(format!("queue {}", order.tasks));
        // Whatever `getenv` brought: bash has a PATH of its own, and knows whose home is whose.
        let first = ["CONDOR_PROCESS=$1", "export PATH HOME=~"].map(String::from);
        let shell = Shell { task: "$CONDOR_PROCESS", ends_at: None };
        let extra = options.own_words("submit_command_extra").unwrap_or_default();
        let mut argv: Vec<String> = ["condor_submit", "-terse"].map(String::from).into();
        argv.extend(extra);
        argv.push(format!("{}/job.sub", order.folder));
        Submission {
            files: vec![
                ("job.sub", lines.join("\n") + "\n"),
                (SCRIPT, script(order, &first, &shell)),
            ],
            argv,
            stdin: None,
        }
    }

    fn job_id(&self, stdout: &str) -> Option<String> {
        // `4.0 - 4.31`
        let last = stdout.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
        let (first, last) = last.split_once(" - ")?;
        let (cluster, last) = (first.strip_suffix(".0")?, last.split_once('.')?);
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (digits(cluster) && cluster == last.0 && digits(last.1)).then(|| cluster.to_owned())
    }

    fn trial(&self, submission: &Submission) -> Option<Vec<String>> {
        let mut argv = submission.argv.clone();
        argv.splice(1..2, ["-dry-run", "/dev/null"].map(String::from));
        Some(argv)
    }

    fn array_limit(&self) -> Option<LimitQuestion> {
        let argv = ["condor_config_val", "MAX_JOBS_PER_SUBMISSION"].map(String::from).into();
        Some((argv, |reply| reply.trim().parse().ok().filter(|limit| *limit > 0)))
    }

    fn query(&self, ids: &[String]) -> Vec<String> {
        let attributes = "ClusterId,ProcId,JobStatus,HoldReason,RemoteHost,\
                          JobMaterializeNextProcId,JobMaterializePauseReason,TotalSubmitProcs";
        let argv = ["condor_q", "-json", "-attributes", attributes].map(String::from);
        [&argv, ids].concat()
    }

    fn states(&self, reply: &Reply) -> Result<Vec<TaskState>, String> {
        // One list for each queue that was asked; of no jobs, nothing at all.
        let list = format!("\n{}", reply.stdout).find("\n[");
        let lists = list.map_or("", |at| &reply.stdout[at..]);
        let lists =
            serde_json::Deserializer::from_str(lists).into_iter::<Vec<Map<String, Value>>>();
        let ads = lists.collect::<Result<Vec<_>, _>>();
        let ads = ads.map_err(|wrong| format!("condor_q: {wrong}"))?.concat();
        if ads.is_empty() && (reply.code != Some(0) || !reply.stdout.trim().is_empty()) {
            let mut lines = reply.stderr.lines().map(str::trim);
            let error = lines.find(|line| line.to_lowercase().starts_with("error"));
            return Err(error.map_or_else(|| reply.complaint(), str::to_owned));
        }
        let mut states: Vec<TaskState> = ads.iter().filter_map(task_state).collect();
        let mut factories: Vec<_> = ads.iter().filter_map(not_materialized).collect();
        factories.dedup_by(|a, b| a.0 == b.0);
        for (job, tasks, words) in factories {
            let state = State::Queued(words);
            states.extend(tasks.map(|task| TaskState {
                job: job.clone(),
                task: Some(task),
                state: state.clone(),
            }));
        }
        Ok(states)
    }

    fn cancel(&self, ids: &[String]) -> Vec<String> {
        [&["condor_rm".to_owned()], ids].concat()
    }

    fn already_gone(&self) -> &'static [&'static str] {
        &["Couldn't find/remove all jobs"]
    }

    fn additions(&self, options: &Options) -> Additions {
        let submit = options.own_words("submit_command_extra").unwrap_or_default();
        let mut query = Vec::new();
        for pair in submit.windows(2) {
            // Another queue than this machine's, which condor_q must be told too.
            match pair[0].as_str() {
                "-name" | "-remote" => query.extend(["-name".to_owned(), pair[1].clone()]),
                "-pool" => query.extend_from_slice(pair),
                _ => {}
            }
        }
        let cancel = options.own_words("cancel_command_extra").unwrap_or_default();
        Additions { query, cancel }
    }
}

/// The lines of a submit file that can be left out or replaced, in order.
const GENERATED: [&str; 13] = [
    "batch_name",
    "getenv",
    "should_transfer_files",
    "output",
    "error",
    "log",
    "accounting_group",
    "request_cpus",
    "request_memory",
    "request_disk",
    "periodic_remove",
    "job_lease_duration",
    "max_materialize",
];

/// The key of a line `key = value`, plain.
fn key(line: &str) -> Option<String> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    let name = key.strip_prefix('+').unwrap_or(key);
    let good = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'));
    (good && !name.is_empty()).then(|| plain(key))
}

/// A key without what does not matter: `request_cpus`, `RequestCpus` and `MY.RequestCpus`, which
/// sets the job's attribute, are one.
fn plain(key: &str) -> String {
    let key = key.trim().to_ascii_lowercase();
    let name = key.strip_prefix('+').or_else(|| key.strip_prefix("my.")).unwrap_or(&key);
    name.replace('_', "")
}

/// Text in a value of a submit file: `$(NAME)` and `$ENV(NAME)` would be filled in, and a backslash
/// at the end would go on in the next line.
fn literal(text: &str) -> String {
    text.trim_end_matches('\\').replace('$', "$(DOLLAR)")
}

fn disk(options: &Options) -> Option<u64> {
    bytes(&options.own_text("disk")?)
}

/// As dask-jobqueue has HTCondor compute it: rounded down, but to 1 at least.
fn whole(bytes: u64, unit: u64) -> String {
    (bytes / unit).max(1).to_string()
}

fn task_state(ad: &Map<String, Value>) -> Option<TaskState> {
    let number = |key: &str| ad.get(key).and_then(Value::as_u64);
    let words = |about: &str, key: &str| {
        let more = ad.get(key).and_then(Value::as_str);
        more.map_or_else(|| about.to_owned(), |more| format!("{about}: {more}"))
    };
    let job = number("ClusterId")?.to_string();
    let task = Some(u32::try_from(number("ProcId")?).ok()?);
    // <https://htcondor.readthedocs.io/en/latest/classad-attributes/job-classad-attributes.html>
    let state = match number("JobStatus")? {
        1 => State::Queued("idle".to_owned()),
        2 => State::Running(words("running", "RemoteHost")),
        // It leaves the queue when its processes are gone.
        3 => State::Running("being removed".to_owned()),
        4 => State::Ended("completed".to_owned()),
        // For ever, if nobody releases it.
        5 => State::Queued(words("held", "HoldReason")),
        6 => State::Running("transferring output".to_owned()),
        7 => State::Running("suspended".to_owned()),
        other => State::Unknown(format!("JobStatus {other}")),
    };
    Some(TaskState { job, task, state })
}

/// The tasks of a job that are not in the queue yet, since only so many may be: a job's cluster
/// tells which one comes next.
fn not_materialized(ad: &Map<String, Value>) -> Option<(String, std::ops::Range<u32>, String)> {
    let number = |key: &str| u32::try_from(ad.get(key).and_then(Value::as_u64)?).ok();
    let job = ad.get("ClusterId")?.as_u64()?.to_string();
    let tasks = number("JobMaterializeNextProcId")?..number("TotalSubmitProcs")?;
    let paused = ad.get("JobMaterializePauseReason").and_then(Value::as_str);
    let words = paused.map_or_else(String::new, |reason| format!(", paused: {reason}"));
    (tasks.len() < 1_000_000).then(|| (job, tasks, format!("not materialized{words}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_as_dask_jobqueue_rounds_them() {
        let given = ["512MB", "4GB", "16GB", "16GiB", "64 gb", "1024"];
        let read = |text, unit| whole(bytes(text).expect("an amount"), unit);
        let mib = ["488", "3814", "15258", "16384", "61035", "1"];
        assert_eq!(given.map(|text| read(text, 1 << 20)), mib);
        let kib = ["500000", "3906250", "15625000", "16777216", "62500000", "1"];
        assert_eq!(given.map(|text| read(text, 1 << 10)), kib);
    }

    #[test]
    fn one_key_in_many_spellings() {
        for line in ["request_cpus = 2", "RequestCpus=2", "+RequestCpus = 2", "MY.RequestCpus = 2"]
        {
            assert_eq!(key(line).as_deref(), Some("requestcpus"), "{line}");
        }
        for line in ["queue 4", "queue x in (a=b)", "# a = b", "= 3", ""] {
            assert_eq!(key(line), None, "{line}");
        }
    }
}
