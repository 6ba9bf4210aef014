//! W4: an env that takes two seconds and 200 MB.

use crate::Bench;
use crate::contest::Work;
use crate::goals::{Goals, ratio};
use crate::table::{Table, megabytes, seconds};

pub(crate) fn measure(bench: &'static Bench, goals: &mut Goals) -> String {
    let work = Work { name: "large_env", n: 200 };
    let ideal = 2.0 + work.n as f64 * 0.005 / 2.0;
    let one_env = ["parallel.n_workers=1", "parallel.options.threads_per_worker=2"];
    let mut contestants = vec![
        work.ours("espnet3-par, Rust, 2 workers", &[]),
        work.ours("espnet3-par, Rust, 1 worker of 2 threads", &one_env),
        work.ours_in_python(bench),
    ];
    contestants.extend(work.peers(bench));
    let standings = work.compete(bench, &contestants);
    let mut table = Table::new(&["", "whole command", "to ideal", "memory of all processes"]);
    let mut ours = Vec::new();
    for (standing, contestant) in standings.iter().zip(&contestants) {
        let ran = match &standing.ran {
            Ok(ran) => ran,
            Err(why) => {
                table.row(vec![standing.name.clone(), why.clone(), "–".into(), "–".into()]);
                continue;
            }
        };
        let memory = work.peak(bench, contestant).map(|peak| peak.all);
        ours.push((ran.whole / ideal, memory.as_ref().map_or(f64::NAN, |bytes| *bytes as f64)));
        let memory = memory.map_or_else(|why| why, megabytes);
        let cells = [seconds(ran.whole), ratio(ran.whole / ideal), memory];
        table.row([standing.name.clone()].into_iter().chain(cells).collect());
    }
    let show = |bytes| megabytes(bytes as u64);
    goals.at_most("W4, 2 workers, to ideal", 1.05, ours[0].0, ratio);
    goals.at_most("W4, 1 worker of 2 threads, to ideal", 1.05, ours[1].0, ratio);
    goals.at_most("W4, one env for both cores, all processes", 250e6, ours[1].1, show);
    format!(
        "\n## W4: an env of 2 s and 200 MB, 200 items of 5 ms\n\nIdeal: {}. Memory is what is \
         resident, summed over processes: what they share counts for each.\n\n{table}",
        seconds(ideal)
    )
}
