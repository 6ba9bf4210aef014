//! Slurm: sbatch, squeue, scancel. <https://slurm.schedmd.com/sbatch.html>

use super::kaldi::{Gpus, Kaldi};
use super::script::{Shell, directives, script};
use super::units::days_hms;
use super::{
    Fields, Finding, Habits, LimitQuestion, Options, Order, Reply, SCRIPT, Scheduler, State,
    Submission, TaskState,
};

pub(super) struct Slurm;

impl Scheduler for Slurm {
    fn name(&self) -> &'static str {
        "slurm"
    }

    fn kaldi(&self) -> Kaldi {
        Kaldi {
            conf: Some("conf/slurm.conf"),
            program: Some("sbatch"),
            path: None,
            directives: true,
            gpus: |gpus| Gpus::Directive(format!("--gres=gpu:{gpus}")),
        }
    }

    fn own_options(&self) -> &'static [&'static str] {
        &["job_cpu", "job_mem"]
    }

    fn habits(&self) -> Habits {
        Habits {
            needs_cores_and_memory: true,
            default_walltime: Some(30 * 60),
            two_fields: Fields::MinutesSeconds,
            bare_number: 60,
        }
    }

    fn time_directives(&self) -> &'static [&'static str] {
        &["--time=", "--time ", "-t "]
    }

    fn review(&self, options: &Options) -> Vec<Finding> {
        let exclude = ["--mem-per-cpu", "--mem-per-gpu"].into_iter().find(|o| options.extra_has(o));
        let asks = options.memory.is_some() || options.own("job_mem").is_some();
        let clash =
            exclude.filter(|_| asks && !options.skip.iter().any(|part| "--mem=".contains(part)));
        let finding = clash.map(|option| {
            let message =
                format!("`{option}` and the `--mem` that `memory` gives exclude each other");
            let hint = "add `job_directives_skip: [\"--mem=\"]`";
            Finding::warning("job_extra_directives", message, hint)
        });
        finding.into_iter().collect()
    }

    fn submission(&self, order: &Order<'_>) -> Submission {
        let options = order.options;
        let mut lines = vec![format!("-J {}", order.name)];
        // Relative to the directory sbatch is called in. %A_%a: array job and task.
        let logs = match &options.log_directory {
            Some(folder) => {
                let stem = quote(&format!("{folder}/{}-", order.name).replace('%', "%%"));
                [format!("-e {stem}%A_%a.err"), format!("-o {stem}%A_%a.out")]
            }
            None => [format!("-e {}.%a.log", order.log), format!("-o {}.%a.log", order.log)],
        };
        lines.extend(logs);
        lines.extend(options.queue.as_ref().map(|queue| format!("-p {}", quote(queue))));
        lines.extend(options.account.as_ref().map(|account| format!("-A {}", quote(account))));
        let throttle = order.throttle();
        lines.push(format!("--array=0-{}{throttle}", order.tasks - 1));
        lines.push("-n 1".to_owned());
        lines.push("-N 1".to_owned());
        let cores = options.own_text("job_cpu").unwrap_or_else(|| options.cores.to_string());
        lines.push(format!("--cpus-per-task={cores}"));
        let memory = options.own_text("job_mem").or_else(|| options.memory.map(memory));
        lines.extend(memory.map(|memory| format!("--mem={memory}")));
        lines.extend(options.walltime.map(|time| format!("-t {}", days_hms(time))));
        // A requeued task would empty its log.
        lines.push("--open-mode=append".to_owned());
        let shell =
            Shell { task: "${SLURM_ARRAY_TASK_ID:-0}", ends_at: Some("${SLURM_JOB_END_TIME-}") };
        let text = script(order, &directives("#SBATCH", &lines, order), &shell);
        Submission {
            files: vec![(SCRIPT, text)],
            argv: ["sbatch", "--parsable", &order.script_path()].map(String::from).into(),
            stdin: None,
        }
    }

    fn job_id(&self, stdout: &str) -> Option<String> {
        // `id` or `id;cluster`; a login banner may stand before it.
        let last = stdout.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
        let id = last.split(';').next()?;
        id.bytes().all(|b| b.is_ascii_digit()).then(|| id.to_owned()).filter(|id| !id.is_empty())
    }

    fn trial(&self, submission: &Submission) -> Option<Vec<String>> {
        let mut argv = submission.argv.clone();
        argv.insert(1, "--test-only".to_owned());
        Some(argv)
    }

    fn array_limit(&self) -> Option<LimitQuestion> {
        let argv = ["scontrol", "show", "config"].map(String::from).into();
        // The highest index is one below MaxArraySize, slurm.conf(5): so many tasks from index 0.
        Some((argv, |reply| {
            let line = reply.lines().find(|line| line.trim_start().starts_with("MaxArraySize"))?;
            line.split_once('=')?.1.trim().parse().ok()
        }))
    }

    fn query(&self, ids: &[String]) -> Vec<String> {
        // -r: one line a task; -t all: also what ended in the last minutes.
        let mut argv: Vec<String> =
            ["squeue", "-h", "-r", "-t", "all", "-o", "%i|%T|%r|%N", "-j"].map(String::from).into();
        argv.push(ids.join(","));
        argv
    }

    fn states(&self, reply: &Reply) -> Result<Vec<TaskState>, String> {
        // Of ids that are all forgotten squeue says this, and fails; of some, nothing.
        let forgotten = reply.stderr.contains("Invalid job id specified");
        if reply.code != Some(0) && !forgotten {
            return Err(reply.complaint());
        }
        Ok(reply.stdout.lines().filter_map(task_state).collect())
    }

    fn cancel(&self, ids: &[String]) -> Vec<String> {
        [&["scancel".to_owned()], ids].concat()
    }

    /// SBATCH_ variables and SLURM_CONF are the user's; these are a job's.
    fn job_variables(&self) -> &'static [&'static str] {
        &[
            "SLURM_ARRAY",
            "SLURM_CPU",
            "SLURM_EXPORT_ENV",
            "SLURM_GPU",
            "SLURM_GRES",
            "SLURM_GTIDS",
            "SLURM_JOB",
            "SLURM_LOCALID",
            "SLURM_MEM",
            "SLURM_NNODES",
            "SLURM_NODE",
            "SLURM_NPROCS",
            "SLURM_NTASKS",
            "SLURM_PROCID",
            "SLURM_STEP",
            "SLURM_SUBMIT",
            "SLURM_TASK",
            "SLURM_TRES",
        ]
    }
}

/// `38_4|RUNNING|None|n2`, `107|PENDING|Priority|`.
fn task_state(line: &str) -> Option<TaskState> {
    let mut fields = line.trim().splitn(4, '|');
    let (id, word, reason) = (fields.next()?, fields.next()?, fields.next()?);
    let node = fields.next().unwrap_or_default();
    let (job, task) = match id.split_once('_') {
        // A range, `38_[4-9%4]`, where squeue did not split it.
        Some((job, task)) if task.starts_with('[') => (job, None),
        Some((job, task)) => (job, Some(task.parse().ok()?)),
        None => (id, None),
    };
    if job.is_empty() || !job.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut words = word.to_owned();
    for more in [reason, node] {
        if !matches!(more, "" | "None" | "(null)") {
            words += &format!(" {more}");
        }
    }
    // <https://slurm.schedmd.com/job_state_codes.html>
    let state = match word {
        "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD"
        | "SPECIAL_EXIT" | "RESV_DEL_HOLD" => State::Queued(words),
        "RUNNING" | "COMPLETING" | "SUSPENDED" | "STOPPED" | "RESIZING" | "SIGNALING"
        | "STAGE_OUT" => State::Running(words),
        "COMPLETED" | "CANCELLED" | "FAILED" | "TIMEOUT" | "PREEMPTED" | "NODE_FAIL"
        | "BOOT_FAIL" | "DEADLINE" | "OUT_OF_MEMORY" | "REVOKED" | "LAUNCH_FAILED"
        | "RECONFIG_FAIL" => State::Ended(words),
        _ => State::Unknown(words),
    };
    Some(TaskState { job: job.to_owned(), task, state })
}

/// dask-jobqueue's `slurm_format_bytes_ceil`: whole units of 1024, rounded up.
fn memory(bytes: u64) -> String {
    let (unit, letter) = [(1 << 30, 'G'), (1 << 20, 'M')]
        .into_iter()
        .find(|(unit, _)| bytes >= *unit)
        .unwrap_or((1 << 10, 'K'));
    format!("{}{letter}", bytes.div_ceil(unit))
}

/// One word of a directive: sbatch splits them as a shell does.
fn quote(word: &str) -> String {
    shell_words::quote(word).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_as_dask_jobqueue_rounds_it() {
        let given =
            ["512MB", "4GB", "8GB", "16GB", "16GiB", "32GB", "64 gb", "500 GB", "1024", "1GB"];
        let wanted = ["489M", "4G", "8G", "15G", "16G", "30G", "60G", "466G", "1K", "954M"];
        let read = |text| memory(super::super::units::bytes(text).expect("an amount"));
        assert_eq!(given.map(read), wanted);
    }
}
