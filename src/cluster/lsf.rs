//! LSF: bsub, bjobs, bkill. <https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=reference-bsub>

use std::time::Duration;

use serde_json::Value;

use super::digits::is_number;
use super::kaldi::{Gpus, Kaldi};
use super::script::{Shell, directives, script};
use super::units::bytes;
use super::{
    Fields, Finding, Habits, LimitQuestion, Options, Order, Reply, SCRIPT, Scheduler, State,
    Submission, TaskState,
};

/// `LSF_UNIT_FOR_LIMITS`, in bytes as dask-jobqueue counts them.
const UNITS: [(&str, f64); 6] =
    [("kb", 1e3), ("mb", 1e6), ("gb", 1e9), ("tb", 1e12), ("pb", 1e15), ("eb", 1e18)];

/// What `-J` takes is at most 255 characters, the indices and the throttle included.
const LONGEST_NAME: usize = 230;

pub(super) struct Lsf;

impl Scheduler for Lsf {
    fn name(&self) -> &'static str {
        "lsf"
    }

    fn kaldi(&self) -> Kaldi {
        Kaldi {
            conf: None,
            program: Some("bsub"),
            path: None,
            directives: true,
            gpus: |gpus| Gpus::Directive(format!("-gpu \"num={gpus}\"")),
        }
    }

    fn own_options(&self) -> &'static [&'static str] {
        &["lsf_units", "mem", "name", "ncpus", "use_stdin"]
    }

    fn habits(&self) -> Habits {
        Habits {
            needs_cores_and_memory: true,
            default_walltime: Some(30 * 60),
            two_fields: Fields::HoursMinutes,
            bare_number: 60,
        }
    }

    fn time_directives(&self) -> &'static [&'static str] {
        &["-W "]
    }

    fn review(&self, options: &Options) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut wrong = |key: &str, what: &str, hint: &str| {
            if let Some(value) = options.own(key) {
                let message = format!("`{key}` must be {what}, but is {value}");
                found.push(Finding::error(key, message, hint).of_value());
            }
        };
        if own_whole(options, "ncpus").is_none() {
            wrong("ncpus", "a whole number, 1 or more", "write it as in `8`");
        }
        if own_bytes(options, "mem").is_none() {
            wrong("mem", "an amount of memory", "such as `16GB`");
        }
        if unit(options).is_none() {
            wrong("lsf_units", "a unit of `LSF_UNIT_FOR_LIMITS`", "one of kb, mb, gb, tb, pb");
        }
        if !matches!(options.own("use_stdin"), Some(Value::Bool(_))) {
            wrong("use_stdin", "true or false", "without it, bsub reads the script from stdin");
        }
        if !found.is_empty() {
            return found;
        }
        if let Some(limit) = limit(options)
            && options.own("lsf_units").is_none()
            && !skipped(options, &limit)
        {
            let message = format!("`{limit}` is in KB, which sites may have set to another unit");
            let hint = "give the `LSF_UNIT_FOR_LIMITS` of the site's lsf.conf as `lsf_units`";
            found.push(Finding::warning("memory", message, hint));
        }
        if options.extra.iter().any(|line| line.trim_start().starts_with("-J")) {
            let message = "this `-J` takes the place of the one that makes the job an array";
            let hint = "use `job_name` for the name, `max_running` for the throttle";
            found.push(Finding::warning("job_extra_directives", message, hint));
        }
        if options.job_name.as_ref().is_some_and(|name| name.len() > LONGEST_NAME) {
            let message = "`job_name` is too long: LSF takes 255 characters with the indices";
            let hint = format!("at most {LONGEST_NAME}");
            found.push(Finding::error("job_name", message, hint).of_value());
        }
        if options.own("use_stdin") == Some(&Value::Bool(false)) {
            let message = "with `use_stdin: false`, bsub reads the directives of the script only \
                           where the site has set `LSB_BSUB_PARSE_SCRIPT=Y`";
            found.push(Finding::warning("use_stdin", message, "leave it out").of_value());
        }
        found
    }

    fn submission(&self, order: &Order<'_>) -> Submission {
        let options = order.options;
        let throttle = order.throttle();
        let mut lines = vec![format!("-J \"{}[1-{}]{throttle}\"", order.name, order.tasks)];
        match &options.log_directory {
            Some(folder) => {
                let name = options.own_text("name").unwrap_or_else(|| order.name.to_owned());
                let stem = format!("{folder}/{name}-%J_%I");
                let [err, out] = ["err", "out"].map(|end| quote(&format!("{stem}.{end}")));
                lines.extend([format!("-e {err}"), format!("-o {out}")]);
            }
            // Without -e, both streams; appended to.
            None => lines.push(format!("-o {}.%I.log", order.log)),
        }
        lines.extend(options.queue.as_ref().map(|queue| format!("-q {}", quote(queue))));
        lines.extend(options.account.as_ref().map(|project| format!("-P {}", always(project))));
        let cores = own_whole(options, "ncpus").unwrap_or(options.cores);
        lines.push(format!("-n {cores}"));
        if cores > 1 {
            lines.push("-R \"span[hosts=1]\"".to_owned());
        }
        lines.extend(limit(options));
        lines.extend(options.walltime.map(|time| format!("-W {}", hours_minutes(time))));
        // 0 where there is no array.
        let shell = Shell { task: "$((LSB_JOBINDEX > 0 ? LSB_JOBINDEX - 1 : 0))", ends_at: None };
        let text = script(order, &directives("#BSUB", &lines, order), &shell);
        let mut argv = vec!["bsub".to_owned()];
        let mut stdin = Some(text.clone());
        if options.own("use_stdin") == Some(&Value::Bool(false)) {
            argv.push(order.script_path());
            stdin = None;
        }
        Submission { files: vec![(SCRIPT, text)], argv, stdin }
    }

    fn job_id(&self, stdout: &str) -> Option<String> {
        // `Job <140> is submitted to default queue <normal>.`; something may stand around it.
        stdout.lines().rev().find_map(|line| {
            let (id, rest) = line.trim().strip_prefix("Job <")?.split_once('>')?;
            (rest.starts_with(" is submitted") && is_number(id)).then(|| id.to_owned())
        })
    }

    fn array_limit(&self) -> Option<LimitQuestion> {
        let argv = ["bparams", "-a"].map(String::from).into();
        Some((argv, |reply| {
            let mut values = reply.lines().filter_map(|line| line.split_once('='));
            let (_, size) = values.find(|(name, _)| name.trim() == "MAX_JOB_ARRAY_SIZE")?;
            size.split_whitespace().next()?.parse().ok()
        }))
    }

    fn query(&self, ids: &[String]) -> Vec<String> {
        // -a: also what ended, for CLEAN_PERIOD (an hour by default).
        let fields = "jobid jobindex stat exit_code exit_reason delimiter='|'";
        let argv: Vec<String> = ["bjobs", "-a", "-noheader", "-o", fields].map(String::from).into();
        [&argv, ids].concat()
    }

    fn states(&self, reply: &Reply) -> Result<Vec<TaskState>, String> {
        let states: Vec<_> = reply.stdout.lines().filter_map(task_state).collect();
        // Of each id that it has forgotten bjobs says this, and fails.
        let mut complaints = reply.stderr.lines().filter(|line| !line.trim().is_empty());
        let forgotten = reply.stderr.contains("is not found")
            && complaints.all(|line| line.contains("is not found"));
        let silent = reply.code == Some(0) && reply.stdout.trim().is_empty();
        if states.is_empty() && !forgotten && !silent {
            return Err(reply.complaint());
        }
        Ok(states)
    }

    fn cancel(&self, ids: &[String]) -> Vec<String> {
        [&["bkill".to_owned()], ids].concat()
    }

    fn already_gone(&self) -> &'static [&'static str] {
        &["Job has already finished", "No matching job found"]
    }
}

/// `38|4|EXIT|137|TERM_MEMLIMIT: ...`, `38|5|RUN|-|-`.
fn task_state(line: &str) -> Option<TaskState> {
    let mut fields = line.trim().splitn(5, '|').map(str::trim);
    let (job, index, word) = (fields.next()?, fields.next()?, fields.next()?);
    if !is_number(job) {
        return None;
    }
    // From 1; 0 is no array.
    let task = index.parse::<u32>().ok()?.checked_sub(1);
    let more = fields.filter(|field| !matches!(*field, "" | "-"));
    let words = [word].into_iter().chain(more).collect::<Vec<_>>().join(" ");
    let state = match word {
        "PEND" | "PSUSP" | "PROV" | "WAIT" => State::Queued(words),
        "RUN" | "USUSP" | "SSUSP" => State::Running(words),
        // What runs on a host that does not answer may still do so; ZOMBI: and was killed.
        "UNKWN" | "ZOMBI" => State::Running(format!("{words}: its host does not answer")),
        "DONE" | "EXIT" => State::Ended(words),
        _ => State::Unknown(words),
    };
    Some(TaskState { job: job.to_owned(), task, state })
}

fn own_whole(options: &Options, key: &str) -> Option<u32> {
    options.own_text(key)?.trim().parse().ok().filter(|n| *n > 0)
}

fn own_bytes(options: &Options, key: &str) -> Option<u64> {
    bytes(&options.own_text(key)?)
}

/// Bytes in the unit of limits.
fn unit(options: &Options) -> Option<f64> {
    let name = options.own_text("lsf_units").unwrap_or_else(|| "kb".to_owned());
    UNITS.iter().find(|(unit, _)| name.eq_ignore_ascii_case(unit)).map(|(_, bytes)| *bytes)
}

/// The line for memory.
fn limit(options: &Options) -> Option<String> {
    let memory = own_bytes(options, "mem").or(options.memory)?;
    Some(format!("-M {}", (memory as f64 / unit(options)?).ceil()))
}

fn skipped(options: &Options, line: &str) -> bool {
    options.skip.iter().any(|part| format!("#BSUB {line}").contains(part.as_str()))
}

/// `HH:MM`, which is all that bsub reads, rounded up.
fn hours_minutes(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// One word of a directive: bsub knows both quotes.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-+./:%@=,".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { always(word) }
}

fn always(word: &str) -> String {
    if word.contains('"') && !word.contains('\'') {
        return format!("'{word}'");
    }
    format!("\"{}\"", word.replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_as_dask_jobqueue_rounds_it() {
        for (given, kb, mb, gb) in [
            ("512MB", "512000", "512", "1"),
            ("4GB", "4000000", "4000", "4"),
            ("16GB", "16000000", "16000", "16"),
            ("16GiB", "17179870", "17180", "18"),
            ("64 gb", "64000000", "64000", "64"),
            ("500 GB", "500000000", "500000", "500"),
            ("1024", "2", "1", "1"),
        ] {
            for (unit, wanted) in [("kb", kb), ("MB", mb), ("gb", gb)] {
                let given = serde_json::json!({"cores": 1, "memory": given, "lsf_units": unit});
                let given = given.as_object().expect("an object");
                let (options, _) = Options::read(&Lsf, given);
                assert_eq!(limit(&options), Some(format!("-M {wanted}")), "{given:?}");
            }
        }
    }

    #[test]
    fn times_are_rounded_up() {
        let given = [1, 60, 1800, 14_400, 14_401, 360_000];
        let wanted = ["00:01", "00:01", "00:30", "04:00", "04:01", "100:00"];
        assert_eq!(given.map(|seconds| hours_minutes(Duration::from_secs(seconds))), wanted);
    }
}
