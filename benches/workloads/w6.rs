//! W6: looking at, and collecting, a run of many shards and many records.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use crate::Bench;
use crate::contest::anew;
use crate::goals::{Goals, ratio};
use crate::processes::time;
use crate::table::{Table, median, seconds};

pub(crate) fn measure(bench: &'static Bench, goals: &mut Goals) -> String {
    let (items, shards) = match bench.quick {
        true => (1_000_000, 1000),
        false => (100_000_000_u64, 100_000),
    };
    let program = crate::program();
    let (program, shards) = (program.to_str().expect("is UTF-8"), shards.to_string());
    let folder = anew(bench);
    let log = bench.work.join("log");
    let text = format!(
        "output_dir: run\nstage: bench\nbench: {{workload: noop, n: {items}}}\n\
         parallel: {{n_workers: 2, shards: {shards}}}\n"
    );
    fs::write(folder.join("conf.yaml"), text).expect("writes");
    let made = time(command(&folder, &[program, "run", "conf.yaml"]), &log).expect("the run");
    let collected = folder.join("run/results.jsonl");
    let bytes = fs::metadata(&collected).expect("collected").len();

    let cat = "for ((i = 0; i < $1; i++)); do echo run/shards/split.$i/results.jsonl; done | \
               xargs cat > run/results.jsonl && sync -d run/results.jsonl";
    let commands: [(&str, &[&str]); 3] = [
        ("espnet3-par status", &[program, "status", "run"]),
        ("espnet3-par collect", &[program, "collect", "run"]),
        (
            "limit: cat of the same bytes, in shard order, and sync",
            &["bash", "-c", cat, "bash", &shards],
        ),
    ];
    let reference = checksum(&collected);
    let mut table = Table::new(&["", "page cache cold", "warm"]);
    let mut figures = vec![[Vec::new(), Vec::new()]; commands.len()];
    let may_drop = drop_caches();
    for _ in 0..bench.rounds {
        for (nth, (name, argv)) in commands.iter().enumerate() {
            for (warm, took) in figures[nth].iter_mut().enumerate() {
                if warm == 0 && !drop_caches() {
                    continue;
                }
                if *name != "espnet3-par status" {
                    fs::remove_file(&collected).expect("removes");
                }
                took.push(
                    time(command(&folder, argv), &log)
                        .unwrap_or_else(|why| panic!("{name}: {why}")),
                );
                assert!(checksum(&collected) == reference, "{name} has written something else");
            }
        }
    }
    let figures: Vec<[Option<f64>; 2]> = figures
        .into_iter()
        .map(|both| both.map(|took| Some(took).filter(|took| !took.is_empty()).map(median)))
        .collect();
    for ((name, _), [cold, warm]) in commands.iter().zip(&figures) {
        let cell = |figure: &Option<f64>| figure.map_or("not root".to_owned(), seconds);
        table.row(vec![(*name).to_owned(), cell(cold), cell(warm)]);
    }
    let state = usize::from(!may_drop);
    let of = |nth: usize, state: usize| figures[nth][state].unwrap_or(f64::NAN);
    let cache = ["cold", "warm"][state];
    goals.at_most(&format!("W6, status, {cache}"), 0.3, of(0, state), seconds);
    for (state, cache) in ["cold", "warm"].into_iter().enumerate() {
        let rate = of(2, state) / of(1, state);
        goals.at_least(&format!("W6, collect's rate to cat's, {cache}"), 0.8, rate, ratio);
    }
    fs::remove_dir_all(&folder).expect("removes");
    format!(
        "\n## W6: a run of {shards} shards and {items} records, {:.2} GB\n\n{table}\nMaking it, from \
         the command to the collected file, took {}.\n",
        bytes as f64 / 1e9,
        seconds(made)
    )
}

fn command(folder: &Path, argv: &[&str]) -> Command {
    let mut command = Command::new(argv[0]);
    command.current_dir(folder).args(&argv[1..]);
    command
}

/// `false`: only root may.
fn drop_caches() -> bool {
    let synced = Command::new("sync").status().is_ok_and(|status| status.success());
    synced && fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

/// Tells files apart.
fn checksum(path: &Path) -> String {
    let file = File::open(path).expect("opens");
    let output = Command::new("cksum").stdin(file).output().expect("cksum");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
