//! Taking turns: each contestant once a round, with everything it wrote looked at.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::peers::PEERS;
use crate::processes::{Peak, peak, time};
use crate::stage::{floats, now};
use crate::table::median;
use crate::{Bench, program};

/// Computes all items of a workload, and leaves their records in files: one, but for physical limits.
pub(crate) struct Contestant {
    pub name: String,
    start: Box<dyn Fn(&Path) -> Started>,
    /// Why it does not compete.
    absent: Option<String>,
}

struct Started {
    command: Command,
    outs: Vec<PathBuf>,
}

/// A workload of so many items.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub name: &'static str,
    pub n: u64,
}

/// Seconds of one run.
#[derive(Clone, Copy)]
pub(crate) struct Ran {
    /// From the command's start to its end.
    pub whole: f64,
    /// From the first item's start to the last one's end, where records or workers tell them.
    pub span: Option<f64>,
    /// From the command's start to that of the first item, where records tell it.
    pub first: Option<f64>,
}

/// Medians of a contestant's runs; or why there are none.
pub(crate) struct Standing {
    pub name: String,
    pub ran: Result<Ran, String>,
}

impl Work {
    /// This tool, with settings of the config.
    pub(crate) fn ours(self, name: &str, settings: &[&str]) -> Contestant {
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let start = move |folder: &Path| {
            let conf = folder.join("conf.yaml");
            let Self { name, n } = self;
            let text = format!(
                "output_dir: run\nstage: bench\nbench: {{workload: {name}, n: {n}}}\n\
                 parallel: {{n_workers: 2}}\n"
            );
            fs::write(&conf, text).expect("writes");
            let mut command = Command::new(program());
            command.current_dir(folder).args(["run", "conf.yaml"]);
            command.args(settings.iter().flat_map(|setting| ["--set", setting]));
            Started { command, outs: vec![folder.join("run/results.jsonl")] }
        };
        Contestant::new(name, start)
    }

    /// This tool, with the function in Python, as peers have it.
    pub(crate) fn ours_in_python(self, bench: &Bench) -> Contestant {
        let python = bench.peers.python();
        let path = crate::peers::scripts();
        let start = move |folder: &Path| {
            let Self { name, n } = self;
            let text = format!(
                "output_dir: run\npython: {}\nnum_items: {n}\nworkload: {name}\n\
                 provider: {{_target_: ours.Provider}}\nrunner: {{_target_: ours.Runner}}\n\
                 parallel: {{n_workers: 2}}\n",
                python.display()
            );
            fs::write(folder.join("conf.yaml"), text).expect("writes");
            let mut command = Command::new(env!("CARGO_BIN_EXE_espnet3-par"));
            command.current_dir(folder).env("PYTHONPATH", &path).args(["run", "conf.yaml"]);
            Started { command, outs: vec![folder.join("run/results.jsonl")] }
        };
        Contestant::new("espnet3-par, Python", start)
    }

    /// All peers that can do so many items.
    pub(crate) fn peers(self, bench: &'static Bench) -> impl Iterator<Item = Contestant> {
        PEERS.iter().map(move |peer| {
            let start = move |folder: &Path| {
                let out = folder.join("out.jsonl");
                let command = bench.peers.start(peer, self.name, self.n, &out);
                Started { command, outs: vec![out] }
            };
            let many = self.name == "noop" && self.n > peer.most;
            let absent = bench.peers.missing(peer).cloned();
            let absent = absent.or_else(|| many.then(|| "–".to_owned()));
            Contestant { absent, ..Contestant::new(peer.name, start) }
        })
    }

    /// Loops that share the items and leave a file each.
    pub(crate) fn bare_loops(self, count: u64) -> Contestant {
        let start = move |folder: &Path| {
            let mut command = Command::new("sh");
            command.args(["-c", "for part; do sh -c \"$part\" & done; wait", "sh"]);
            let out = |part| folder.join(format!("part.{part}.jsonl"));
            for part in 0..count {
                let (first, last) = (self.n * part / count, self.n * (part + 1) / count);
                let (program, out) = (program(), out(part));
                let (program, out) = (program.display(), out.display());
                command.arg(format!("exec '{program}' bare {} {first} {last} '{out}'", self.name));
            }
            Started { command, outs: (0..count).map(out).collect() }
        };
        Contestant::new(&format!("limit: {count} bare Rust loops, not collected"), start)
    }

    pub(crate) fn write_loop(self, bench: &Bench) -> Contestant {
        let program = bench.peers.write_loop().to_owned();
        let start = move |folder: &Path| {
            let out = folder.join("out.jsonl");
            let mut command = Command::new(&program);
            command.arg(self.n.to_string()).arg(&out);
            Started { command, outs: vec![out] }
        };
        Contestant::new("limit: one C loop with write(2)", start)
    }

    /// Everybody once a round.
    pub(crate) fn compete(self, bench: &Bench, contestants: &[Contestant]) -> Vec<Standing> {
        let mut runs: Vec<Result<Vec<Ran>, String>> = contestants
            .iter()
            .map(|contestant| contestant.absent.clone().map_or(Ok(Vec::new()), Err))
            .collect();
        for round in 1..=bench.rounds {
            eprintln!("{}, {} items, round {round} of {}", self.name, self.n, bench.rounds);
            for (contestant, runs) in contestants.iter().zip(&mut runs) {
                let Ok(so_far) = runs else { continue };
                match self.run(bench, contestant) {
                    Ok(ran) => so_far.push(ran),
                    Err(why) => {
                        eprintln!("{}: {}: {why}", self.name, contestant.name);
                        *runs = Err(why);
                    }
                }
            }
        }
        let standing = |(contestant, runs): (&Contestant, Result<Vec<Ran>, String>)| Standing {
            name: contestant.name.clone(),
            ran: runs.map(|runs| Ran {
                whole: median(runs.iter().map(|ran| ran.whole).collect()),
                span: runs.iter().map(|ran| ran.span).collect::<Option<_>>().map(median),
                first: runs.iter().map(|ran| ran.first).collect::<Option<_>>().map(median),
            }),
        };
        contestants.iter().zip(runs).map(standing).collect()
    }

    fn run(self, bench: &Bench, contestant: &Contestant) -> Result<Ran, String> {
        let folder = anew(bench);
        let Started { command, outs } = (contestant.start)(&folder);
        let begun = now();
        let whole = time(command, &bench.work.join("log"))?;
        let times = self.check(&outs)?;
        let span = times.map(|(first, last, _)| last - first).or_else(|| at_work(&folder));
        Ok(Ran { whole, span, first: times.map(|(_, _, first)| first - begun) })
    }

    /// The most memory of a contestant in one run that is not timed.
    pub(crate) fn peak(self, bench: &Bench, contestant: &Contestant) -> Result<Peak, String> {
        eprintln!("{}, {} items, memory of {}", self.name, self.n, contestant.name);
        let folder = anew(bench);
        let Started { command, outs } = (contestant.start)(&folder);
        let peak = peak(command, &bench.work.join("log"));
        self.check(&outs).map(|_| peak)
    }

    /// Every record is there once, in order, with its fields. Returns the first start, the last end
    /// and item 0's start, where records tell times.
    fn check(self, outs: &[PathBuf]) -> Result<Option<(f64, f64, f64)>, String> {
        let mut times: Option<(f64, f64, f64)> = None;
        let mut idx = 0;
        for out in outs {
            let file = File::open(out).map_err(|error| format!("{}: {error}", out.display()))?;
            for line in BufReader::with_capacity(1 << 16, file).lines() {
                let line = line.map_err(|error| error.to_string())?;
                let wrong = || format!("record {idx} is {line}");
                match self.name {
                    "noop" if line == format!("{{\"idx\":{idx},\"value\":{idx}}}") => {}
                    "floats" if line == floats_line(idx) => {}
                    "noop" | "floats" => return Err(wrong()),
                    _ => {
                        let record: Value = serde_json::from_str(&line).map_err(|_| wrong())?;
                        let told = ["start", "end"].map(|name| record[name].as_f64());
                        let fields = record.as_object().map_or(0, serde_json::Map::len);
                        let ([Some(start), Some(end)], 3, true) =
                            (told, fields, record["idx"] == idx)
                        else {
                            return Err(wrong());
                        };
                        let (first, last, zero) = times.unwrap_or((start, end, start));
                        times = Some((first.min(start), last.max(end), zero));
                    }
                }
                idx += 1;
            }
        }
        if idx == self.n { Ok(times) } else { Err(format!("{idx} of {} records", self.n)) }
    }
}

impl Contestant {
    fn new(name: &str, start: impl Fn(&Path) -> Started + 'static) -> Self {
        Self { name: name.to_owned(), start: Box::new(start), absent: None }
    }

    /// It does not compete.
    pub(crate) fn absent(self, why: &str) -> Self {
        Self { absent: Some(why.to_owned()), ..self }
    }
}

fn floats_line(idx: u64) -> String {
    json!({"idx": idx, "value": floats(idx)}).to_string()
}

/// An empty folder for one run.
pub(crate) fn anew(bench: &Bench) -> PathBuf {
    let folder = bench.work.join("run");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("makes a folder");
    folder
}

/// Seconds from the first worker's start to the last one's end, as a run directory of ours tells.
fn at_work(folder: &Path) -> Option<f64> {
    let workers = fs::read_dir(folder.join("run/workers")).ok()?.flatten();
    let workers = workers.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    let (mut first, mut last) = (f64::MAX, 0.0_f64);
    for worker in workers {
        let text = fs::read(worker.path()).ok()?;
        let started: jiff::Timestamp =
            serde_json::from_slice::<Value>(&text).ok()?["started"].as_str()?.parse().ok()?;
        first = first.min(started.as_nanosecond() as f64 / 1e9);
        let ended = worker.metadata().ok()?.modified().ok()?;
        last = last.max(ended.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64());
    }
    Some(last - first)
}
