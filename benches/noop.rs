//! What a run costs beside the work itself: a stage that does nothing, a million times.
//!
//! `cargo bench --bench noop` prints the figures beside a limit measured in the same run: one
//! process that writes the same lines to one file and nothing else.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use espnet3_par::{EnvironmentProvider, Record, Result, Runner, Stage};
use serde_json::json;

static STAGES: &[Stage] = &[Stage::new::<Noop>("noop", "nothing, n times")];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Items {
    n: u64,
}

impl EnvironmentProvider for Items {
    type Env = ();

    fn num_items(&self) -> Result<u64> {
        Ok(self.n)
    }

    fn build_env_local(&self) -> Result<()> {
        Ok(())
    }
}

struct Noop;

impl Runner for Noop {
    type Provider = Items;

    fn forward(idx: u64, _env: &()) -> Result<Record> {
        Record::new(idx)
    }
}

fn main() -> ExitCode {
    // Cargo calls a bench with `--bench`; workers and commands come with words of their own.
    match std::env::args().nth(1) {
        Some(word) if word != "--bench" => return espnet3_par::main(STAGES),
        _ => {}
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("noop");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("makes a folder");
    let conf = folder.join("noop.yaml");
    fs::write(&conf, "stage: noop\nnoop: {n: 1000000}\nparallel: {n_workers: 2}\n")
        .expect("writes");
    let conf = conf.to_str().expect("is UTF-8");

    let plain = folder.join("plain.jsonl");
    let limit = median(7, || write_plainly(&plain));
    let mut round = 0;
    let run = median(7, || {
        round += 1;
        let out = folder.join(format!("run{round}"));
        call(&["run", conf, "--set", &format!("output_dir={}", out.display())], 0);
        let (a, b) = (fs::read(&plain), fs::read(out.join("results.jsonl")));
        assert!(
            a.expect("reads") == b.expect("reads"),
            "the run's results are not the plain loop's"
        );
    });
    println!(
        "1e6 items, 2 workers, command to collected file: {run:.3?} (one plain loop, no run directory: {limit:.3?}, ratio {:.2})",
        run.div_duration_f64(limit)
    );

    let many = folder.join("many");
    call(
        &[
            "run",
            conf,
            "--set",
            &format!("output_dir={}", many.display()),
            "--set",
            "noop.n=10000",
            "--set",
            "parallel.shards=10000",
        ],
        0,
    );
    let many = many.to_str().expect("is UTF-8");
    let nothing = median(15, || call(&["stages"], 0));
    let status = median(15, || call(&["status", many], 0));
    let help = median(15, || call(&["--help"], 0));
    println!("status of a run of 10,000 shards: {status:.3?}");
    println!("--help: {help:.3?} (the program doing next to nothing: {nothing:.3?})");

    let start = Instant::now();
    call(&["run", conf, "--dry-run", "--set", "noop.n=1000000000", "--set", "output_dir=never"], 0);
    println!("plan of 1e9 items: {:.3?}", start.elapsed());
    fs::remove_dir_all(&folder).expect("removes its folder");
    ExitCode::SUCCESS
}

fn write_plainly(path: &Path) {
    let mut out = BufWriter::new(fs::File::create(path).expect("creates"));
    for idx in 0..1_000_000 {
        writeln!(out, "{}", json!({"idx": idx, "value": idx})).expect("writes");
    }
    out.flush().expect("flushes");
}

fn call(args: &[&str], expected: i32) {
    let program = std::env::current_exe().expect("this program");
    let status =
        Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert_eq!(status.expect("starts").code(), Some(expected), "{args:?}");
}

fn median(times: usize, mut what: impl FnMut()) -> Duration {
    let mut took: Vec<_> = (0..times)
        .map(|_| {
            let start = Instant::now();
            what();
            start.elapsed()
        })
        .collect();
    took.sort();
    took[times / 2]
}
