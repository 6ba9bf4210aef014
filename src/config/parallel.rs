//! The `parallel` section: where the run takes place, and with how many workers.

use serde_json::{Map, Value};

use super::check::Checker;
use super::diagnostic::{Diagnostic, Location, Severity};
use super::keys;
use super::layers::Part;
use super::resolve::child;
use super::tree::{Path, dotted};
use crate::cluster::{Finding, Options, Ssh, Weight, clusters, known_elsewhere, scheduler};
use crate::names;

/// Where a run takes place.
///
/// ```
/// use espnet3_par::Parallel;
///
/// // What a config without the section has.
/// let one = Parallel::default();
/// assert_eq!((one.env.as_str(), one.n_workers, one.threads_per_worker), ("local", 1, 1));
/// // As the section `parallel: {env: local, n_workers: 8}`; for `Config::parallel`.
/// let eight = Parallel { n_workers: 8, ..one };
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Parallel {
    /// The section this is from: `parallel`, or `parallel_NAME`.
    pub section: String,
    /// The cluster: `local`, `slurm`, …
    pub env: String,
    /// How many worker processes.
    pub n_workers: u32,
    /// How many threads each of them computes with.
    pub threads_per_worker: u32,
    /// How many shards to cut the items into; `None`: as the plan sees fit.
    pub shards: Option<u64>,
    /// How many items to a shard, instead of `shards`.
    pub shard_size: Option<u64>,
    /// How often to submit again for shards that are left over.
    pub max_resubmits: u32,
    /// How many tasks of a job may run at the same time.
    pub max_running: Option<u32>,
    /// The largest array the cluster accepts.
    pub max_array_size: Option<u32>,
    /// What only this kind of cluster understands.
    pub options: Map<String, Value>,
}

impl Default for Parallel {
    fn default() -> Self {
        Self {
            section: "parallel".to_owned(),
            env: "local".to_owned(),
            n_workers: 1,
            threads_per_worker: 1,
            shards: None,
            shard_size: None,
            max_resubmits: 3,
            max_running: None,
            max_array_size: None,
            options: Map::new(),
        }
    }
}

/// The name of the section to read; `None` if there is none, which means one local worker.
///
/// # Errors
/// A section is asked for and missing, or there are several and none is asked for.
pub(super) fn choose(
    root: &Map<String, Value>,
    wanted: Option<&str>,
) -> Result<Option<String>, Box<Diagnostic>> {
    let named: Vec<&str> = root.keys().filter_map(|key| key.strip_prefix("parallel_")).collect();
    let list = named.iter().map(|name| format!("`--parallel {name}`")).collect::<Vec<_>>();
    let Some(wanted) = wanted else {
        if root.contains_key("parallel") {
            return Ok(Some("parallel".to_owned()));
        }
        if named.is_empty() {
            return Ok(None);
        }
        let sections = named.iter().map(|name| format!("`parallel_{name}`")).collect::<Vec<_>>();
        let message = format!("which parallel section? The config has {}", sections.join(" and "));
        let hint = format!("add {}, or name one `parallel`", list.join(" or "));
        return Err(Box::new(Diagnostic::error(message).hint(hint)));
    };
    let spelled = [wanted.to_owned(), format!("parallel_{wanted}")];
    let fits = |name: &&String| {
        (*name == "parallel" || name.starts_with("parallel_")) && root.contains_key(*name)
    };
    if let Some(name) = spelled.iter().find(fits) {
        return Ok(Some(name.clone()));
    }
    let bare = wanted.strip_prefix("parallel_").unwrap_or(wanted);
    let hint = if let Some(near) = names::nearest(bare, named.iter().copied()) {
        format!("did you mean `--parallel {near}`?")
    } else if !list.is_empty() {
        format!("there is {}", list.join(", "))
    } else if root.contains_key("parallel") {
        "the config has only `parallel`, which is read without `--parallel`".to_owned()
    } else {
        "the config has no parallel section".to_owned()
    };
    let message = format!("there is no section `parallel_{bare}` in the config");
    let location = Location::Argument(format!("--parallel {wanted}"));
    Err(Box::new(Diagnostic::error(message).at(location).hint(hint)))
}

/// Reads `section`, which is in the config.
pub(super) fn read(section: &str, checker: &mut Checker<'_>) -> Parallel {
    let top: Path = vec![section.to_owned()];
    let defaults = Parallel { section: section.to_owned(), ..Parallel::default() };
    let Some(map) = checker.mapping(&top) else { return defaults };
    unknown_keys(section, &map, checker);

    let key = |name: &str| child(&top, name);
    let env = checker.text(&key("env"), "a cluster's name").unwrap_or(defaults.env);
    known_env(&key("env"), &env, checker);
    let options = checker.mapping(&key("options")).unwrap_or_default();
    if options.contains_key("n_workers") {
        let message = format!(
            "argument conflict: `n_workers` passed via both `{section}` and `{section}.options`"
        );
        let hint = format!("keep `{section}.n_workers` only");
        checker.error(&child(&key("options"), "n_workers"), Part::Key, message, Some(hint));
    }
    let (options, threads) = match scheduler(&env) {
        Some(scheduler) => {
            let (read, found) = Options::read(scheduler, &options);
            tell_findings(&key("options"), found, checker);
            (options, read.threads_per_worker.or(Some((read.cores / read.processes.max(1)).max(1))))
        }
        None if env == "ssh" => {
            let (_, found) = Ssh::read(&options);
            tell_findings(&key("options"), found, checker);
            (options, checker.whole(&child(&key("options"), "threads_per_worker"), 1))
        }
        None => {
            let threads = checker.whole(&child(&key("options"), "threads_per_worker"), 1);
            (local_options(section, &env, options, checker), threads)
        }
    };

    let shards = checker.whole(&key("shards"), 1);
    let shard_size = checker.whole(&key("shard_size"), 1);
    if shards.is_some() && shard_size.is_some() {
        let message = format!("argument conflict: `{section}.shards` and `{section}.shard_size`");
        let hint = "give the number of shards, or the items in each, not both";
        checker.error(&key("shard_size"), Part::Key, message, Some(hint.to_owned()));
    }
    let max_running = checker.whole(&key("max_running"), 1);
    if max_running.is_some() && scheduler(&env).is_none_or(|scheduler| !scheduler.throttles()) {
        let message = format!("`{section}.max_running` has no effect on `{env}`");
        checker.tell(Severity::Note, &key("max_running"), Part::Key, message, None);
    }
    Parallel {
        section: section.to_owned(),
        env,
        n_workers: n_workers(checker, &key("n_workers")).unwrap_or(defaults.n_workers),
        threads_per_worker: threads.unwrap_or(defaults.threads_per_worker),
        shards,
        shard_size,
        max_resubmits: checker.whole(&key("max_resubmits"), 0).unwrap_or(defaults.max_resubmits),
        max_running,
        max_array_size: checker.whole(&key("max_array_size"), 1),
        options,
    }
}

/// More is a slip of the pen, and would be as many processes.
const MOST_WORKERS: u32 = 100_000;

fn n_workers(checker: &mut Checker<'_>, key: &[String]) -> Option<u32> {
    let n = checker.whole(key, 1)?;
    if n > MOST_WORKERS {
        let message = format!("`{}` is {n}, and can be {MOST_WORKERS} at most", dotted(key));
        checker.error(key, Part::Value, message, None);
    }
    Some(n)
}

fn unknown_keys(section: &str, map: &Map<String, Value>, checker: &mut Checker<'_>) {
    for name in map.keys() {
        let path = [section.to_owned(), name.clone()];
        if name == "allow_overwrite_lock" {
            let message = format!("`{section}.{name}` has no effect: a run here takes no lock");
            checker.tell(Severity::Note, &path, Part::Key, message, None);
        }
        if keys::PARALLEL.contains(&name.as_str()) {
            continue;
        }
        let is_option = keys::DASK_OPTIONS.contains(&name.as_str()) || known_elsewhere(name);
        let hint = match names::nearest(name, keys::PARALLEL.iter().copied()) {
            _ if is_option => format!("it belongs one level down, under `{section}.options`"),
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", names::listed(keys::PARALLEL.iter().copied())),
        };
        let message = format!("unknown key `{name}` in `{section}`");
        checker.error(&path, Part::Key, message, Some(hint));
    }
}

fn known_env(path: &[String], env: &str, checker: &mut Checker<'_>) {
    if !clusters().any(|known| known == env) {
        let hint = match names::nearest(env, clusters()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", names::listed(clusters())),
        };
        checker.error(path, Part::Value, format!("there is no cluster `{env}`"), Some(hint));
    }
}

/// What a cluster has to say of its options, each at the key that it is about.
fn tell_findings(options: &Path, found: Vec<Finding>, checker: &mut Checker<'_>) {
    for finding in found {
        let severity = match finding.weight {
            Weight::Error => Severity::Error,
            Weight::Warning => Severity::Warning,
            Weight::Note => Severity::Note,
        };
        let part = if finding.value { Part::Value } else { Part::Key };
        let path = match finding.key.as_str() {
            "" => options.clone(),
            key => child(options, key),
        };
        checker.tell(severity, &path, part, finding.message, finding.hint);
    }
}

/// What is left of the options of a local run once Dask's own are gone. Those of other clusters are
/// for when `env` is changed, and nothing else.
fn local_options(
    section: &str,
    env: &str,
    mut options: Map<String, Value>,
    checker: &mut Checker<'_>,
) -> Map<String, Value> {
    let top = [section.to_owned(), "options".to_owned()];
    let mut of_dask = Vec::new();
    for name in options.keys() {
        let path = child(&top, name);
        if keys::DASK_OPTIONS.contains(&name.as_str()) {
            of_dask.push(name.clone());
        } else if clusters().any(|known| known == env)
            && !(name == "n_workers" || known_elsewhere(name))
        {
            let known = keys::LOCAL_OPTIONS.iter().chain(keys::DASK_OPTIONS).copied();
            let hint = match names::nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    format!("`{env}` knows {}", names::listed(keys::LOCAL_OPTIONS.iter().copied()))
                }
            };
            let message = format!("unknown key `{name}` in `{section}.options`");
            checker.error(&path, Part::Key, message, Some(hint));
        }
    }
    if let Some(first) = of_dask.first() {
        let names = names::listed(of_dask.iter().map(String::as_str));
        let message = format!("Dask-only, no effect here: {names} in `{section}.options`");
        checker.tell(Severity::Note, &child(&top, first), Part::Key, message, None);
    }
    options.retain(|name, _| !keys::DASK_OPTIONS.contains(&name.as_str()));
    options
}
