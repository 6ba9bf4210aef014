//! W2, W3 and W5: one table each, beside the ideal or the bare loops.

use crate::Bench;
use crate::contest::{Contestant, Standing, Work};
use crate::goals::{Goals, ratio};
use crate::table::{Table, megabytes, seconds};

/// W2: a millisecond of CPU an item.
pub(crate) fn busy(bench: &'static Bench, goals: &mut Goals) -> String {
    let work = Work { name: "busy", n: if bench.quick { 400 } else { 4000 } };
    let ideal = work.n as f64 * 0.001 / 2.0;
    let mut contestants = all(bench, work, vec![work.ours("espnet3-par, Rust", &[])]);
    contestants.push(work.bare_loops(2));
    let standings = work.compete(bench, &contestants);
    let ran = standings[0].ran.as_ref().expect("our own run");
    let span = ran.span.expect("records tell times");
    goals.at_least("W2, of ideal, in the workers", 0.97, ideal / span, ratio);
    goals.at_least("W2, of ideal, whole command", 0.94, ideal / ran.whole, ratio);
    let table = of_ideal(&standings, ideal);
    let n = work.n;
    format!("\n## W2: 1 ms of CPU, {n} items\n\nIdeal: {}.\n\n{table}", seconds(ideal))
}

/// W3: few long items first.
pub(crate) fn uneven(bench: &'static Bench, goals: &mut Goals) -> String {
    let work = Work { name: "uneven", n: 400 };
    let ideal = (20.0 * 0.2 + 380.0 * 0.005) / 2.0;
    let ours = vec![
        work.ours("espnet3-par, Rust, costs known", &["bench.costs=true"]),
        work.ours("espnet3-par, Rust", &[]),
    ];
    let standings = work.compete(bench, &all(bench, work, ours));
    let of_ideal_whole = |nth: usize| {
        let ran: &Standing = &standings[nth];
        ideal / ran.ran.as_ref().expect("our own run").whole
    };
    goals.at_least("W3, of ideal, costs known", 0.95, of_ideal_whole(0), ratio);
    goals.at_least("W3, of ideal, costs not known", 0.88, of_ideal_whole(1), ratio);
    let table = of_ideal(&standings, ideal);
    format!(
        "\n## W3: 400 items, the first 20 of 200 ms, the others of 5\n\nIdeal: {}.\n\n{table}",
        seconds(ideal)
    )
}

/// W5: records of 1,000 floats.
pub(crate) fn floats(bench: &'static Bench, goals: &mut Goals) -> String {
    let work = Work { name: "floats", n: if bench.quick { 1000 } else { 10_000 } };
    let mut contestants = all(bench, work, vec![work.ours("espnet3-par, Rust", &[])]);
    contestants.push(work.bare_loops(2));
    let standings = work.compete(bench, &contestants);
    let limit = &standings[standings.len() - 1].ran;
    let limit = limit.as_ref().expect("the bare loops").whole;
    let mut table = Table::new(&["", "whole command", "of the loops' time", "its driver's memory"]);
    for (standing, contestant) in standings.iter().zip(&contestants) {
        let ran = match &standing.ran {
            Ok(ran) => ran,
            Err(why) => {
                table.row(vec![standing.name.clone(), why.clone(), "–".into(), "–".into()]);
                continue;
            }
        };
        let memory = work.peak(bench, contestant).map(|peak| peak.command);
        let memory = memory.map_or_else(|why| why, megabytes);
        let cells = [seconds(ran.whole), ratio(ran.whole / limit), memory];
        table.row([standing.name.clone()].into_iter().chain(cells).collect());
    }
    let ours = standings[0].ran.as_ref().expect("our own run").whole;
    let peak = work.peak(bench, &contestants[0]).expect("our own run").command;
    goals.at_most("W5, whole command to two bare loops", 1.3, ours / limit, ratio);
    let show = |bytes| megabytes(bytes as u64);
    goals.at_most("W5, driver's memory", 15e6, peak as f64, show);
    format!("\n## W5: 1,000 floats a record, {} items\n\n{table}", work.n)
}

/// Ours, ours in Python, and all peers.
fn all(bench: &'static Bench, work: Work, ours: Vec<Contestant>) -> Vec<Contestant> {
    let mut all = ours;
    all.push(work.ours_in_python(bench));
    all.extend(work.peers(bench));
    all
}

fn of_ideal(standings: &[Standing], ideal: f64) -> Table {
    let head = ["", "whole command", "of ideal", "first start to last end", "of ideal"];
    let mut table = Table::new(&head);
    for Standing { name, ran } in standings {
        let cells = match ran {
            Err(why) => [why.clone(), "–".into(), "–".into(), "–".into()],
            Ok(ran) => {
                let span = ran.span.expect("records tell times");
                let (whole, in_workers) = (ratio(ideal / ran.whole), ratio(ideal / span));
                [seconds(ran.whole), whole, seconds(span), in_workers]
            }
        };
        table.row([name.clone()].into_iter().chain(cells).collect());
    }
    table
}
