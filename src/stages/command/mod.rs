//! `command`: another program computes each item of a manifest; one a time, or one that goes on.

mod each;
pub(super) mod manifest;
mod stream;
mod template;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::computer::LoadedEnv;
use crate::computer::{Computer, InProcess, Workplace};
use crate::indices::Indices;
use crate::items::{Inputs, Items};
use crate::launch::is_there;
use crate::names;
use crate::record::Record;
use crate::stage::{LoadedStage, ParamError, read_params};

use each::Each;
use manifest::{IDX, Manifest, Row};
use stream::Stream;
use template::{Argv, Template};

/// The folder for an item's files.
const OUT: &str = "out";

/// The section `command:` of the config.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    manifest: PathBuf,
    argv: Argv,
    #[serde(default)]
    mode: Mode,
    /// Exit codes that are no failure.
    ok_codes: Option<Vec<u8>>,
    /// Whether records tell how long the program took.
    seconds: Option<bool>,
    /// The line for an item; a JSON object where it is not given.
    input: Option<Template>,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// The program is started for each item.
    #[default]
    Each,
    /// The program reads items as lines, and answers each with a line.
    Stream,
}

/// Makes the stage from its section of the config.
pub(super) fn load(params: &Value) -> Result<Box<dyn LoadedStage>, ParamError> {
    Ok(Box::new(Command { params: read_params(params)?, manifest: OnceLock::new() }))
}

struct Command {
    params: Params,
    manifest: OnceLock<Arc<Manifest>>,
}

impl Command {
    /// Reads the manifest, once.
    fn manifest(&self) -> Result<&Arc<Manifest>> {
        if let Some(manifest) = self.manifest.get() {
            return Ok(manifest);
        }
        let manifest = Arc::new(Manifest::read(&self.params.manifest)?);
        Ok(self.manifest.get_or_init(|| manifest))
    }

    /// What cannot be filled in.
    fn check_names(&self, manifest: &Manifest) -> Result<()> {
        let Params { argv, mode, input, .. } = &self.params;
        let place = |nth: usize| format!("argv[{nth}]");
        let templates = argv.0.iter().enumerate().map(|(nth, word)| (place(nth), word));
        let input = input.iter().map(|input| ("input".to_owned(), input));
        let stream = *mode == Mode::Stream;
        let ours: &[&str] = if stream { &[IDX] } else { &[IDX, OUT] };
        let columns = manifest.columns().filter(|column| !ours.contains(column));
        let known: Vec<&str> = columns.chain(ours.iter().copied()).collect();
        for (place, template) in templates.chain(input) {
            for name in template.names() {
                if stream && place != "input" {
                    bail!(
                        "`{place}`: `{{{name}}}` differs from item to item, and `mode: stream` starts \
                         the program before it has one; put it in `input`, or write `{{{{` for a brace"
                    );
                }
                if !known.contains(&name) {
                    let hint = match names::nearest(name, known.iter().copied()) {
                        Some(near) => format!("did you mean `{{{near}}}`?"),
                        None => format!(
                            "there are {}; for a brace write `{{{{`",
                            names::listed(known.iter().copied())
                        ),
                    };
                    let manifest = self.params.manifest.display();
                    bail!("`{place}`: {manifest} has no column `{name}`; {hint}");
                }
            }
            manifest.check_names(template.names())?;
        }
        Ok(())
    }
}

impl LoadedStage for Command {
    fn validate(&self) -> Result<()> {
        let Params { argv, mode, ok_codes, seconds, input, .. } = &self.params;
        let Some(program) = argv.0.first() else { bail!("`argv` is empty: it names the program") };
        if *mode == Mode::Stream {
            for (name, given) in [("ok_codes", ok_codes.is_some()), ("seconds", seconds.is_some())]
            {
                ensure!(!given, "`{name}` is of `mode: each`; in `mode: stream` no item has one");
            }
        } else {
            ensure!(input.is_none(), "`input` is the line for a program in `mode: stream`");
        }
        // A path may lead somewhere on the workers' hosts only; they look too.
        if program.names().next().is_none() && !program.text().contains('/') {
            there(program)?;
        }
        self.check_names(self.manifest()?)
    }

    fn items(&self, _asked: Option<&Indices>) -> Result<Items> {
        let manifest = self.manifest()?;
        let (len, costs) = (manifest.len() as u64, manifest.durations());
        Ok(Items { len, costs, inputs: inputs_of(manifest) })
    }

    fn computer(&self, place: &Workplace<'_>) -> Result<Box<dyn Computer>> {
        let timeout = place.job.item_timeout.map(Duration::from_secs);
        let build = || {
            if let Some(program) = self.params.argv.0.first() {
                there(program)?;
            }
            let manifest = self.manifest()?.clone();
            let programs: Box<dyn Programs> = match self.params.mode {
                Mode::Each => Box::new(Each::new(&self.params, timeout)?),
                Mode::Stream => Box::new(Stream::new(&self.params, timeout)?),
            };
            Ok(Box::new(Env { manifest, programs }) as Box<dyn LoadedEnv>)
        };
        Ok(Box::new(InProcess::build(build, place)?.of_programs()))
    }
}

fn inputs_of(manifest: &Manifest) -> Inputs {
    Inputs::default().bytes("manifest", manifest.bytes())
}

/// Finds out whether there is such a program on this host, where no item says which.
fn there(program: &Template) -> Result<()> {
    if program.names().next().is_some() {
        return Ok(());
    }
    let name = program.fill(|_| Ok(String::new()))?;
    ensure!(
        is_there(&name),
        "there is no program `{name}` here{}",
        if name.contains('/') { "" } else { ", on PATH; is it installed?" }
    );
    Ok(())
}

/// One item, on its way to a program.
struct Item<'a> {
    manifest: &'a Manifest,
    idx: u64,
    id: String,
    row: Row,
}

impl Item<'_> {
    /// A template filled in; `own` knows names that are no columns.
    fn fill(&self, template: &Template, own: impl Fn(&str) -> Option<String>) -> Result<String> {
        template.fill(|name| match own(name) {
            Some(value) => Ok(value),
            None if name == IDX => Ok(self.idx.to_string()),
            None => self.manifest.value(self.idx as usize, &self.row, name),
        })
    }
}

/// How items are given to programs.
trait Programs: Send + Sync {
    fn compute(&self, item: &Item<'_>) -> Result<Record>;
}

struct Env {
    manifest: Arc<Manifest>,
    programs: Box<dyn Programs>,
}

impl Env {
    fn item(&self, idx: u64) -> Result<Item<'_>> {
        let row = self.manifest.row(idx as usize)?;
        let id = self.manifest.id(idx as usize, &row)?;
        Ok(Item { manifest: &self.manifest, idx, id, row })
    }
}

impl LoadedEnv for Env {
    fn forward(&self, idx: u64) -> Result<Record> {
        self.programs.compute(&self.item(idx)?)
    }

    fn batch_forward(&self, indices: &[u64]) -> Result<Vec<Record>> {
        indices.iter().map(|&idx| self.forward(idx)).collect()
    }

    fn item_name(&self, idx: u64) -> Option<String> {
        self.item(idx).ok().map(|item| item.id)
    }

    fn inputs(&self) -> Inputs {
        inputs_of(&self.manifest)
    }
}

/// What waits for the next item: as many as the worker has threads.
struct Idle<T>(Mutex<Vec<T>>);

impl<T> Idle<T> {
    fn of(first: T) -> Self {
        Self(Mutex::new(vec![first]))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<T> {
        self.lock().pop()
    }

    fn put(&self, one: T) {
        self.lock().push(one);
    }
}
