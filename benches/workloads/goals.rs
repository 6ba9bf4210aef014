//! What is wanted, and what was measured.

use std::fmt;

use crate::table::Table;

#[derive(Default)]
pub(crate) struct Goals(Vec<Goal>);

struct Goal {
    what: String,
    wanted: String,
    measured: String,
    met: bool,
}

impl Goals {
    /// `measured` is to be at most this; `show` words both.
    pub(crate) fn at_most(
        &mut self,
        what: &str,
        wanted: f64,
        measured: f64,
        show: impl Fn(f64) -> String,
    ) {
        self.add(what, format!("≤ {}", show(wanted)), show(measured), measured <= wanted);
    }

    /// `measured` is to be at least this.
    pub(crate) fn at_least(
        &mut self,
        what: &str,
        wanted: f64,
        measured: f64,
        show: impl Fn(f64) -> String,
    ) {
        self.add(what, format!("≥ {}", show(wanted)), show(measured), measured >= wanted);
    }

    fn add(&mut self, what: &str, wanted: String, measured: String, met: bool) {
        self.0.push(Goal { what: what.to_owned(), wanted, measured, met });
    }
}

impl fmt::Display for Goals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["", "wanted", "measured", ""]);
        for Goal { what, wanted, measured, met } in &self.0 {
            let verdict = if *met { "yes" } else { "**no**" };
            table.row(vec![what.clone(), wanted.clone(), measured.clone(), verdict.to_owned()]);
        }
        table.fmt(f)
    }
}

/// A ratio, for the tables.
pub(crate) fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}")
}
