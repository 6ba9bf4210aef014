//! The names a config may use, and which of them a mistyped one is near to.

/// The top-level keys of every config, besides `parallel…` and the stage's own section.
pub(super) const TOP: &[&str] = &[
    "stage",
    "output_dir",
    "async_result_dir",
    "async_mode",
    "async_specs_dir",
    "async_num_workers",
    "indices",
    "batch_size",
    "on_item_error",
    "max_failed_items",
];

/// The keys of `parallel`.
pub(super) const PARALLEL: &[&str] = &[
    "env",
    "n_workers",
    "options",
    "shards",
    "shard_size",
    "max_resubmits",
    "max_running",
    "max_array_size",
    "allow_overwrite_lock",
];

/// The keys of `parallel.options` that mean something when `env` is `local`.
pub(super) const LOCAL_OPTIONS: &[&str] = &["threads_per_worker"];

/// What Dask's LocalCluster and LocalCUDACluster and their workers also take, and we need not.
pub(super) const DASK_OPTIONS: &[&str] = &[
    "asynchronous",
    "blocked_handlers",
    "contact_address",
    "dashboard_address",
    "data",
    "death_timeout",
    "device_memory_limit",
    "enable_cudf_spill",
    "enable_infiniband",
    "enable_nvlink",
    "enable_rdmacm",
    "enable_tcp_over_ucx",
    "extensions",
    "heartbeat_interval",
    "host",
    "interface",
    "jit_unspill",
    "lifetime",
    "lifetime_restart",
    "lifetime_stagger",
    "local_directory",
    "log_spilling",
    "memory_limit",
    "memory_pause_fraction",
    "memory_spill_fraction",
    "memory_target_fraction",
    "memory_terminate_fraction",
    "name",
    "nanny",
    "pre_import",
    "preload",
    "preload_argv",
    "preload_nanny",
    "preload_nanny_argv",
    "processes",
    "protocol",
    "resources",
    "rmm_allocator_external_lib_list",
    "rmm_async",
    "rmm_log_directory",
    "rmm_managed_memory",
    "rmm_maximum_pool_size",
    "rmm_pool_size",
    "rmm_release_threshold",
    "rmm_track_allocations",
    "scheduler_kwargs",
    "scheduler_port",
    "scheduler_sync_interval",
    "security",
    "service_kwargs",
    "services",
    "shutdown_on_close",
    "silence_logs",
    "start",
    "worker_class",
    "worker_dashboard_address",
    "worker_services",
];

/// The known name that `given` is most likely meant to be.
pub(super) fn nearest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    known
        .into_iter()
        .filter(|known| is_near(given, known))
        .min_by_key(|known| (strsim::damerau_levenshtein(given, known), *known))
}

/// Whether one name can be the other mistyped: up to two slips, but not most of the word.
pub(super) fn is_near(one: &str, other: &str) -> bool {
    let length = one.chars().count().max(other.chars().count());
    let allowed = if length <= 4 { 1 } else { 2 };
    one != other
        && strsim::damerau_levenshtein(&one.to_lowercase(), &other.to_lowercase()) <= allowed
}

/// `a`, `b` and so on for the end of a message.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
