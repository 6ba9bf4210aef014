//! How far a run is, while it runs: a bar on a terminal, a plain line every so often elsewhere.

use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::fail::{shown, tell};
use crate::drive::Planned;
use crate::survey::Progress;

/// Between two plain lines.
const PLAIN: Duration = Duration::from_secs(10);

/// A bar, or lines, on stderr.
pub(super) struct Bar {
    bar: ProgressBar,
    name: String,
    quiet: bool,
    n_workers: u32,
    resumes: bool,
    started: Instant,
    /// Items that were there when this driver began.
    before: Option<u64>,
    last_line: Instant,
}

impl Bar {
    /// `name` is what is under way: the stage.
    pub(super) fn new(name: &str, planned: &Planned, n_workers: u32) -> Self {
        let bar = ProgressBar::with_draw_target(
            Some(planned.spec.total()),
            ProgressDrawTarget::stderr_with_hz(10),
        );
        let style = ProgressStyle::with_template(
            "{prefix} [{elapsed_precise}] {wide_bar:.cyan/blue} {human_pos}/{human_len} items  {msg}",
        )
        .expect("the template is right");
        bar.set_style(style);
        bar.set_prefix(name.to_owned());
        let now = Instant::now();
        let resumes = planned.resumes;
        let (name, quiet) = (name.to_owned(), false);
        Self { bar, name, quiet, n_workers, resumes, started: now, before: None, last_line: now }
    }

    /// The same without a word.
    pub(super) fn quiet(self) -> Self {
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
        Self { quiet: true, ..self }
    }

    /// Shows how far the run is.
    pub(super) fn show(&mut self, progress: &Progress) {
        if self.quiet {
            return;
        }
        let settled = progress.done + progress.failed;
        let begun = settled > 0 && settled < progress.total;
        if self.before.is_none() && self.resumes && begun {
            self.say(&format!(
                "{}: resuming, {settled} of {} items are there",
                self.name, progress.total
            ));
        }
        let before = *self.before.get_or_insert(settled);
        let took = self.started.elapsed();
        let message = describe(progress, settled.saturating_sub(before), took, self.n_workers);
        if self.bar.is_hidden() {
            if self.last_line.elapsed() >= PLAIN {
                self.last_line = Instant::now();
                tell(format!("{}: {settled} of {} items, {message}", self.name, progress.total));
            }
            return;
        }
        self.bar.set_message(message);
        self.bar.set_position(settled);
    }

    /// Removes the bar.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// Prints a line above the bar.
    pub(super) fn say(&self, line: &str) {
        if self.quiet {
            return;
        }
        self.warn(line);
    }

    /// The same of what must be said.
    pub(super) fn warn(&self, line: &str) {
        if self.bar.is_hidden() {
            tell(line);
        } else {
            self.bar.println(shown(line));
        }
    }
}

/// Rate, time left, failures, and for speech how much of it and how fast against real time.
fn describe(progress: &Progress, new: u64, took: Duration, n_workers: u32) -> String {
    let seconds = took.as_secs_f64();
    let rate = new as f64 / seconds.max(1e-9);
    let left = progress.total - (progress.done + progress.failed).min(progress.total);
    let mut text = if rate >= 10.0 {
        format!("{}/s", HumanCount(rate as u64))
    } else {
        format!("{rate:.1}/s")
    };
    if new > 0 && left > 0 {
        let eta = Duration::from_secs_f64((left as f64 / rate).min(1e9));
        text += &format!(", {:#} left", HumanDuration(eta));
    }
    if progress.failed > 0 {
        text += &format!(", {} failed", progress.failed);
    }
    if progress.audio > 0.0 {
        // The real-time factor of one worker: seconds of work per second of audio.
        let rtf = seconds * f64::from(n_workers) / progress.audio;
        // Two digits that say something, of a quick recogniser too.
        let decimals = (1.0 - rtf.log10().floor()).clamp(1.0, 9.0) as usize;
        let hours = progress.audio / 3600.0;
        text += &format!(", {hours:.2} h of audio, RTF {rtf:.decimals$} a worker");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_has_what_is_known() {
        let mut progress = Progress { done: 30, total: 100, ..Progress::default() };
        let took = Duration::from_secs(10);
        assert_eq!(describe(&progress, 20, took, 2), "2.0/s, 35s left");
        progress.failed = 1;
        progress.audio = 1800.0;
        let speech = describe(&progress, 1, took, 2);
        assert_eq!(speech, "0.1/s, 12m left, 1 failed, 0.50 h of audio, RTF 0.011 a worker");
        for (audio, rtf) in [(21_000.0, "0.00095"), (80.0, "0.25"), (2.0, "10.0")] {
            progress.audio = audio;
            let speech = describe(&progress, 1, took, 2);
            assert!(speech.ends_with(&format!("RTF {rtf} a worker")), "{speech}");
        }
        assert_eq!(describe(&Progress::default(), 0, took, 1), "0.0/s");
    }
}
