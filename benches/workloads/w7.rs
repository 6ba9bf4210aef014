//! W7: a plan of a billion items.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

use crate::Bench;
use crate::contest::anew;
use crate::goals::Goals;
use crate::processes::{peak, time};
use crate::stage::now;
use crate::table::{Table, median, megabytes, seconds};

const ITEMS: u64 = 1_000_000_000;
const SHARDS: u64 = 100_000;
/// ESPnet3 lists every index: a thousandth of the items takes it seconds.
const THEIRS: u64 = 1_000_000;

pub(crate) fn measure(bench: &'static Bench, goals: &mut Goals) -> String {
    let folder = anew(bench);
    let log = bench.work.join("log");
    let text = format!(
        "output_dir: run\nstage: bench\nbench: {{workload: no_env, n: {ITEMS}}}\n\
         parallel: {{n_workers: 2, shards: {SHARDS}}}\n"
    );
    fs::write(folder.join("conf.yaml"), text).expect("writes");
    let run = |words: &[&str]| {
        let mut command = Command::new(crate::program());
        command.current_dir(&folder).args(["run", "conf.yaml"]).args(words);
        command
    };
    let manifest = folder.join("manifest.json");
    let theirs = || {
        let _ = fs::remove_dir_all(folder.join("manifest.json.run"));
        let mut command = bench.peers.python_command();
        command.arg(crate::peers::scripts().join("on_espnet3.py"));
        command.args(["--manifest", &THEIRS.to_string()]).arg(&manifest);
        command
    };
    let (mut plan, mut on_disk, mut their_plan) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let _ = fs::remove_dir_all(folder.join("run"));
        plan.push(time(run(&["--dry-run"]), &log).expect("the plan"));
        let begun = now();
        let _no_env = time(run(&[]), &log).expect_err("no env can be built");
        let spec = fs::metadata(folder.join("run/spec.json")).expect("a spec");
        let written = spec.modified().expect("a time").duration_since(SystemTime::UNIX_EPOCH);
        on_disk.push(written.expect("after 1970").as_secs_f64() - begun);
        their_plan.push(time(theirs(), &log));
    }
    let memory = peak(run(&["--dry-run"]), &log).command;
    let size = fs::metadata(folder.join("run/spec.json")).expect("a spec").len();
    let (plan, on_disk) = (median(plan), median(on_disk));
    let mut table = Table::new(&["", "items", "time", "memory", "size of the plan on disk"]);
    let row = |name: &str, items: u64, cells: [String; 3]| {
        [name.to_owned(), items.to_string()].into_iter().chain(cells).collect()
    };
    let none = || "–".to_owned();
    let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    table.row(row("espnet3-par, `run --dry-run`", ITEMS, [seconds(plan), mb(memory), none()]));
    table.row(row("espnet3-par, `run` to spec.json", ITEMS, [seconds(on_disk), none(), mb(size)]));
    let name = "ESPnet3, its manifest alone, one process";
    match their_plan.into_iter().collect::<Result<Vec<f64>, String>>() {
        Ok(took) => {
            let memory = peak(theirs(), &log).command;
            let size = fs::metadata(&manifest).expect("a manifest").len();
            table.row(row(name, THEIRS, [seconds(median(took)), megabytes(memory), mb(size)]));
        }
        Err(why) => table.row(row(name, THEIRS, [why, none(), none()])),
    }
    goals.at_most("W7, plan", 0.2, plan, seconds);
    let per_shard = size as f64 / SHARDS as f64;
    goals.at_most("W7, bytes of the spec a shard", 20.0, per_shard, |bytes| format!("{bytes:.1}"));
    fs::remove_dir_all(&folder).expect("removes");
    format!("\n## W7: a plan over {SHARDS} shards\n\n{table}")
}
