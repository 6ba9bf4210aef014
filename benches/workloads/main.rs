//! What the tool costs beside the work, beside its peers and beside the physical limit, in one run.
//!
//! `cargo bench --no-default-features --bench workloads [-- W1 W2 ... --quick]` prints a table for each
//! workload, and writes them to `target/bench/performance.md`. All figures are medians of five, ours
//! and the peers taking turns; what each has written is compared after each run. `--quick` is for trying:
//! one round, few items.

mod bare;
mod contest;
mod goals;
mod machine;
mod peers;
mod processes;
mod stage;
mod table;
mod w1;
mod w2_w3_w5;
mod w4;
mod w6;
mod w7;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use espnet3_par::Stage;

use crate::goals::Goals;
use crate::machine::Machine;
use crate::peers::Peers;

static STAGES: &[Stage] = &[Stage::new::<stage::Work>("bench", "the workloads of the benchmark")];

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|word| word == "bare") {
        bare::main(&args[1..]);
        return ExitCode::SUCCESS;
    }
    // Cargo calls a bench with `--bench` at the end; commands, tasks and workers have words of their own.
    if args.pop_if(|word| word == "--bench").is_none() {
        return espnet3_par::main(STAGES);
    }
    let quick = args.iter().any(|word| word == "--quick");
    args.retain(|word| word != "--quick");
    let unknown = args.iter().find(|name| !WORKLOADS.iter().any(|(known, _)| known == name));
    if let Some(unknown) = unknown {
        eprintln!("error: there is no workload {unknown}; there are W1 to W7");
        return ExitCode::from(2);
    }
    let bench: &'static Bench = Box::leak(Box::new(Bench::new(quick)));
    let mut goals = Goals::default();
    let mut text = Machine::look(bench).to_string();
    for (name, measure) in WORKLOADS {
        if args.is_empty() || args.iter().any(|wanted| wanted == name) {
            let free = machine::free_cores();
            let section = measure(bench, &mut goals);
            println!("{section}");
            text +=
                &format!("{section}\nBefore it, two busy threads got {free:.2} of two cores.\n");
        }
    }
    text += &format!("\n## Wanted and measured\n\n{goals}");
    println!("{goals}");
    let path = bench.folder.join("performance.md");
    fs::write(&path, text).expect("writes");
    println!("{}", path.display());
    fs::remove_dir_all(&bench.work).expect("removes its folder");
    ExitCode::SUCCESS
}

type Measure = fn(&'static Bench, &mut Goals) -> String;

const WORKLOADS: [(&str, Measure); 7] = [
    ("W1", w1::measure),
    ("W2", w2_w3_w5::busy),
    ("W3", w2_w3_w5::uneven),
    ("W4", w4::measure),
    ("W5", w2_w3_w5::floats),
    ("W6", w6::measure),
    ("W7", w7::measure),
];

/// What all workloads share.
struct Bench {
    /// What is kept: the peers, the tables.
    folder: PathBuf,
    /// Where runs happen.
    work: PathBuf,
    peers: Peers,
    quick: bool,
    rounds: usize,
}

impl Bench {
    fn new(quick: bool) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("is in target/");
        let folder = target.join("bench");
        let work = folder.join("work");
        let _ = fs::remove_dir_all(&work);
        fs::create_dir_all(&work).expect("makes its folders");
        let peers = Peers::install(&folder);
        Self { folder, work, peers, quick, rounds: if quick { 1 } else { 5 } }
    }
}

/// This program.
fn program() -> PathBuf {
    std::env::current_exe().expect("this program has a path")
}
