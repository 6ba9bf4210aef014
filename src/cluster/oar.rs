//! OAR: oarsub, oarstat, oardel. <https://oar.imag.fr/docs/latest/user/commands/oarsub.html>

use serde_json::Value;

use super::digits::is_number;
use super::kaldi::{Gpus, Kaldi};
use super::script::{Shell, directives, script};
use super::units::hms;
use super::{
    Fields, Finding, Habits, Options, Order, Reply, SCRIPT, Scheduler, State, Submission, TaskState,
};

/// The property that says how much memory a core has; `not_applicable`: there is none.
const MEMORY_PROPERTY: &str = "memory_per_core_property_name";

pub(super) struct Oar;

impl Scheduler for Oar {
    fn name(&self) -> &'static str {
        "oar"
    }

    fn kaldi(&self) -> Kaldi {
        Kaldi {
            conf: None,
            program: Some("oarsub"),
            path: None,
            directives: true,
            gpus: |gpus| {
                let spec = format!("`resource_spec: /nodes=1/gpu={gpus}`");
                Gpus::Write(spec + " in the options of `--parallel`")
            },
        }
    }

    fn own_options(&self) -> &'static [&'static str] {
        &[MEMORY_PROPERTY, "resource_spec"]
    }

    fn habits(&self) -> Habits {
        Habits {
            needs_cores_and_memory: true,
            default_walltime: Some(30 * 60),
            // hour:mn:sec|hour:mn|hour, oarsub(1).
            two_fields: Fields::HoursMinutes,
            bare_number: 3600,
        }
    }

    fn throttles(&self) -> bool {
        false
    }

    fn review(&self, options: &Options) -> Vec<Finding> {
        let mut found = Vec::new();
        if let Some(folder) = &options.log_directory
            && !folder.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/%".contains(c))
        {
            let message = format!("OAR refuses `{folder}` in the name of a log file");
            let hint = "ASCII letters, digits and `_`, `-`, `.`, `/`";
            found.push(Finding::error("log_directory", message, hint).of_value());
        }
        let spec = options.own_text("resource_spec");
        let lines = options.extra.iter().map(|line| ("job_extra_directives", line));
        for (key, line) in lines.chain(spec.as_ref().map(|spec| ("resource_spec", spec))) {
            if shell_words::split(line).is_err() {
                let message = format!("the quotes in `{line}` do not match");
                let hint = "it becomes options of oarsub as a shell would read it";
                found.push(Finding::error(key, message, hint).of_value());
            }
        }
        let resources = |line: &&String| has_option(line, "-l", "--resource");
        if let Some(line) = options.extra.iter().find(resources)
            && !options.skip.iter().any(|part| "#OAR -l".contains(part.as_str()))
        {
            let message = format!("with `{line}`, OAR takes either that or what `cores` asks for");
            let hint = "give it as `resource_spec`, without the walltime";
            found.push(Finding::warning("job_extra_directives", message, hint));
        }
        if options.own(MEMORY_PROPERTY).is_none() {
            let message = "`memory` asks OAR for nothing";
            let hint = format!(
                "give the site's property for the memory of a core in MiB as `{MEMORY_PROPERTY}`, \
                 or not_applicable"
            );
            found.push(Finding::warning("memory", message, hint));
        }
        found
    }

    fn submission(&self, order: &Order<'_>) -> Submission {
        let options = order.options;
        let mut lines = vec![format!("-n {}", order.name)];
        lines.extend(options.queue.as_ref().map(|queue| format!("-q {}", quote(queue))));
        lines.extend(options.account.as_ref().map(|name| format!("--project {}", quote(name))));
        let spec = options.own_text("resource_spec");
        let spec = spec.unwrap_or_else(|| format!("/nodes=1/core={}", options.cores));
        let walltime = options.walltime.map(|time| format!(",walltime={}", hms(time)));
        lines.push(format!("-l {spec}{}", walltime.unwrap_or_default()));
        // Not one file: each stream would overwrite the other. An element of an array is a job,
        // with an id of its own.
        let (stem, out) = match &options.log_directory {
            Some(folder) => (format!("{folder}/{}", order.name), "out"),
            None => (order.log.to_owned(), "log"),
        };
        lines.push(format!("-O {stem}.%jobid%.{out}"));
        lines.push(format!("-E {stem}.%jobid%.err"));
        if order.tasks > 1 {
            lines.push(format!("--array {}", order.tasks));
        }
        let mut lines = directives("#OAR", &lines, order);
        // Of several -p the last is taken: it must say what the user's says too.
        lines.extend(property(options).map(|property| format!("#OAR -p {}", quote(&property))));

        // From 1; its manual says from 0. Distinct in any case, which is all that is needed.
        let shell = Shell { task: "${OAR_ARRAY_INDEX:-1}", ends_at: None };
        let text = script(order, &lines, &shell);
        // As options, because -S takes the quotes in the script for a part of the values.
        let mut argv = vec!["oarsub".to_owned()];
        argv.extend(lines.iter().flat_map(|line| words(line.trim_start_matches("#OAR "))));
        // The interpreter is named so that the file need not be executable.
        let interpreter = options.shebang.trim_start_matches("#!").trim();
        argv.push(format!("{interpreter} {}", order.script_path()));
        Submission { files: vec![(SCRIPT, text)], argv, stdin: None }
    }

    fn job_id(&self, stdout: &str) -> Option<String> {
        // One OAR_JOB_ID a task; of an array, OAR_ARRAY_ID then, which is the first of them.
        let find = |name: &str| {
            let mut values = stdout.lines().filter_map(|line| line.trim().strip_prefix(name));
            values.find(|id| is_number(id)).map(str::to_owned)
        };
        find("OAR_ARRAY_ID=").or_else(|| find("OAR_JOB_ID="))
    }

    fn query(&self, ids: &[String]) -> Vec<String> {
        // Its --array takes one id, and without one it does not show what ended.
        let ids: Vec<_> = ids.iter().filter(|id| is_number(id)).map(String::as_str).collect();
        let jobs = format!("array_id IN ({})", ids.join(","));
        ["oarstat", "-J", "--sql", &jobs].map(String::from).into()
    }

    fn states(&self, reply: &Reply) -> Result<Vec<TaskState>, String> {
        // Of no jobs at all, oarstat fails to make JSON.
        let nothing = "hash- or arrayref expected";
        if reply.stdout.contains(nothing) || reply.stderr.contains(nothing) {
            return Ok(Vec::new());
        }
        if reply.code != Some(0) {
            return Err(reply.complaint());
        }
        let json = whole(&reply.stdout).ok_or_else(|| reply.complaint())?;
        let jobs: Vec<&Value> = match &json {
            Value::Object(jobs) => jobs.values().collect(),
            Value::Array(jobs) => jobs.iter().collect(),
            _ => Vec::new(),
        };
        let states: Vec<_> = jobs.iter().filter_map(|job| task_state(job)).collect();
        if states.is_empty() && !jobs.is_empty() {
            return Err("oarstat's JSON names no job".to_owned());
        }
        Ok(states)
    }

    fn cancel(&self, ids: &[String]) -> Vec<String> {
        // A job that is no array is one of itself.
        [&["oardel", "--array"].map(String::from), ids].concat()
    }

    fn already_gone(&self) -> &'static [&'static str] {
        &["does not exist", "already"]
    }
}

/// The JSON of a reply, whatever stands before it. It begins a line: what stands further in is
/// part of something that was cut.
fn whole(text: &str) -> Option<Value> {
    let mut end = 0;
    let starts = text.split_inclusive('\n').filter_map(|line| {
        end += line.len();
        line.starts_with(['{', '[', 'n']).then(|| end - line.len())
    });
    starts.map(|start| serde_json::from_str(&text[start..])).find_map(Result::ok)
}

fn task_state(job: &Value) -> Option<TaskState> {
    let number = |key: &str| {
        let value = job.get(key)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    };
    let array = number("array_id").filter(|id| *id > 0).or_else(|| number("Job_Id"))?;
    let task = number("array_index").and_then(|index| u32::try_from(index).ok());
    let word = job.get("state")?.as_str()?;
    let host = job.get("assigned_network_address").and_then(|hosts| hosts.get(0)?.as_str());
    let words = host.map_or_else(|| word.to_owned(), |host| format!("{word} {host}"));
    let state = match word {
        "Waiting" | "Hold" | "toAckReservation" | "toLaunch" | "Launching" => State::Queued(words),
        "Running" | "Suspended" | "Resuming" | "Finishing" | "toError" => State::Running(words),
        "Terminated" | "Error" => State::Ended(words),
        _ => State::Unknown(words),
    };
    Some(TaskState { job: array.to_string(), task, state })
}

/// What the nodes must have: as much memory a core as is asked for, and what the user asks for.
fn property(options: &Options) -> Option<String> {
    let name = options.own_text(MEMORY_PROPERTY).filter(|name| name != "not_applicable")?;
    let memory = format!("{name}>={}", memory_per_core(options.memory?, options.cores));
    let users = options.extra.iter().rev().find(|line| has_option(line, "-p", "--property"));
    let users = users.map(|line| {
        let text = words(line).join(" ");
        let value = ["--property", "-p"].into_iter().find_map(|option| text.strip_prefix(option));
        value.unwrap_or_default().trim_start_matches('=').trim().to_owned()
    });
    Some(match users {
        Some(users) => format!("({users}) AND {memory}"),
        None => memory,
    })
}

/// MiB, rounded up.
fn memory_per_core(bytes: u64, cores: u32) -> u64 {
    bytes.div_ceil(u64::from(cores) << 20)
}

fn has_option(line: &str, short: &str, long: &str) -> bool {
    let line = line.trim_start();
    line.starts_with(long) || (line.starts_with(short) && !line.starts_with("--"))
}

/// A line of options as words. Quotes that do not match were refused.
fn words(line: &str) -> Vec<String> {
    shell_words::split(line)
        .unwrap_or_else(|_| line.split_whitespace().map(str::to_owned).collect())
}

fn quote(word: &str) -> String {
    shell_words::quote(word).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_a_core_is_rounded_up() {
        for (bytes, cores, wanted) in [
            (16_000_000_000, 1, 15_259),
            (16_000_000_000, 8, 1908),
            (17_179_869_184, 8, 2048),
            (1024, 1, 1),
        ] {
            assert_eq!(memory_per_core(bytes, cores), wanted);
        }
    }
}
