//! `mode: stream`: one program a thread reads items as lines, and answers each with a line.

use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

use super::manifest::IDX;
use super::template::Template;
use super::{Idle, Item, Params, Programs};
use crate::computer::Failure;
use crate::item_error::ErrorKind;
use crate::launch::{Group, Program, told};
use crate::log::log;
use crate::record::Record;

/// So many that die before any has answered: it is not the items.
const BARREN: u32 = 3;

/// A program without items that has not ended after so long is not what is broken.
const PROBE: Duration = Duration::from_secs(60);

/// A program that was told that no more comes ends within this, or is killed. One that has closed
/// its stdin or stdout is about to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Keeps the programs that items are given to.
pub(super) struct Stream {
    argv: Vec<String>,
    input: Option<Template>,
    timeout: Option<Duration>,
    idle: Idle<Served>,
    answered: AtomicBool,
    died: AtomicU32,
}

/// A program that reads items.
struct Served {
    program: Program,
    group: Group,
}

impl Served {
    fn start(argv: &[String]) -> Result<Self> {
        let group = Group::start(None)?;
        Ok(Self { program: Program::start(argv, &group, true)?, group })
    }

    /// Gives it `line` and takes a line of its own; `None`: it did not answer in time.
    fn exchange(&mut self, line: &str, timeout: Option<Duration>) -> Result<Option<Vec<u8>>> {
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let mut input = line.as_bytes();
        // What was looked at before has no end of a line.
        let mut looked = 0;
        let mut cut_off: Option<Instant> = None;
        loop {
            self.program.turn(&self.group, &mut input, until)?;
            let status = self.program.ended(&self.group)?;
            let printed = &mut self.program.printed;
            if let Some(end) = memchr::memchr(b'\n', &printed[looked..]) {
                let rest = printed.split_off(looked + end + 1);
                let answer = std::mem::replace(printed, rest);
                return Ok(Some(answer));
            }
            looked = printed.len();
            if let Some(status) = status {
                bail!(Failure::new(ErrorKind::Died, told(status)));
            }
            if self.program.is_cut_off()
                && cut_off.get_or_insert_with(Instant::now).elapsed() > PATIENCE
            {
                bail!(Failure::new(ErrorKind::Error, "it closed its stdin or stdout"));
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(None);
            }
        }
    }

    /// Waits for its end, but not longer than `until`.
    fn rest(&mut self, until: Instant) -> Result<Option<ExitStatus>> {
        loop {
            let ended = self.program.ended(&self.group)?;
            if ended.is_some() || Instant::now() >= until {
                return Ok(ended);
            }
            self.program.turn(&self.group, &mut &[][..], Some(until))?;
        }
    }

    /// Kills it with all that it started.
    fn kill(self) -> String {
        let complaint = self.program.complaint(&[]);
        self.group.kill();
        self.program.bury();
        complaint
    }
}

impl Stream {
    pub(super) fn new(params: &Params, timeout: Option<Duration>) -> Result<Self> {
        let no_item = |_: &str| Ok(String::new());
        let argv: Vec<String> =
            params.argv.0.iter().map(|word| word.fill(no_item)).collect::<Result<_>>()?;
        let first = Served::start(&argv)?;
        Ok(Self {
            argv,
            input: params.input.clone(),
            timeout,
            idle: Idle::of(first),
            answered: AtomicBool::new(false),
            died: AtomicU32::new(0),
        })
    }

    /// What the program reads for an item.
    fn line(&self, item: &Item<'_>) -> Result<String> {
        let Some(input) = &self.input else {
            let mut row = Map::from_iter([(IDX.to_owned(), Value::from(item.idx))]);
            let columns = item.row.iter().filter(|(name, _)| *name != IDX);
            row.extend(columns.map(|(name, value)| (name.clone(), value.clone())));
            return Ok(format!("{}\n", Value::from(row)));
        };
        let line = item.fill(input, |_| None)?;
        ensure!(!line.contains('\n'), "the line for it has an end of a line in it");
        Ok(line + "\n")
    }

    /// A program that waits for an item, and whether it has answered others.
    fn served(&self) -> Result<(Served, bool)> {
        while let Some(mut served) = self.idle.take() {
            served.program.look(&served.group)?;
            if !served.program.printed.is_empty() {
                bail!(self.too_much(&served));
            }
            match served.program.ended(&served.group)? {
                None => return Ok((served, true)),
                Some(status) => log(&format!("`{}` ended: {}", self.argv[0], told(status))),
            }
        }
        Ok((Served::start(&self.argv)?, false))
    }

    /// Its lines cannot be told apart any more: some may stand in other items' records.
    fn too_much(&self, served: &Served) -> Failure {
        let printed = String::from_utf8_lossy(&served.program.printed);
        Failure::fatal(format!(
            "`{}` printed more than a line for an item: `{}`; its stdout is for answers alone, and \
             records from here may be other items': run with `--restart` when that is set right",
            self.argv[0],
            start_of(&printed)
        ))
    }

    /// Gives the item to a program, and to a new one if the first dies that has answered others
    /// before: it need not be the item.
    fn answer(&self, line: &str) -> Result<Vec<u8>> {
        loop {
            let (mut served, is_used) = self.served()?;
            let why = match served.exchange(line, self.timeout) {
                Ok(Some(answer)) => {
                    if !served.program.printed.is_empty() {
                        bail!(self.too_much(&served));
                    }
                    self.answered.store(true, Ordering::Relaxed);
                    self.idle.put(served);
                    return Ok(answer);
                }
                Ok(None) => None,
                Err(error) => Some(error),
            };
            let complaint = served.kill();
            let program = &self.argv[0];
            let Some(why) = why else {
                let seconds = self.timeout.unwrap_or_default().as_secs();
                if !self.answered.load(Ordering::Relaxed) && self.one_more_barren() {
                    bail!(Failure::fatal(format!(
                        "`{program}` has not answered any of {BARREN} items in {seconds} s each \
                         (`item_timeout`); does it take longer to load? {complaint}"
                    )));
                }
                bail!(Failure::new(
                    ErrorKind::Timeout,
                    format!(
                        "`{program}` was killed after {seconds} s (`item_timeout`): {complaint}"
                    )
                ));
            };
            if is_used {
                log(&format!("`{program}` died: {why}; trying the item with a new one"));
                continue;
            }
            // Once a program has answered, it is the item that kills.
            if !self.answered.load(Ordering::Relaxed) {
                self.blame(&why, &complaint)?;
            }
            bail!(Failure::new(ErrorKind::Died, format!("`{program}` died: {why}: {complaint}")));
        }
    }

    /// A program has died at its first item, and none has answered yet: finds out, by one that is
    /// given no items, whether it dies all by itself.
    ///
    /// # Errors
    /// It does: no item is to blame, and the worker ends.
    fn blame(&self, why: &anyhow::Error, complaint: &str) -> Result<()> {
        let command = shell_words::join(&self.argv);
        let mut probe = Served::start(&self.argv)?;
        probe.program.close();
        let ended = probe.rest(Instant::now() + self.timeout.unwrap_or(PROBE))?;
        let complaint_of_probe = probe.kill();
        if let Some(status) = ended.filter(|status| !status.success()) {
            bail!(Failure::fatal(format!(
                "`{command}` cannot work: without any item it ended with {}: {complaint_of_probe}",
                told(status)
            )));
        }
        if self.one_more_barren() {
            bail!(Failure::fatal(format!(
                "`{command}` died at {BARREN} items and answered none: {why}: {complaint}"
            )));
        }
        Ok(())
    }

    /// A program ended before any has answered; whether it is one too many.
    fn one_more_barren(&self) -> bool {
        self.died.fetch_add(1, Ordering::Relaxed) + 1 >= BARREN
    }

    /// The record that an answer is.
    fn record(&self, item: &Item<'_>, answer: &[u8]) -> Result<Record> {
        let program = &self.argv[0];
        let answer = std::str::from_utf8(answer)
            .with_context(|| format!("`{program}` answered with what is not UTF-8"))?;
        let answer = answer.trim_end_matches(['\n', '\r']);
        let mut fields = Map::from_iter([("utt_id".to_owned(), Value::from(item.id.as_str()))]);
        if !answer.trim_start().starts_with('{') {
            fields.insert("value".to_owned(), Value::from(answer));
            return Record::new(fields);
        }
        let mut own: Map<String, Value> = serde_json::from_str(answer).with_context(|| {
            format!("`{program}` answered `{}`, which is no JSON object", start_of(answer))
        })?;
        if let Some(idx) = own.shift_remove(IDX).filter(|idx| *idx != item.idx) {
            bail!(Failure::fatal(format!(
                "`{program}` answered item {} as item {idx}: records from here may be other items'",
                item.idx
            )));
        }
        if let (1, Some(Value::String(error))) = (own.len(), own.get("error")) {
            bail!("{error}");
        }
        fields.extend(own);
        Record::new(fields)
    }
}

impl Programs for Stream {
    fn compute(&self, item: &Item<'_>) -> Result<Record> {
        self.record(item, &self.answer(&self.line(item)?)?)
    }
}

/// Tells the programs that no more comes. Those that do not end are killed with their groups.
impl Drop for Stream {
    fn drop(&mut self) {
        let mut left = std::mem::take(&mut *self.idle.lock());
        left.iter_mut().for_each(|served| served.program.close());
        let until = Instant::now() + PATIENCE;
        for served in &mut left {
            let _ = served.rest(until);
        }
    }
}

/// Enough of what a program printed to know it again.
fn start_of(text: &str) -> String {
    text.trim_end().chars().take(80).collect()
}
