//! `parallel.options` of a batch scheduler: dask-jobqueue's names, with their meaning.

use std::time::Duration;

use serde_json::{Map, Value};

use super::keys::{COMMON, DASK_ONLY, OTHER_NAMES, unknown, without_effect};
use super::units::{bytes, walltime};
use super::{Finding, Habits, Scheduler, known_elsewhere};

/// The options of one scheduler, checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub cores: u32,
    /// Bytes.
    pub memory: Option<u64>,
    /// Worker processes in a task.
    pub processes: u32,
    pub job_name: Option<String>,
    pub queue: Option<String>,
    pub account: Option<String>,
    pub walltime: Option<Duration>,
    /// The time that a task has: `walltime`, or what a line of the user's own says instead.
    pub time_limit: Option<Duration>,
    /// `job_extra_directives`, in order; of a mapping, `key = value`.
    pub extra: Vec<String>,
    /// `job_directives_skip`.
    pub skip: Vec<String>,
    pub prologue: Vec<String>,
    pub epilogue: Vec<String>,
    pub log_directory: Option<String>,
    pub local_directory: Option<String>,
    /// The first line of the script.
    pub shebang: String,
    pub threads_per_worker: Option<u32>,
    /// The keys that this scheduler alone understands, as they were given.
    own: Map<String, Value>,
}

impl Options {
    /// Reads the options, and says what is odd about them. With an error among the findings the
    /// options are not to be used.
    pub(crate) fn read(
        scheduler: &dyn Scheduler,
        given: &Map<String, Value>,
    ) -> (Self, Vec<Finding>) {
        let mut reader = Reader { given: Map::new(), nulls: Vec::new(), found: Vec::new() };
        reader.sort_out(scheduler, given);
        let mut options = reader.options(scheduler);
        options.time_limit = options.time_limit(scheduler);
        let mut found = reader.found;
        if found.iter().all(|finding| finding.weight != super::Weight::Error) {
            found.extend(scheduler.review(&options));
        }
        (options, found)
    }

    fn time_limit(&self, scheduler: &dyn Scheduler) -> Option<Duration> {
        let (habits, starts) = (scheduler.habits(), scheduler.time_directives());
        let of_line = |line: &String| {
            let value = starts.iter().find_map(|start| match start.ends_with('=') {
                // One of several resources in a line.
                true => Some(line.split_once(start)?.1),
                false => line.trim().strip_prefix(start),
            })?;
            let value =
                value.split([',', ' ']).next().unwrap_or_default().trim_matches(['"', '\'']);
            Some(walltime(value, habits.two_fields, habits.bare_number))
        };
        // The last of several lines counts; one that is not understood leaves the limit open.
        let spec = self.own_text("resource_spec");
        if let Some(own) = spec.iter().chain(&self.extra).filter_map(of_line).next_back() {
            return own;
        }
        let skipped = |part: &String| starts.iter().any(|start| start.contains(part.trim()));
        self.walltime.filter(|_| !self.skip.iter().any(skipped))
    }

    /// One of the scheduler's own options, if it is given and not null.
    pub(super) fn own(&self, key: &str) -> Option<&Value> {
        self.own.get(key)
    }

    /// The same as text, where it is text or a number.
    pub(super) fn own_text(&self, key: &str) -> Option<String> {
        self.own(key).and_then(text)
    }

    /// The same as words of a command line, where it is a list of texts or numbers.
    pub(super) fn own_words(&self, key: &str) -> Option<Vec<String>> {
        self.own(key)?.as_array()?.iter().map(text).collect()
    }

    /// Whether the user wrote a directive that has this part.
    pub(super) fn extra_has(&self, part: &str) -> bool {
        self.extra.iter().any(|line| line.contains(part))
    }
}

struct Reader {
    /// What is given and not null, by the one name.
    given: Map<String, Value>,
    /// `walltime: null`, `memory: null`: nothing is to be asked for.
    nulls: Vec<String>,
    found: Vec<Finding>,
}

impl Reader {
    /// Keeps what is understood, under one name, and has a word for the rest.
    fn sort_out(&mut self, scheduler: &dyn Scheduler, given: &Map<String, Value>) {
        let (own, env) = (scheduler.own_options(), scheduler.name());
        let (mut of_dask, mut of_others) = (Vec::new(), Vec::new());
        for (key, value) in given {
            let name = key.as_str();
            if own.contains(&name) || COMMON.contains(&name) {
                self.given.insert(key.clone(), value.clone());
            } else if let Some((_, known)) = OTHER_NAMES.iter().find(|(other, _)| *other == name) {
                if given.contains_key(*known) {
                    let message = format!("`{name}` and `{known}` are the same option");
                    self.found.push(Finding::error(name, message, format!("keep `{known}`")));
                } else {
                    self.given.insert((*known).to_owned(), value.clone());
                }
            } else if DASK_ONLY.contains(&name) {
                of_dask.push(name);
            } else if known_elsewhere(name) {
                of_others.push(name);
            } else {
                let known = COMMON.iter().chain(own).copied();
                self.found.push(unknown(name, known, env));
            }
        }
        self.found.extend(without_effect("Dask-only, no effect here", &of_dask));
        self.found.extend(without_effect(&format!("no effect on `{env}`"), &of_others));
        let nulls = given.iter().filter(|(_, value)| value.is_null());
        self.nulls = nulls.map(|(key, _)| key.clone()).collect();
        self.given.retain(|_, value| !value.is_null());
    }

    fn options(&mut self, scheduler: &dyn Scheduler) -> Options {
        let habits = scheduler.habits();
        let default =
            habits.default_walltime.filter(|_| !self.is_null("walltime")).map(Duration::from_secs);
        if habits.needs_cores_and_memory
            && (!self.given.contains_key("cores")
                || !(self.given.contains_key("memory") || self.is_null("memory")))
        {
            let env = scheduler.name();
            let message = format!("`{env}` needs `cores` and `memory` of a job in the options");
            let hint = "such as `cores: 4` and `memory: 8GB`; `job_directives_skip` leaves out \
                        lines that a site does not want";
            self.found.push(Finding::error("", message, hint));
        }
        let cores = self.whole("cores").unwrap_or(1);
        Options {
            cores,
            memory: self.memory(),
            processes: self.whole("processes").unwrap_or_else(|| processes(cores)),
            job_name: self.line("job_name"),
            queue: self.line("queue"),
            account: self.line("account"),
            walltime: self.walltime(habits).or(default),
            time_limit: None,
            extra: self.lines("job_extra_directives"),
            skip: self.lines("job_directives_skip"),
            prologue: self.lines("job_script_prologue"),
            epilogue: self.lines("job_script_epilogue"),
            log_directory: self.line("log_directory"),
            local_directory: self.line("local_directory"),
            shebang: self.shebang(),
            threads_per_worker: self.whole("threads_per_worker"),
            own: self.own(scheduler),
        }
    }

    fn is_null(&self, key: &str) -> bool {
        self.nulls.iter().any(|null| null == key)
    }

    fn whole(&mut self, key: &str) -> Option<u32> {
        let value = self.given.get(key)?;
        let n = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
        let n = n.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        if n.is_none() {
            let message = format!("`{key}` must be a whole number, 1 or more, but is {value}");
            self.found.push(Finding::error(key, message, "write it as in `8`").of_value());
        }
        n
    }

    /// A text that goes into one line of a script.
    fn line(&mut self, key: &str) -> Option<String> {
        let value = self.given.get(key)?;
        match text(value).filter(|text| !text.is_empty()) {
            Some(text) if !text.chars().any(char::is_control) => Some(text),
            Some(_) => {
                let message = format!("`{key}` must be one line");
                self.found.push(Finding::error(key, message, "no newlines or tabs").of_value());
                None
            }
            None => {
                let message = format!("`{key}` must be a text, but is {value}");
                self.found.push(Finding::error(key, message, "write it as text").of_value());
                None
            }
        }
    }

    /// A list of lines; one text is a list of one. Of a mapping, `key = value` lines.
    fn lines(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.given.get(key) else { return Vec::new() };
        let lines: Option<Vec<String>> = match value {
            Value::Array(items) => items.iter().map(text).collect(),
            Value::Object(map) => {
                map.iter().map(|(key, value)| Some(format!("{key} = {}", text(value)?))).collect()
            }
            one => text(one).map(|text| vec![text]),
        };
        // What the user wrote to be shell may have several lines; a directive is one.
        let shell = matches!(key, "job_script_prologue" | "job_script_epilogue");
        match lines {
            Some(lines) if shell || lines.iter().all(|line| !line.contains(['\n', '\r'])) => lines,
            Some(_) => {
                let message = format!("each of `{key}` must be one line");
                self.found.push(Finding::error(key, message, "one list item a line").of_value());
                Vec::new()
            }
            None => {
                let message = format!("`{key}` must be a list of lines, but is {value}");
                let hint = format!("write it as in `{key}: [\"--exclusive\"]`");
                self.found.push(Finding::error(key, message, hint).of_value());
                Vec::new()
            }
        }
    }

    fn memory(&mut self) -> Option<u64> {
        let text = self.line("memory")?;
        let memory = bytes(&text);
        if memory.is_none() {
            let message = format!("`memory` must be an amount of memory, but is \"{text}\"");
            self.found.push(Finding::error("memory", message, "such as `16GB`").of_value());
        }
        memory
    }

    fn walltime(&mut self, habits: Habits) -> Option<Duration> {
        let text = self.line("walltime")?;
        let Some(time) = walltime(&text, habits.two_fields, habits.bare_number) else {
            let message = format!("`walltime` must be a length of time, but is \"{text}\"");
            let hint = "such as \"04:00:00\", \"1-12:00:00\" or 90m";
            self.found.push(Finding::error("walltime", message, hint).of_value());
            return None;
        };
        if time.is_zero() {
            let message = "`walltime` is nothing at all";
            self.found.push(Finding::error("walltime", message, "such as \"04:00:00\""));
        }
        if !text.contains(|c: char| c.is_ascii_alphabetic() || c == '-')
            && text.matches(':').count() < 2
        {
            let read = super::units::days_hms(time);
            let message = format!("`walltime: {text}` is read as {read} (h:m:s)");
            let hint = format!("write \"{read}\", which all schedulers read alike");
            self.found.push(Finding::warning("walltime", message, hint).of_value());
        }
        Some(time)
    }

    fn shebang(&mut self) -> String {
        if self.given.contains_key("python") {
            let message = "`python` has no effect: the stage's program is this one";
            self.found.push(Finding::note("python", message));
        }
        match self.line("shebang") {
            Some(shebang) if !shebang.starts_with("#!") => {
                let message = format!("`shebang` must begin with \"#!\", but is \"{shebang}\"");
                let hint = "such as \"#!/bin/bash\"";
                self.found.push(Finding::error("shebang", message, hint).of_value());
                shebang
            }
            Some(shebang) => shebang,
            None => "#!/usr/bin/env bash".to_owned(),
        }
    }

    fn own(&mut self, scheduler: &dyn Scheduler) -> Map<String, Value> {
        let mut own = self.given.clone();
        own.retain(|key, _| scheduler.own_options().contains(&key.as_str()));
        for (key, value) in &own {
            let lines = value.as_str().is_some_and(|text| text.contains(['\n', '\r', '\0']));
            if lines {
                let message = format!("`{key}` must be one line");
                self.found.push(Finding::error(key, message, "no newlines").of_value());
            }
        }
        own
    }
}

/// A text or a number, as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// dask's `nprocesses_nthreads`: up to four cores a process each, then the smallest divisor that is
/// not below the square root.
fn processes(cores: u32) -> u32 {
    if cores <= 4 {
        return cores;
    }
    let divides = |n: &u32| cores.is_multiple_of(*n);
    (1..=cores).filter(divides).find(|n| n * n >= cores).unwrap_or(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_as_dask_divides_cores() {
        let cores = [1, 2, 4, 6, 8, 16, 24, 32, 36, 48, 64, 128];
        let wanted = [1, 2, 4, 3, 4, 4, 6, 8, 6, 8, 8, 16];
        assert_eq!(cores.map(processes), wanted);
    }
}
