//! The names a config may use.

/// The top-level keys of every config, besides `parallel…` and the stage's own section.
pub(super) const TOP: &[&str] = &[
    "stage",
    "output_dir",
    "async_result_dir",
    "inference_dir",
    "async_mode",
    "async_specs_dir",
    "async_num_workers",
    "indices",
    "batch_size",
    "item_timeout",
    "on_item_error",
    "max_failed_items",
];

/// What the stage `python` itself reads of a config; the rest is for the provider.
pub(super) const PYTHON: &[&str] =
    &["provider", "runner", "python", "num_items", "dataset", "test_set"];

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
