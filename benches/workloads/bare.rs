//! What a loop of one's own does: computes its part of the items and writes their records to a file.

use std::fs::File;
use std::io::{BufWriter, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::stage::{Workload, floats};

#[derive(Serialize)]
struct Line<T> {
    idx: u64,
    #[serde(flatten)]
    fields: T,
}

#[derive(Serialize)]
struct Whole<T> {
    idx: u64,
    value: T,
}

/// `WORKLOAD FIRST LAST OUT`, as `benches/peers/work.py`.
pub(crate) fn main(args: &[String]) {
    let [workload, first, last, out] = args else { panic!("WORKLOAD FIRST LAST OUT") };
    let workload = Workload::deserialize(Value::from(workload.as_str())).expect("a workload");
    let [first, last] = [first, last].map(|idx| idx.parse::<u64>().expect("an item"));
    let mut out = BufWriter::with_capacity(1 << 16, File::create(out).expect("creates"));
    let env = workload.env().expect("an env");
    for idx in first..last {
        let written = match workload {
            Workload::Noop => serde_json::to_writer(&mut out, &Whole { idx, value: idx }),
            Workload::Floats => serde_json::to_writer(&mut out, &Whole { idx, value: floats(idx) }),
            _ => serde_json::to_writer(&mut out, &Line { idx, fields: workload.span(idx, &env) }),
        };
        written.expect("writes");
        out.write_all(b"\n").expect("writes");
    }
    out.flush().expect("writes");
}
