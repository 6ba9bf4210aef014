//! Grid Engine (SGE, Univa, Open Cluster Scheduler): qsub, qstat, qdel.
//! <https://manpages.debian.org/bookworm/gridengine-client/qsub.1.en.html>

use super::digits::is_number;
use super::kaldi::{Gpus, Kaldi};
use super::script::{Shell, directives, script};
use super::units::hms;
use super::{
    Fields, Finding, Habits, LimitQuestion, Options, Order, Reply, SCRIPT, Scheduler, State,
    Submission, TaskState,
};

/// More tasks of one job than any site allows: a range that claims them is not to be believed.
const TOO_MANY: usize = 1_000_000;

pub(super) struct Sge;

impl Scheduler for Sge {
    fn name(&self) -> &'static str {
        "sge"
    }

    fn kaldi(&self) -> Kaldi {
        Kaldi {
            conf: Some("conf/queue.conf"),
            program: Some("qsub"),
            path: Some("-v PATH"),
            directives: true,
            gpus: |_| {
                let line =
                    "`option gpu=* -l gpu=$0`, with this site's word for a GPU, in conf/queue.conf";
                Gpus::Write(line.to_owned())
            },
        }
    }

    fn own_options(&self) -> &'static [&'static str] {
        &["resource_spec"]
    }

    fn habits(&self) -> Habits {
        Habits {
            needs_cores_and_memory: true,
            default_walltime: Some(30 * 60),
            // qsub takes no time of two fields at all.
            two_fields: Fields::MinutesSeconds,
            bare_number: 1,
        }
    }

    fn time_directives(&self) -> &'static [&'static str] {
        &["h_rt="]
    }

    fn review(&self, options: &Options) -> Vec<Finding> {
        let mut found = Vec::new();
        let cores = options.cores;
        if cores > 1 && !options.extra.iter().any(|line| line.trim_start().starts_with("-pe")) {
            let message = format!("`cores: {cores}` asks Grid Engine for nothing: one slot a task");
            let hint = format!(
                "such as `job_extra_directives: [\"-pe smp {cores}\"]`; `qconf -spl` lists the \
                 parallel environments"
            );
            found.push(Finding::warning("cores", message, hint));
        }
        let spec = options.own_text("resource_spec");
        let mut asked = options.extra.iter().filter(|line| line.contains("-l")).chain(&spec);
        if let Some(memory) = options.memory
            && !asked.any(|line| ["mem", "ram", "rss"].iter().any(|part| line.contains(part)))
        {
            let message = "`memory` asks Grid Engine for nothing";
            let megabytes = memory.div_ceil(u64::from(cores)).div_ceil(1 << 20);
            let hint = format!(
                "such as `resource_spec: h_vmem={megabytes}M`, an amount for each slot; sites \
                 differ in the name"
            );
            found.push(Finding::warning("memory", message, hint));
        }
        found
    }

    fn submission(&self, order: &Order<'_>) -> Submission {
        let options = order.options;
        let mut lines = vec![format!("-N {}", order.name)];
        lines.extend(options.queue.as_ref().map(|queue| format!("-q {}", quote(queue))));
        lines.extend(options.account.as_ref().map(|project| format!("-P {}", quote(project))));
        let spec = options.own_text("resource_spec");
        lines.extend(spec.map(|spec| format!("-l {}", quote(&spec))));
        lines.extend(options.walltime.map(|time| format!("-l h_rt={}", hms(time))));
        match &options.log_directory {
            // A folder: NAME.oJOB.TASK in it.
            Some(folder) => {
                let folder = quote(&format!("{folder}/"));
                lines.extend([format!("-e {folder}"), format!("-o {folder}")]);
            }
            None => lines.push(format!("-o {}.$TASK_ID.log", order.log)),
        }
        lines.extend(["-cwd", "-j y"].map(String::from));
        // Most sites run scripts with the queue's shell, often csh, whatever the first line says.
        lines.push(format!("-S {}", interpreter(&options.shebang)));
        lines.push(format!("-t 1-{}", order.tasks));
        lines.extend(order.max_running.map(|most| format!("-tc {most}")));
        // `undefined` where there is no array: a variable that is not set, which counts as 0.
        let shell = Shell { task: "$((SGE_TASK_ID > 0 ? SGE_TASK_ID - 1 : 0))", ends_at: None };
        let text = script(order, &directives("#$", &lines, order), &shell);
        Submission {
            files: vec![(SCRIPT, text)],
            argv: ["qsub", "-terse", &order.script_path()].map(String::from).into(),
            stdin: None,
        }
    }

    fn job_id(&self, stdout: &str) -> Option<String> {
        // `3.1-32:1`; something may stand before it.
        stdout.lines().rev().find_map(|line| {
            let (id, range) = line.trim().split_once('.')?;
            let (range, step) = range.split_once(':')?;
            let (first, last) = range.split_once('-')?;
            [id, first, last, step].iter().all(|part| is_number(part)).then(|| id.to_owned())
        })
    }

    fn trial(&self, submission: &Submission) -> Option<Vec<String>> {
        let mut argv = submission.argv.clone();
        argv.splice(1..1, ["-w", "v"].map(String::from));
        Some(argv)
    }

    fn array_limit(&self) -> Option<LimitQuestion> {
        let argv = ["qconf", "-sconf"].map(String::from).into();
        Some((argv, |reply| {
            let value = reply.lines().find_map(|line| line.strip_prefix("max_aj_tasks"))?;
            // 0: no limit, sge_conf(5).
            value.trim().parse().ok().filter(|most| *most > 0)
        }))
    }

    fn query(&self, _ids: &[String]) -> Vec<String> {
        // All jobs of the user: asked after some (-j), qstat tells no states. z: what ended last,
        // as far as the site keeps it.
        ["qstat", "-xml", "-s", "prsz"].map(String::from).into()
    }

    fn states(&self, reply: &Reply) -> Result<Vec<TaskState>, String> {
        if reply.code != Some(0) {
            return Err(reply.complaint());
        }
        let xml = reply.stdout.find("<?xml").and_then(|start| reply.stdout.get(start..));
        let xml = xml.ok_or_else(|| reply.complaint())?;
        let xml = roxmltree::Document::parse(xml.trim_end())
            .map_err(|error| format!("qstat's XML cannot be read: {error}"))?;
        Ok(xml.descendants().filter(|node| node.has_tag_name("job_list")).flat_map(said).collect())
    }

    fn cancel(&self, ids: &[String]) -> Vec<String> {
        [&["qdel".to_owned()], ids].concat()
    }

    fn already_gone(&self) -> &'static [&'static str] {
        &["does not exist"]
    }
}

/// What one `job_list` says: of one task that runs, or of all that are in the same state.
fn said(entry: roxmltree::Node<'_, '_>) -> Vec<TaskState> {
    let child = |name: &str| {
        let child = entry.children().find(|child| child.has_tag_name(name))?;
        child.text().map(str::trim).filter(|text| !text.is_empty())
    };
    let (Some(job), Some(word)) = (child("JB_job_number"), child("state")) else {
        return Vec::new();
    };
    if !is_number(job) {
        return Vec::new();
    }
    let state = state(job, word, child("queue_name"));
    let ended = matches!(state, State::Ended(_));
    let tasks = match child("tasks") {
        Some(text) => match tasks(text) {
            Some(tasks) => tasks.into_iter().map(Some).collect(),
            // That the whole job ended is not what it says.
            None if ended => Vec::new(),
            None => vec![None],
        },
        None => vec![None],
    };
    let of = |task| TaskState { job: job.to_owned(), task, state: state.clone() };
    tasks.into_iter().map(of).collect()
}

/// The letters of a state, qstat(1).
fn state(job: &str, word: &str, queue: Option<&str>) -> State {
    let words = queue.map_or_else(|| word.to_owned(), |queue| format!("{word} {queue}"));
    let has = |letters: &str| word.contains(|c| letters.contains(c));
    if !word.chars().all(|c| "dEhrRsStTwqz".contains(c)) {
        State::Unknown(words)
    } else if has("z") {
        State::Ended(words)
    } else if has("E") {
        State::Queued(format!("{words}: in error, waits for `qmod -cj {job}` or `qdel {job}`"))
    } else if has("qw") {
        State::Queued(words)
    } else if has("rtsST") {
        State::Running(words)
    } else {
        State::Unknown(words)
    }
}

/// `3`, `1,2`, `7-32:1`, from 1: from 0.
fn tasks(text: &str) -> Option<Vec<u32>> {
    let mut tasks = Vec::new();
    for part in text.split(',') {
        let (range, step) = part.trim().split_once(':').unwrap_or((part.trim(), "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        let step = step.parse::<usize>().ok().filter(|step| *step > 0)?;
        tasks.extend((first.checked_sub(1)?..last).step_by(step).take(TOO_MANY));
        if tasks.len() >= TOO_MANY {
            return None;
        }
    }
    Some(tasks)
}

/// The shell that a first line names.
fn interpreter(shebang: &str) -> &str {
    let program = shebang.trim_start_matches("#!").split_whitespace().next();
    program.filter(|path| path.starts_with('/') && !path.ends_with("/env")).unwrap_or("/bin/bash")
}

/// One word of a directive: qsub knows both quotes, and no backslash.
fn quote(word: &str) -> String {
    if !word.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')) {
        return word.to_owned();
    }
    let parts = word.split('"').map(|part| match part {
        "" => String::new(),
        part => format!("\"{part}\""),
    });
    parts.collect::<Vec<_>>().join("'\"'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_qsub_reads_them() {
        let given = ["all.q@n1", "night shift", "o'brien \"lab\"", "$HOME/logs/"];
        let wanted = ["all.q@n1", "\"night shift\"", "\"o'brien \"'\"'\"lab\"'\"'", "$HOME/logs/"];
        assert_eq!(given.map(quote), wanted);
    }

    #[test]
    fn tasks_of_ranges() {
        assert_eq!(tasks("3"), Some(vec![2]));
        assert_eq!(tasks("1,2,7-9:1,20-24:2"), Some(vec![0, 1, 6, 7, 8, 19, 21, 23]));
        for odd in ["", "0", "1-", "undefined", "1-4:0", "1-4000000000:1", "1,..."] {
            assert_eq!(tasks(odd), None, "{odd}");
        }
    }
}
