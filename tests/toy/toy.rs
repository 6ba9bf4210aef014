//! A program with one stage that does whatever a test wants of it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use espnet3_par::{EnvironmentProvider, Items, Record, Runner, Stage};
use serde::Deserialize;
use serde_json::json;

static STAGES: &[Stage] = &[Stage::new::<Toy>("toy", "does what a test wants")];

fn main() -> ExitCode {
    espnet3_par::main(STAGES)
}

/// What the stage does, and at which items.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToyProvider {
    /// Items.
    n: u64,
    /// Milliseconds per item.
    #[serde(default)]
    sleep_ms: f64,
    /// What goes wrong, by item.
    #[serde(default)]
    faults: BTreeMap<u64, Fault>,
    /// What goes wrong with the env.
    env: Option<Fault>,
    /// Cost of item i is `costs[i]`.
    costs: Option<Vec<f64>>,
    /// Whether records append to a shared file, and write one of their own.
    #[serde(default)]
    files: bool,
    /// JSON, `{"item": "fault"}`, read when the env is built: faults that are outside the
    /// fingerprint and can go away.
    faults_file: Option<PathBuf>,
    /// Counting the costs waits until this file is there: a driver held between planning and
    /// writing the plan down. `GATE.asked` tells that it waits.
    gate: Option<PathBuf>,
    /// A field of every record, where it is given.
    #[serde(default)]
    salt: String,
    /// Environment variables that the log tells.
    #[serde(default)]
    tell: Vec<String>,
    /// So many bytes more in every record.
    #[serde(default)]
    pad: usize,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Fault {
    /// None: items whose fault has gone.
    Nothing,
    Error,
    Panic,
    Abort,
    Exit,
    /// A record with a field `idx`.
    Conflict,
    /// A file of its own under the name of item 0's.
    Clash,
    /// Waits for a minute, or until it is gone from the faults file.
    Hang,
}

const MINUTE: Duration = Duration::from_secs(60);

/// Hangs as long as the faults file says so.
fn hang(idx: u64, path: &Path) -> Result<()> {
    let since = Instant::now();
    while since.elapsed() < MINUTE && matches!(read_faults(path)?.get(&idx), Some(Fault::Hang)) {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn read_faults(path: &Path) -> Result<BTreeMap<u64, Fault>> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

fn strike(fault: Fault) -> Result<()> {
    match fault {
        Fault::Nothing => Ok(()),
        Fault::Error => bail!("no such luck"),
        Fault::Panic => panic!("out of cheese"),
        Fault::Abort => std::process::abort(),
        Fault::Exit => std::process::exit(0),
        Fault::Conflict | Fault::Clash => Ok(()),
        Fault::Hang => {
            std::thread::sleep(MINUTE);
            Ok(())
        }
    }
}

struct Env {
    sleep: Duration,
    faults: BTreeMap<u64, Fault>,
    files: bool,
    faults_file: Option<PathBuf>,
    salt: String,
    pad: usize,
}

/// A line in the worker's log. The log may be on a disk that is full.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

impl EnvironmentProvider for ToyProvider {
    type Env = Env;

    fn items(&self) -> Result<Items> {
        if let Some(gate) = &self.gate {
            std::fs::write(gate.with_extension("asked"), "")?;
            while !gate.exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(Items { costs: self.costs.clone(), ..Items::new(self.n) })
    }

    fn build_env_local(&self) -> Result<Env> {
        say("building the env");
        for name in &self.tell {
            say(&format!("{name}={}", std::env::var(name).unwrap_or_default()));
        }
        if let Some(fault) = self.env {
            strike(fault)?;
        }
        let mut faults = self.faults.clone();
        if let Some(path) = &self.faults_file {
            faults.extend(read_faults(path)?);
        }
        let sleep = Duration::from_secs_f64(self.sleep_ms / 1000.0);
        Ok(Env {
            sleep,
            faults,
            files: self.files,
            faults_file: self.faults_file.clone(),
            salt: self.salt.clone(),
            pad: self.pad,
        })
    }

    fn item_name(idx: u64, _env: &Env) -> Option<String> {
        Some(format!("utt{idx}"))
    }
}

struct Toy;

impl Runner for Toy {
    type Provider = ToyProvider;

    fn forward(idx: u64, env: &Env) -> Result<Record> {
        // The log shows which items were computed, and how often.
        say(&format!("forward {idx}"));
        if !env.sleep.is_zero() {
            std::thread::sleep(env.sleep);
        }
        if let Some(fault) = env.faults.get(&idx) {
            match (fault, &env.faults_file) {
                (Fault::Hang, Some(path)) => hang(idx, path)?,
                _ => strike(*fault)?,
            }
            if matches!(fault, Fault::Conflict) {
                return Record::new(json!({"idx": 1}));
            }
        }
        let mut fields = json!({"utt_id": format!("utt{idx}"), "square": idx * idx});
        if !env.salt.is_empty() {
            fields["salt"] = json!(env.salt);
        }
        if env.pad > 0 {
            fields["pad"] = json!("x".repeat(env.pad));
        }
        let record = Record::new(fields)?;
        if !env.files {
            return Ok(record);
        }
        let text = format!("utt{idx} {}\n", "x".repeat(idx as usize % 7));
        let clash = matches!(env.faults.get(&idx), Some(Fault::Clash));
        let own = format!("utt{}.txt", if clash { 0 } else { idx });
        Ok(record.append("text", "text.ark", text.clone().into_bytes(), 4).file(
            "own",
            &own,
            text.into_bytes(),
        ))
    }
}
