//! What feeding Python costs, beside bare Python loops that do the same work in the same run.
//!
//! `cargo bench --no-default-features --bench python`. All figures are medians of five, the runs and
//! the bare loops taking turns.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The classes, and at the end what a researcher would write without this tool.
const CLASSES: &str = r#"
import json, sys, time

class Provider:
    def __init__(self, config):
        self.config = config
    def build_env_local(self):
        return {}

class Noop:
    @staticmethod
    def forward(idx):
        return {"value": idx}

class Floats:
    @staticmethod
    def forward(idx):
        return {"value": [idx * 0.001 + i / 7 for i in range(1000)]}

class Busy:
    """A millisecond of this process' own time, and when it was."""
    @staticmethod
    def forward(idx):
        start, end = time.time(), time.thread_time() + 0.001
        while time.thread_time() < end:
            pass
        return {"start": start, "end": time.time()}

class FirstSlow:
    @staticmethod
    def forward(idx):
        start = time.time()
        time.sleep(0.2 if idx < 20 else 0.005)
        return {"start": start, "end": time.time()}

if __name__ == "__main__":
    name, first, last, path = sys.argv[1:]
    forward = globals()[name].forward
    with open(path, "w") as out:
        for idx in range(int(first), int(last)):
            out.write(json.dumps({"idx": idx, **forward(idx)}) + "\n")
"#;

const TIMES: usize = 5;

fn main() -> ExitCode {
    let bench = Bench::new();
    let million = 1_000_000;
    bench.compare("no-op forward, 1e6 items: beside one bare loop", "Noop", million, 1);
    let floats = 10_000;
    bench.compare(
        "1,000 floats a record, 10,000 items: beside two bare loops",
        "Floats",
        floats,
        2,
    );
    let busy = "1 ms of CPU, 4,000 items: beside two bare loops";
    let (ours, bare) = bench.compare(busy, "Busy", 4000, 2);
    let work = 4.0 / 2.0;
    println!(
        "  from the first item's start to the last one's end: {:.3} of two cores, bare {:.3}, \
         ratio {:.3}",
        work / ours,
        work / bare,
        bare / ours
    );
    let slow = median((0..TIMES).map(|_| span(&bench.run("FirstSlow", 400).1)));
    let ideal = (20.0 * 0.2 + 380.0 * 0.005) / 2.0;
    println!(
        "400 items, the first 20 of 200 ms, the others of 5, costs not known: {slow:.2} s, {:.3} of \
         ideal",
        ideal / slow
    );
    fs::remove_dir_all(&bench.folder).expect("removes its folder");
    ExitCode::SUCCESS
}

struct Bench {
    folder: PathBuf,
    python: &'static str,
}

impl Bench {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench_python");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("makes a folder");
        fs::write(folder.join("classes.py"), CLASSES).expect("writes");
        // A version manager's wrapper would be timed along.
        let system = "/usr/bin/python3";
        Self { folder, python: if Path::new(system).exists() { system } else { "python3" } }
    }

    /// Times a run beside `loops` bare ones that share its items. Returns the seconds from the first
    /// item's start to the last one's end, ours and theirs, where records tell them.
    fn compare(&self, what: &str, runner: &str, items: u64, loops: u64) -> (f64, f64) {
        let mut all = Vec::new();
        for _ in 0..TIMES {
            let (bare, theirs) = self.bare(runner, items, loops);
            let (ours, records) = self.run(runner, items);
            assert_eq!(theirs.len(), records.len());
            all.push([ours.as_secs_f64(), bare.as_secs_f64(), span(&records), span(&theirs)]);
        }
        let memory = self.memory(runner, items);
        let [ours, bare, our_span, bare_span] =
            [0, 1, 2, 3].map(|which| median(all.iter().map(|figures| figures[which])));
        println!(
            "{what}: {ours:.3} s, bare {bare:.3} s, ratio {:.2}; largest of our processes {} MB",
            ours / bare,
            memory / 1024
        );
        (our_span, bare_span)
    }

    /// The whole command, from start to collected file, and the records.
    fn run(&self, runner: &str, items: u64) -> (Duration, Vec<serde_json::Value>) {
        let start = Instant::now();
        assert!(self.start_run(runner, items).wait().expect("waits").success(), "the run failed");
        let took = start.elapsed();
        let records = records(&self.folder.join("run/results.jsonl"));
        assert_eq!(records.len() as u64, items);
        (took, records)
    }

    /// The peak memory, in KiB, of any driver, task or worker of a run. It is not timed: looking
    /// takes time.
    fn memory(&self, runner: &str, items: u64) -> u64 {
        let mut run = self.start_run(runner, items);
        let mut peak = 0;
        while run.try_wait().expect("waits").is_none() {
            peak = peak.max(peak_memory(&self.folder));
            std::thread::sleep(Duration::from_millis(20));
        }
        peak
    }

    fn start_run(&self, runner: &str, items: u64) -> Child {
        let _ = fs::remove_dir_all(self.folder.join("run"));
        let python = self.python;
        let conf = format!(
            "output_dir: run\npython: {python}\nnum_items: {items}\n\
             provider: {{_target_: classes.Provider}}\nrunner: {{_target_: classes.{runner}}}\n\
             parallel: {{n_workers: 2}}\n"
        );
        fs::write(self.folder.join("conf.yaml"), conf).expect("writes");
        self.start(env!("CARGO_BIN_EXE_espnet3-par"), &["run", "conf.yaml"])
    }

    /// The same by loops alone, without collecting.
    fn bare(&self, runner: &str, items: u64, loops: u64) -> (Duration, Vec<serde_json::Value>) {
        let start = Instant::now();
        let out = |nth| format!("bare{nth}.jsonl");
        let running: Vec<Child> = (0..loops)
            .map(|nth| {
                let (first, last) = (items * nth / loops, items * (nth + 1) / loops);
                let args = [first, last].map(|idx| idx.to_string());
                self.start(self.python, &["classes.py", runner, &args[0], &args[1], &out(nth)])
            })
            .collect();
        for mut one in running {
            assert!(one.wait().expect("waits").success());
        }
        let took = start.elapsed();
        (took, (0..loops).flat_map(|nth| records(&self.folder.join(out(nth)))).collect())
    }

    fn start(&self, program: &str, args: &[&str]) -> Child {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.folder).env("PYTHONPATH", &self.folder);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
    }
}

/// The most memory, in KiB, that one of our own processes in this folder has had.
fn peak_memory(folder: &Path) -> u64 {
    let processes = fs::read_dir("/proc").expect("lists").flatten().map(|entry| entry.path());
    let ours = processes.filter(|process| {
        fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder)
            && fs::read_link(process.join("exe")).is_ok_and(|exe| exe.ends_with("espnet3-par"))
    });
    let peak = |process: PathBuf| {
        let status = fs::read_to_string(process.join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    ours.filter_map(peak).max().unwrap_or(0)
}

/// Seconds from the first start to the last end.
fn span(records: &[serde_json::Value]) -> f64 {
    let all =
        |name: &str| records.iter().filter_map(|record| record[name].as_f64()).collect::<Vec<_>>();
    all("end").into_iter().fold(0.0, f64::max) - all("start").into_iter().fold(f64::MAX, f64::min)
}

fn records(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).expect("reads");
    text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
