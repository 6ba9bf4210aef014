//! `mode: each`: the program is started for each item.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::template::Template;
use super::{Idle, Item, OUT, Params, Programs};
use crate::computer::Failure;
use crate::item_error::ErrorKind;
use crate::launch::{Group, Program, told};
use crate::record::Record;

/// So much of what a program prints is kept.
const STDOUT: usize = 64 << 10;

/// Starts the program for each item.
pub(super) struct Each {
    argv: Vec<Template>,
    ok_codes: Vec<u8>,
    seconds: bool,
    timeout: Option<Duration>,
    wants_out: bool,
    idle: Idle<Seat>,
}

/// Where one program at a time runs.
struct Seat {
    // Before the folder goes, those go who write there.
    group: Group,
    /// Has a folder for each item.
    scratch: Option<TempDir>,
}

impl Seat {
    fn new(wants_out: bool) -> Result<Self> {
        let scratch = wants_out
            .then(|| tempfile::Builder::new().prefix("espnet3-par.").tempdir())
            .transpose()
            .context("failed to make a folder for outputs")?;
        Ok(Self { group: Group::start(scratch.as_ref().map(TempDir::path))?, scratch })
    }
}

/// How a program ended.
struct Ended {
    status: std::process::ExitStatus,
    took: Duration,
    stdout: Vec<u8>,
    stdout_bytes: usize,
    complaint: String,
}

impl Each {
    pub(super) fn new(params: &Params, timeout: Option<Duration>) -> Result<Self> {
        let argv = params.argv.0.clone();
        let wants_out = argv.iter().any(|word| word.names().any(|name| name == OUT));
        Ok(Self {
            argv,
            ok_codes: params.ok_codes.clone().unwrap_or_else(|| vec![0]),
            seconds: params.seconds.unwrap_or(true),
            timeout,
            wants_out,
            idle: Idle::of(Seat::new(wants_out)?),
        })
    }

    fn argv(&self, item: &Item<'_>, out: Option<&Path>) -> Result<Vec<String>> {
        let out = out.map(|out| out.to_str().context("the folder for outputs is not UTF-8"));
        let out = out.transpose()?;
        let own = |name: &str| out.filter(|_| name == OUT).map(str::to_owned);
        self.argv.iter().map(|word| item.fill(word, own)).collect()
    }

    /// Runs the program to its end, or to the item's.
    fn run(&self, seat: &Seat, argv: &[String]) -> Result<Ended> {
        let start = Instant::now();
        let until = self.timeout.map(|timeout| start + timeout);
        let mut program = Program::start(argv, &seat.group, false)?;
        let (mut stdout, mut stdout_bytes) = (Vec::new(), 0);
        loop {
            program.turn(&seat.group, &mut &[][..], until)?;
            let status = program.ended(&seat.group)?;
            stdout_bytes += program.printed.len();
            program.printed.truncate(STDOUT - stdout.len());
            stdout.append(&mut program.printed);
            if let Some(status) = status {
                let complaint = program.complaint(&stdout);
                return Ok(Ended {
                    status,
                    took: start.elapsed(),
                    stdout,
                    stdout_bytes,
                    complaint,
                });
            }
            if let Some(timeout) = self.timeout.filter(|timeout| start.elapsed() >= *timeout) {
                seat.group.kill();
                let complaint = program.complaint(&stdout);
                program.bury();
                bail!(Failure::new(
                    ErrorKind::Timeout,
                    format!(
                        "`{}` was killed after {} s (`item_timeout`): {complaint}",
                        argv[0],
                        timeout.as_secs()
                    )
                ));
            }
        }
    }

    fn record(&self, item: &Item<'_>, ended: &Ended, out: Option<&Path>) -> Result<Record> {
        let mut fields = json!({"utt_id": item.id, "exit_code": ended.status.code()});
        if self.seconds {
            fields["seconds"] = json!((ended.took.as_secs_f64() * 1e3).round() / 1e3);
        }
        if !ended.stdout.is_empty() {
            fields["stdout"] = Value::from(printed(&ended.stdout));
            if ended.stdout_bytes > ended.stdout.len() {
                // What is there is not all.
                fields["stdout_bytes"] = Value::from(ended.stdout_bytes);
            }
        }
        let record = Record::new(fields)?;
        match out {
            Some(out) => with_files(record, out),
            None => Ok(record),
        }
    }

    fn compute_at(&self, seat: &Seat, item: &Item<'_>, out: Option<&Path>) -> Result<Record> {
        let argv = self.argv(item, out)?;
        let ended = self.run(seat, &argv)?;
        let kind = match ended.status.code() {
            Some(code) if self.ok_codes.iter().any(|ok| i32::from(*ok) == code) => {
                return self.record(item, &ended, out);
            }
            Some(_) => ErrorKind::Error,
            None => ErrorKind::Died,
        };
        let (program, how, complaint) = (&argv[0], told(ended.status), ended.complaint);
        bail!(Failure::new(kind, format!("`{program}` ended with {how}: {complaint}")));
    }
}

impl Programs for Each {
    fn compute(&self, item: &Item<'_>) -> Result<Record> {
        let seat = match self.idle.take().filter(|seat| seat.group.is_kept()) {
            Some(seat) => seat,
            None => Seat::new(self.wants_out)?,
        };
        let out = seat.scratch.as_ref().map(|scratch| scratch.path().join(item.idx.to_string()));
        if let Some(out) = &out {
            fs::create_dir(out).with_context(|| format!("failed to make {}", out.display()))?;
        }
        let record = self.compute_at(&seat, item, out.as_deref());
        // Where a program is still at it, the folder goes with the seat's.
        let clean = out.is_none_or(|out| fs::remove_dir_all(out).is_ok());
        if clean && seat.group.is_kept() {
            self.idle.put(seat);
        }
        record
    }
}

/// What was printed, as text, without the end of its last line.
fn printed(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    text.strip_suffix('\r').unwrap_or(text).to_owned()
}

/// The record with the files of `out`: each in a field named by its ending, or by its whole name
/// where that is another's too.
fn with_files(mut record: Record, out: &Path) -> Result<Record> {
    let read = || format!("failed to read {}", out.display());
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in fs::read_dir(out).with_context(read)? {
        let entry = entry.with_context(read)?;
        let Ok(name) = entry.file_name().into_string() else {
            bail!("the name of {:?} in {{out}} is not UTF-8", entry.file_name());
        };
        if !entry.path().is_file() {
            bail!("`{name}` in {{out}} is no file: a record has files only");
        }
        files.insert(name, fs::read(entry.path()).with_context(read)?);
    }
    if files.is_empty() {
        bail!("the program wrote nothing to {{out}}");
    }
    let fields: Vec<String> = files.keys().map(|name| field(name, files.keys())).collect();
    for (field, (name, bytes)) in fields.into_iter().zip(files) {
        record = record.file(&field, &name, bytes);
    }
    Ok(record)
}

fn field<'a>(name: &str, all: impl Iterator<Item = &'a String>) -> String {
    let ending = |name: &str| Path::new(name).extension()?.to_str().map(str::to_owned);
    let ours = ending(name).filter(|ours| !ours.is_empty());
    let shared = |ours: &String| all.filter(|other| ending(other).as_ref() == Some(ours)).count();
    match ours {
        Some(ours) if shared(&ours) == 1 => ours,
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_ending_where_that_is_its_own() {
        let all = ["a.wav", "a.json", "b.wav", "log", ".hidden"].map(str::to_owned);
        let fields: Vec<String> = all.iter().map(|name| field(name, all.iter())).collect();
        assert_eq!(fields, ["a.wav", "json", "b.wav", "log", ".hidden"]);
    }

    #[test]
    fn what_is_printed_loses_one_end_of_line() {
        for (bytes, text) in
            [(&b"a\nb\n"[..], "a\nb"), (b"a\r\n", "a"), (b"a\n\n", "a\n"), (b"a\xff", "a\u{fffd}")]
        {
            assert_eq!(printed(bytes), text);
        }
    }
}
