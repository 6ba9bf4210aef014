//! Merges the shards' records into one file, in item order, and checks that every item is there once.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::atomic_file;
use crate::item_error::ItemError;
use crate::lines::{LONGEST_LINE, Lines};
use crate::plain_file;
use crate::record::Record;
use crate::refused::Damaged;
use crate::run_dir::{ERRORS, RESULTS, RunDir, ShardState};
use crate::salvage::ItemOf;
use crate::spec::Spec;
use crate::stage::LoadedStage;

/// What a pass over the shards found.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub records: u64,
    pub errors: Vec<ItemError>,
    /// Items with neither a record nor an error, as ranges; only where a partial pass was asked for.
    pub missing: Vec<std::ops::Range<u64>>,
}

/// What is done with the lines of some records, in order: whole ones, as many as there are at hand.
type Each<'a> = dyn FnMut(&[u8]) -> Result<()> + 'a;

/// So much of a shard is looked at at once, or a line if that is longer.
const BLOCK: usize = 1 << 18;

/// The shards are not all done.
#[derive(Debug)]
pub(crate) struct Incomplete {
    pub shards: usize,
    pub of: usize,
}

impl std::fmt::Display for Incomplete {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} shards are not done", self.shards, self.of)
    }
}

impl std::error::Error for Incomplete {}

/// Gives every record's line to `each`, in item order, many lines at once.
///
/// # Errors
/// [`Incomplete`] where shards are not done, unless `partial`; a damaged shard; what `each` fails with.
pub(crate) fn read_lines(
    run: &RunDir,
    spec: &Spec,
    partial: bool,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Collected> {
    let folders = folders_of(run, spec)?;
    let undone = folders.iter().filter(|(done, _)| !done).count();
    if undone > 0 && !partial {
        return Err(Incomplete { shards: undone, of: folders.len() }.into());
    }
    let mut collected = Collected::default();
    for (shard, (mut done, mut folder)) in folders.into_iter().enumerate() {
        if !done && !folder.is_dir() {
            // Somebody works on it, and has renamed it since.
            (done, folder) = folders_of(run, spec)?.swap_remove(shard);
        }
        // What `each` does not like is no damage.
        let mut refusal = None;
        let mut each = |lines: &[u8]| {
            each(lines).or_else(|error| {
                refusal = Some(error);
                bail!("not taken")
            })
        };
        let read = if done { read_done } else { read_undone };
        if let Err(error) = read(spec, shard, &folder, &mut collected, &mut each) {
            return Err(refusal.unwrap_or_else(|| damaged(run, shard, &folder, &error)));
        }
    }
    Ok(collected)
}

/// The records of one done shard.
///
/// # Errors
/// When the shard is not done, or damaged.
pub(crate) fn read_shard(run: &RunDir, spec: &Spec, shard: usize) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    let folder = run.shard(shard, ShardState::Done);
    let mut each = |lines: &[u8]| {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            records.push(parse_record(line)?);
        }
        Ok(())
    };
    read_done(spec, shard, &folder, &mut Collected::default(), &mut each)
        .map_err(|error| damaged(run, shard, &folder, &error))?;
    Ok(records)
}

fn damaged(run: &RunDir, shard: usize, folder: &Path, error: &anyhow::Error) -> anyhow::Error {
    let todo = run.shard(shard, ShardState::Todo);
    let [old, new] =
        [folder, &todo].map(|path| shell_words::quote(&path.to_string_lossy()).into_owned());
    let message = format!("shard {shard} is damaged: {}: {error:#}", folder.display());
    Damaged::new(
        message,
        format!("`rm -r {old} && mkdir {new}` has it computed anew by the next run"),
    )
    .into()
}

/// Each shard's folder, and whether it is done.
fn folders_of(run: &RunDir, spec: &Spec) -> Result<Vec<(bool, PathBuf)>> {
    // Where a folder is not listed: a place that is not there, never the working directory.
    let nowhere = |shard| (false, run.shard(shard, ShardState::Todo));
    let mut folders: Vec<_> = (0..spec.num_shards()).map(nowhere).collect();
    let listed =
        run.list_shards().with_context(|| format!("failed to list {}", run.shards().display()))?;
    for name in listed {
        // One that is there twice, by hand or by a listing that lags, is done if one of them is.
        if let Some(folder) = folders.get_mut(name.shard).filter(|(done, _)| !done) {
            *folder = (name.state == ShardState::Done, run.shards().join(name.to_string()));
        }
    }
    Ok(folders)
}

/// A done shard: each of its items has a record or an error, in order, once.
fn read_done(
    spec: &Spec,
    shard: usize,
    folder: &Path,
    collected: &mut Collected,
    each: &mut Each<'_>,
) -> Result<()> {
    let errors = read_errors(folder, false)?;
    let failed: BTreeSet<u64> = errors.iter().map(|error| error.idx).collect();
    if failed.len() != errors.len() {
        bail!("{ERRORS} has an item twice");
    }
    let mut items = spec.items(shard).into_iter().filter(|idx| !failed.contains(idx));
    let mut file = plain_file::open(&folder.join(RESULTS))?;
    let mut block = vec![0; BLOCK];
    let mut filled = 0;
    loop {
        let read = file.read(&mut block[filled..])?;
        filled += read;
        let whole = memchr::memrchr(b'\n', &block[..filled]).map_or(0, |end| end + 1);
        collected.records += check(&block[..whole], &mut items)?;
        each(&block[..whole])?;
        block.copy_within(whole..filled, 0);
        filled -= whole;
        if read == 0 {
            break;
        }
        if filled == block.len() {
            if filled > LONGEST_LINE {
                bail!("a line of {RESULTS} has more than {LONGEST_LINE} bytes");
            }
            block.resize(2 * filled, 0);
        }
    }
    if filled > 0 {
        bail!("the last line of {RESULTS} has no end");
    }
    if let Some(item) = items.next() {
        bail!("{RESULTS} ends before item {item}");
    }
    collected.errors.extend(errors);
    Ok(())
}

/// Whether these lines are the next items' records. Returns how many there are.
fn check(lines: &[u8], items: &mut impl Iterator<Item = u64>) -> Result<u64> {
    let (mut start, mut number) = (0, 0);
    let mut digits = itoa::Buffer::new();
    for end in memchr::memchr_iter(b'\n', lines) {
        let line = &lines[start..=end];
        let item = items.next();
        let expected = item.is_some_and(|item| {
            let rest = line.strip_prefix(HEAD);
            let rest = rest.and_then(|rest| rest.strip_prefix(digits.format(item).as_bytes()));
            rest.is_some_and(|rest| matches!(rest, [b',' | b'}', ..]) && rest.ends_with(b"}\n"))
        });
        if !expected {
            let idx = idx_of(line).with_context(|| format!("a line of {RESULTS} is no record"))?;
            match item {
                Some(item) => bail!("{RESULTS} has item {idx} where item {item} should be"),
                None => bail!("{RESULTS} has item {idx} after its last one"),
            }
        }
        start = end + 1;
        number += 1;
    }
    Ok(number)
}

/// A shard that is not done: its good lines, and what is missing.
fn read_undone(
    spec: &Spec,
    shard: usize,
    folder: &Path,
    collected: &mut Collected,
    each: &mut Each<'_>,
) -> Result<()> {
    let mut records: Vec<(u64, Vec<u8>)> = Vec::new();
    match plain_file::open(&folder.join(RESULTS)).map(Lines::of) {
        Ok(mut lines) => {
            while let Some(line) = lines.next()?.filter(|line| line.whole) {
                let item = serde_json::from_slice::<ItemOf>(line.bytes);
                records.extend(item.ok().map(|item| (item.idx, line.bytes.to_vec())));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    records.sort_by_key(|(idx, _)| *idx);
    records.dedup_by_key(|(idx, _)| *idx);
    let errors = read_errors(folder, true)?;
    let mut records = records.into_iter().peekable();
    for item in spec.items(shard) {
        while records.next_if(|(idx, _)| *idx < item).is_some() {}
        if let Some((_, line)) = records.next_if(|(idx, _)| *idx == item) {
            each(&line)?;
            collected.records += 1;
        } else if let Some(error) = errors.iter().find(|error| error.idx == item) {
            collected.errors.push(error.clone());
        } else {
            match collected.missing.last_mut() {
                Some(range) if range.end == item => range.end += 1,
                _ => collected.missing.push(item..item + 1),
            }
        }
    }
    Ok(())
}

fn read_errors(folder: &Path, torn: bool) -> Result<Vec<ItemError>> {
    let mut lines = match plain_file::open(&folder.join(ERRORS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => Lines::of(file?),
    };
    let mut errors: Vec<ItemError> = Vec::new();
    while let Some(line) = lines.next()?.filter(|line| !torn || line.whole) {
        let error = serde_json::from_slice(line.bytes);
        errors.push(error.with_context(|| format!("a line of {ERRORS} is damaged"))?);
    }
    errors.sort_by_key(|error| error.idx);
    Ok(errors)
}

/// Our own lines begin with the item.
const HEAD: &[u8] = b"{\"idx\":";

/// The item of a record's line.
fn idx_of(line: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(HEAD)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    let idx = std::str::from_utf8(&digits[..end]).ok()?.parse().ok()?;
    line.ends_with(b"}\n").then_some(idx)
}

/// Writes the run directory's own `results.jsonl` and, where items failed, `errors.jsonl`.
///
/// # Errors
/// As [`read_lines`], and when the files cannot be written; then the old ones stay.
pub(crate) fn collect(run: &RunDir, spec: &Spec) -> Result<Collected> {
    let collected = write_own(&run.results(), |out| {
        read_lines(run, spec, false, |lines| Ok(out.write_all(lines)?))
    })?;
    if collected.errors.is_empty() {
        match fs::remove_file(run.errors()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    } else {
        write_own(&run.errors(), |out| {
            for error in &collected.errors {
                serde_json::to_writer(&mut *out, error)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })?;
    }
    Ok(collected)
}

/// As [`collect`], and the stage's own `merge`.
///
/// # Errors
/// As [`collect`], and what `merge` fails with.
pub(crate) fn collect_and_merge(
    run: &RunDir,
    spec: &Spec,
    stage: &dyn LoadedStage,
) -> Result<Collected> {
    let collected = collect(run, spec)?;
    stage
        .merge(&mut records(&run.results())?, &collected.errors, run.root())
        .with_context(|| format!("failed to merge stage `{}`", spec.fingerprint.stage))?;
    Ok(collected)
}

/// Writes a file that appears whole, or not at all.
pub(crate) fn write_to<T>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<T>,
) -> Result<T> {
    // Where a link points to is replaced, not the link; a pipe or a device is written to.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if real.exists() && !real.is_file() {
        let mut out = BufWriter::new(
            File::options()
                .write(true)
                .open(path)
                .with_context(|| format!("failed to write {}", path.display()))?,
        );
        let value = write(&mut out)?;
        out.flush()?;
        return Ok(value);
    }
    let written = atomic_file::write_with(&real, write);
    written.with_context(|| format!("failed to write {}", path.display()))
}

/// The same for a file of the run directory: a link in its place, which may lead anywhere, is
/// replaced itself.
pub(crate) fn write_own<T>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<T>,
) -> Result<T> {
    let written = atomic_file::write_with(path, write);
    written.with_context(|| format!("failed to write {}", path.display()))
}

/// The records of a collected file, one at a time.
pub(crate) fn records(path: &Path) -> Result<impl Iterator<Item = Result<Record>> + use<>> {
    let file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
    Ok(BufReader::new(file).lines().map(|line| parse_record(line?.as_bytes())))
}

/// A record from its line; its `idx` is one of the fields.
pub(crate) fn parse_record(line: &[u8]) -> Result<Record> {
    let json = std::str::from_utf8(line).context("a line is not UTF-8")?.trim_end();
    let record = Record::of_object(json.to_owned());
    if record.fields().is_empty() {
        bail!("a line is no record: {json}");
    }
    Ok(record)
}
