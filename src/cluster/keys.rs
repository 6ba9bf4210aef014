//! The keys of `parallel.options`: dask-jobqueue's, its older names, and what to say of others.

use super::Finding;
use crate::names::{listed, nearest};

/// The keys that every batch scheduler understands.
pub(super) const COMMON: &[&str] = &[
    "account",
    "cores",
    "job_directives_skip",
    "job_extra_directives",
    "job_name",
    "job_script_epilogue",
    "job_script_prologue",
    "local_directory",
    "log_directory",
    "memory",
    "processes",
    "python",
    "queue",
    "shebang",
    "threads_per_worker",
    "walltime",
];

/// What dask-jobqueue and its older versions call some of them too.
pub(super) const OTHER_NAMES: &[(&str, &str)] = &[
    ("env_extra", "job_script_prologue"),
    ("header_skip", "job_directives_skip"),
    ("job_extra", "job_extra_directives"),
    ("project", "account"),
];

/// What dask-jobqueue needs for its own processes and nothing here has a use for.
pub(super) const DASK_ONLY: &[&str] = &[
    "asynchronous",
    "auth",
    "config_name",
    "create_mode",
    "custom_cluster_spec",
    "dashboard_address",
    "death_timeout",
    "extra",
    "host",
    "idle_timeout",
    "interface",
    "jupyter",
    "loop",
    "memory_limit",
    "n_workers",
    "name",
    "nanny",
    "port_forward_cluster_ip",
    "protocol",
    "quiet",
    "resource_timeout",
    "scheduler_cls",
    "scheduler_forward_port",
    "scheduler_options",
    "scheduler_service_type",
    "security",
    "shared_temp_directory",
    "shutdown_on_close",
    "silence_logs",
    "worker_command",
    "worker_extra_args",
];

/// Words that other tools use for an option.
const ALSO_SAID: &[(&str, &str)] = &[
    ("cpus", "cores"),
    ("mem", "memory"),
    ("ncores", "cores"),
    ("num_cpus", "cores"),
    ("partition", "queue"),
    ("time", "walltime"),
    ("timeout", "walltime"),
    ("log_dir", "log_directory"),
];

/// Whether every batch scheduler understands the key, under this name or a current one.
pub(super) fn is_common(key: &str) -> bool {
    COMMON.contains(&key) || OTHER_NAMES.iter().any(|(other, _)| *other == key)
}

/// Keys that are passed over, if there are any.
pub(super) fn without_effect(why: &str, keys: &[&str]) -> Option<Finding> {
    let names = listed(keys.iter().copied());
    Some(Finding::note(keys.first()?, format!("{why}: {names}")))
}

/// A key that no cluster knows.
pub(super) fn unknown<'a>(key: &str, known: impl Iterator<Item = &'a str>, env: &str) -> Finding {
    let message = format!("unknown key `{key}` in the options of `{env}`");
    let known: Vec<&str> = known.collect();
    let said = ALSO_SAID.iter().find(|(said, _)| *said == key).map(|(_, meant)| *meant);
    let hint = match said.or_else(|| nearest(key, known.iter().copied())) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known are {}", listed(known)),
    };
    Finding::error(key, message, hint)
}
