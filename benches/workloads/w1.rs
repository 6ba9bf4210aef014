//! W1: items that do nothing, from a thousand to ten million; how soon the first is at work; `--help`.

use std::process::Command;

use crate::contest::{Contestant, Standing, Work};
use crate::goals::{Goals, ratio};
use crate::processes::time;
use crate::table::{Table, median, megabytes, seconds};
use crate::{Bench, program};

pub(crate) fn measure(bench: &'static Bench, goals: &mut Goals) -> String {
    let counts: &[u64] = match bench.quick {
        true => &[1_000, 100_000],
        false => &[1_000, 100_000, 1_000_000, 10_000_000],
    };
    let by_count: Vec<Vec<Standing>> = counts
        .iter()
        .map(|&n| {
            let work = Work { name: "noop", n };
            work.compete(bench, &contestants(bench, work))
        })
        .collect();
    let clock = Work { name: "clock", n: 1000 };
    let limits = 2;
    let mut timed = contestants(bench, clock);
    timed.truncate(timed.len() - limits);
    let firsts = clock.compete(bench, &timed);

    let names: Vec<String> = counts.iter().map(|n| format!("{n} items")).collect();
    let mut head = vec!["", "first item after"];
    head.extend(names.iter().map(String::as_str));
    let mut table = Table::new(&head);
    for (nth, one) in by_count[0].iter().enumerate() {
        let first = firsts.get(nth).and_then(|first| first.ran.as_ref().ok()?.first);
        let mut row = vec![one.name.clone(), first.map_or("–".to_owned(), seconds)];
        row.extend(by_count.iter().map(|standings| match &standings[nth].ran {
            Ok(ran) => seconds(ran.whole),
            Err(why) => why.clone(),
        }));
        table.row(row);
    }

    let helped = median((0..bench.rounds * 3).map(|_| help(bench)).collect());
    let first = firsts[0].ran.as_ref().map_or(f64::NAN, |ran| ran.first.unwrap_or(f64::NAN));
    goals.at_most("W1, 10³ items, command", 0.040, whole(&by_count[0][0]), seconds);
    goals.at_most("W1, 10³ items, first item", 0.020, first, seconds);
    goals.at_most("`--help`", 0.005, helped, seconds);
    let mut notes = format!("`--help` takes {}.", seconds(helped));
    if let Some(million) = counts.iter().position(|n| *n == 1_000_000) {
        let standings = &by_count[million];
        let limit = standings.last().expect("the C loop");
        let ours = &standings[0];
        let span = ours.ran.as_ref().map_or(f64::NAN, |ran| ran.span.unwrap_or(f64::NAN));
        let rate = whole(limit) / span;
        goals.at_most("W1, 10⁶ items, command", 0.25, whole(ours), seconds);
        goals.at_least("W1, 10⁶ items, the workers' rate to the C loop's", 0.25, rate, ratio);
        notes += &format!(
            " At 10⁶ items the workers are there for {}, which is {} of the C loop's rate.",
            seconds(span),
            ratio(rate)
        );
    }
    let largest = Work { name: "noop", n: counts[counts.len() - 1] };
    let peak = largest.peak(bench, &largest.ours("", &[])).expect("our own run");
    goals.at_most("W1, driver's memory with most items", 15e6, peak.command as f64, |bytes| {
        megabytes(bytes as u64)
    });
    notes += &format!(
        " With {} items the driver's memory peaks at {}.",
        largest.n,
        megabytes(peak.command)
    );
    format!("\n## W1: records of items that do nothing\n\n{table}\n{notes}\n")
}

/// Ours first; the physical limits last.
fn contestants(bench: &'static Bench, work: Work) -> Vec<Contestant> {
    let mut all = vec![work.ours("espnet3-par, Rust", &[])];
    if work.n <= 1_000_000 {
        all.push(work.ours_in_python(bench));
    } else {
        all.push(work.ours_in_python(bench).absent("–"));
    }
    all.extend(work.peers(bench));
    all.extend([work.bare_loops(2), work.write_loop(bench)]);
    all
}

fn whole(standing: &Standing) -> f64 {
    standing.ran.as_ref().map_or(f64::NAN, |ran| ran.whole)
}

fn help(bench: &Bench) -> f64 {
    let mut command = Command::new(program());
    command.arg("--help");
    time(command, &bench.work.join("log")).expect("helps")
}
