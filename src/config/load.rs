//! The order of things: layers, interpolation, then each part of the config.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::check::Checker;
use super::diagnostic::{Diagnostic, Diagnostics, Location, Severity};
use super::layers::{Layers, Part};
use super::resolve::{Problem, Resolver};
use super::resolvers::World;
use super::source::{self, Layer};
use super::tree::{Path, dotted};
use super::{Config, Parallel, Request, keys, origins, parallel, params, run};
use crate::spec::PYTHON;
use crate::stage::Stage;

/// Reads and checks a config.
pub(super) fn load(request: &Request<'_>, stages: &[Stage]) -> Result<Config, Diagnostics> {
    let layers = read_layers(request).and_then(Layers::merge).map_err(Diagnostics)?;
    let raw = layers.to_json();
    let none = Map::new();
    let raw_map = raw.as_object().unwrap_or(&none);
    let world = World { env: &request.env, now: &request.now, layers: &layers };
    let mut resolver = Resolver::new(&raw, &world);
    let section = parallel::choose(raw_map, request.parallel);

    let mut settled = Map::new();
    settle(keys::TOP, &mut settled, raw_map, &mut resolver);
    let named = settled.get("stage").and_then(Value::as_str).map(str::to_owned);
    let named = named.or_else(|| run::implied(&raw).map(str::to_owned));
    let mut sections: Vec<&str> =
        section.as_ref().ok().and_then(Option::as_deref).into_iter().collect();
    if named.as_deref() == Some(PYTHON) {
        sections.extend(keys::PYTHON);
    }
    sections.extend(named.as_deref());
    settle(&sections, &mut settled, raw_map, &mut resolver);
    let problems = std::mem::take(&mut resolver.problems);
    let needed = resolver.touched.clone();
    let rest: Vec<&str> = raw_map.keys().map(String::as_str).collect();
    settle(&rest, &mut settled, raw_map, &mut resolver);

    let resolved = Value::Object(in_order_of(raw_map, settled));
    let mut checker = Checker {
        layers: &layers,
        root: &resolved,
        aliases: &resolver.aliases,
        failed: &resolver.failed,
        found: Vec::new(),
    };
    for Problem { path, message, hint } in problems {
        checker.error(&path, Part::Value, message, hint);
    }
    let stage = run::stage(&mut checker, stages);
    let run = run::read(&mut checker);
    let parallel = read_parallel(section, run.n_workers, &mut checker);
    run::defaults_not_followed(&mut checker);
    run::near_misses(raw_map, stage.as_ref(), stages, &mut checker);
    let loaded = stage.map(|stage| (stage, params::load(&stage, &mut checker)));
    for Problem { path, message, .. } in resolver.problems {
        let message = format!("`{}` is left as it is: {message}", dotted(&path));
        checker.tell(Severity::Note, &path, Part::Value, message, None);
    }

    let origins = origins::list(&checker);
    let found = with_doubts(checker.found, &layers, &needed);
    let Some((stage, (params, Some(loaded)))) =
        loaded.filter(|_| found.iter().all(|one| one.severity != Severity::Error))
    else {
        return Err(Diagnostics(
            found.into_iter().filter(|one| one.severity != Severity::Note).collect(),
        ));
    };
    Ok(Config {
        stage,
        output_dir: run.output_dir,
        detach: run.detach,
        indices: run.indices,
        batch_size: run.batch_size,
        item_timeout: run.item_timeout,
        on_item_error: run.on_item_error,
        max_failed_items: run.max_failed_items,
        parallel,
        params,
        resolved,
        warnings: found,
        loaded,
        origins,
    })
}

/// The section `parallel` as the layers have it; what cannot be filled in has its message when the
/// whole is read.
pub(super) fn parallel_section(request: &Request<'_>) -> Result<Value, Diagnostics> {
    let layers = read_layers(request).and_then(Layers::merge).map_err(Diagnostics)?;
    let raw = layers.to_json();
    let world = World { env: &request.env, now: &request.now, layers: &layers };
    Ok(match raw.get("parallel") {
        Some(_) => Resolver::new(&raw, &world).settle(&["parallel".to_owned()]),
        None => Value::Null,
    })
}

/// All layers, or what is wrong with any of them.
fn read_layers(request: &Request<'_>) -> Result<Vec<Layer>, Vec<Diagnostic>> {
    // The environment has no order of its own.
    let mut env: Vec<_> = request.env.iter().collect();
    env.sort();
    let files = request.files.iter().map(|path| source::file(path));
    let env = env.into_iter().filter_map(|(name, value)| source::env(name, value));
    let set = request.set.iter().map(|text| source::set(text));
    let (mut layers, mut errors) = (Vec::new(), Vec::new());
    let flags = [("--stage", "stage", request.stage), ("--indices", "indices", request.indices)];
    let flags = flags
        .into_iter()
        .filter_map(|(flag, key, value)| value.map(|value| source::flag(flag, key, value)));
    let more = request.flags.iter().map(|flag| source::option(&flag.typed, &flag.key, &flag.value));
    for layer in files.chain(env).chain(set).chain(flags).chain(more) {
        match layer {
            Ok(layer) => layers.push(layer),
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() { Ok(layers) } else { Err(errors) }
}

fn settle(
    names: &[&str],
    settled: &mut Map<String, Value>,
    raw: &Map<String, Value>,
    resolver: &mut Resolver<'_>,
) {
    for &name in names {
        if raw.contains_key(name) && !settled.contains_key(name) {
            settled.insert(name.to_owned(), resolver.settle(&[name.to_owned()]));
        }
    }
}

fn in_order_of(raw: &Map<String, Value>, mut settled: Map<String, Value>) -> Map<String, Value> {
    raw.keys().filter_map(|key| settled.remove_entry(key)).collect()
}

fn read_parallel(
    section: Result<Option<String>, Box<Diagnostic>>,
    async_workers: Option<u32>,
    checker: &mut Checker<'_>,
) -> Parallel {
    let mut parallel = match section {
        Ok(Some(section)) => parallel::read(&section, checker),
        Ok(None) => Parallel::default(),
        Err(error) => {
            checker.found.push(*error);
            return Parallel::default();
        }
    };
    let Some(workers) = async_workers else { return parallel };
    let key = [parallel.section.clone(), "n_workers".to_owned()];
    if checker.given(&key).is_some() && parallel.n_workers != workers {
        let message = format!(
            "argument conflict: `async_num_workers` is {workers} and `{}` is {}",
            dotted(&key),
            parallel.n_workers
        );
        let hint = format!("keep `{}` only", dotted(&key));
        checker.error(&["async_num_workers".to_owned()], Part::Key, message, Some(hint));
    }
    parallel.n_workers = workers;
    parallel
}

/// Errors first, then the rest; each in the order of the files.
fn with_doubts(
    mut found: Vec<Diagnostic>,
    layers: &Layers,
    needed: &BTreeSet<Path>,
) -> Vec<Diagnostic> {
    found.extend(layers.doubts(needed.iter()));
    found.sort_by_key(|one| {
        let place = match &one.location {
            Some(Location::File { path, at }) => Some((path.clone(), *at)),
            _ => None,
        };
        (one.severity != Severity::Error, one.severity == Severity::Note, place)
    });
    found
}
