//! Writes one shard: records, errors and the stage's files, so that what a kill leaves is usable.
//!
//! Lines are buffered; [`ShardWriter::flush`] brings everything to disk in the order in which it
//! must be believed: files, then where the records in them end, then the records.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::atomic_file::{self, put, scratch};
use crate::claim::Claim;
use crate::indices::Indices;
use crate::item_error::ItemError;
use crate::lines::LONGEST_LINE;
use crate::plain_file;
use crate::record::{FileBytes, Record};
use crate::run_dir::{ERRORS, EXTENTS, FOUND, RESULTS, RunDir, TRYING, is_ours};
use crate::salvage::{Extent, Kept, KeptFile, salvage};

/// A record waits no longer than this for the next one, to be written together: a write costs
/// microseconds.
const WAIT: Duration = Duration::from_millis(10);

/// The same where shared files are synced first, which costs a disk's time.
const WAIT_WITH_FILES: Duration = Duration::from_millis(100);

/// What a line has beside a record's fields: the index, and braces.
const AROUND_FIELDS: usize = 64;

/// So much is kept of an error that would not go on a line.
const LONGEST_ERROR: usize = 1 << 20;

/// No name is longer: with what is put around it while it is written, file systems take 255 bytes.
const LONGEST_NAME: usize = 245;

/// The item a careful attempt is at, kept on disk so that the next attempt knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trying {
    pub idx: u64,
    /// How many workers in a row died at it before.
    pub deaths: u32,
    /// It took longer than so many seconds, and its worker ended itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<u64>,
}

impl Trying {
    pub(crate) fn at(idx: u64) -> Self {
        Self { idx, deaths: 0, late: None }
    }
}

/// A shard being worked on.
#[derive(Debug)]
pub(crate) struct ShardWriter {
    pub claim: Claim,
    folder: PathBuf,
    items: Indices,
    kept: Kept,
    /// Lines that this attempt wrote.
    written: u64,
    last: Option<u64>,
    results: BufWriter<File>,
    extents: Option<BufWriter<File>>,
    files: BTreeMap<String, BufWriter<File>>,
    /// When something was written that is not on disk yet.
    dirty: Option<Instant>,
}

impl ShardWriter {
    /// Opens a claimed shard, keeping the good lines of earlier attempts.
    pub(crate) fn open(claim: Claim, items: Indices) -> io::Result<Self> {
        let folder = claim.folder();
        let kept = salvage(&folder, claim.shard, &items)?;
        if !kept.items.is_empty() {
            // Only for telling the rate: a full disk is met, and told, by the first record.
            let _ = plain_file::create(&folder.join(FOUND))
                .and_then(|mut file| write!(file, "{}", kept.items.len()));
        }
        let results = BufWriter::with_capacity(1 << 16, append(&folder, RESULTS)?);
        Ok(Self {
            last: kept.items.last().copied(),
            claim,
            folder,
            items,
            kept,
            written: 0,
            results,
            extents: None,
            files: BTreeMap::new(),
            dirty: None,
        })
    }

    /// How many items were there when the shard was opened.
    pub(crate) fn found(&self) -> usize {
        self.kept.items.len()
    }

    /// The items that have neither a record nor an error.
    pub(crate) fn pending(&self) -> impl Iterator<Item = u64> + use<> {
        let kept = self.kept.items.clone();
        self.items.clone().into_iter().filter(move |idx| kept.binary_search(idx).is_err())
    }

    /// Adds a record. The outer error is the disk's: the worker must end. The inner one is the
    /// record's: the item has failed.
    pub(crate) fn write(
        &mut self,
        idx: u64,
        record: &Record,
    ) -> Result<std::result::Result<(), String>> {
        if let Err(error) = self.check(record) {
            return Ok(Err(error.to_string()));
        }
        let json = record.json().strip_prefix('{').and_then(|json| json.strip_suffix('}'));
        let fields = json.context("the record is no JSON object")?.trim();
        if fields.len() + AROUND_FIELDS > LONGEST_LINE {
            let length = fields.len();
            return Ok(Err(format!(
                "the record has {length} bytes, and a line at most {LONGEST_LINE}: put what is large into a file"
            )));
        }
        let mut places = Vec::new();
        for file in &record.files {
            places.push((file.field.as_str(), self.write_file(idx, file)?));
        }
        self.results.write_all(b"{\"idx\":")?;
        self.results.write_all(itoa::Buffer::new().format(idx).as_bytes())?;
        if !fields.is_empty() {
            self.results.write_all(b",")?;
            self.results.write_all(fields.as_bytes())?;
        }
        for (field, place) in places {
            self.results.write_all(b",")?;
            serde_json::to_writer(&mut self.results, field)?;
            self.results.write_all(b":")?;
            serde_json::to_writer(&mut self.results, &place)?;
        }
        self.results.write_all(b"}\n")?;
        self.kept.sorted &= self.last.is_none_or(|last| last < idx);
        self.note(idx)?;
        Ok(Ok(()))
    }

    /// Adds a failed item. Errors are rare and wanted at once: no buffer.
    pub(crate) fn write_error(&mut self, failed: &ItemError) -> Result<()> {
        let mut line = serde_json::to_vec(failed)?;
        if line.len() >= LONGEST_LINE {
            let error = failed.error.chars().take(LONGEST_ERROR).collect();
            line = serde_json::to_vec(&ItemError { item: None, error, ..*failed })?;
        }
        line.push(b'\n');
        append(&self.folder, ERRORS)?.write_all(&line)?;
        self.note(failed.idx)?;
        Ok(())
    }

    fn note(&mut self, idx: u64) -> io::Result<()> {
        self.last = self.last.max(Some(idx));
        self.written += 1;
        let since = *self.dirty.get_or_insert_with(Instant::now);
        let wait = if self.files.is_empty() { WAIT } else { WAIT_WITH_FILES };
        if since.elapsed() > wait {
            self.flush()?;
        }
        Ok(())
    }

    /// Whether the record's files can be written: they stay in the shard's folder, clear of ours
    /// and of each other.
    fn check(&self, record: &Record) -> Result<()> {
        for (nth, file) in record.files.iter().enumerate() {
            let FileBytes { field, name, .. } = file;
            if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0', '\n']) {
                bail!("a record's file cannot be called {name:?}");
            }
            if name.len() > LONGEST_NAME {
                bail!("a record's file cannot be called {name:?}: the name is too long");
            }
            if is_ours(name) {
                bail!("a record's file cannot be called {name:?}: the shard has its own");
            }
            let earlier = &record.files[..nth];
            if field == "idx"
                || record.fields().contains_key(field)
                || earlier.iter().any(|other| other.field == *field)
            {
                bail!("argument conflict: `{field}` passed twice in one record");
            }
            let whole_before = self.kept.files.get(name).map(|known| known.whole);
            let here = earlier.iter().find(|other| other.name == *name).map(|other| other.whole);
            if whole_before.or(here).is_some_and(|whole| whole || file.whole) {
                bail!("file {name:?} of this record is another record's");
            }
        }
        Ok(())
    }

    /// Writes one file of a record and returns what the record says of it.
    fn write_file(&mut self, idx: u64, file: &FileBytes) -> io::Result<String> {
        let committed = RunDir::committed_file(self.claim.shard, &file.name);
        if file.whole {
            let path = self.folder.join(&file.name);
            let scratch = scratch(&path);
            let mut new = File::create_new(&scratch)?;
            new.write_all(&file.bytes)?;
            new.sync_data()?;
            put(&scratch, &path)?;
            self.note_extent(idx, file, 0)?;
            return Ok(committed);
        }
        let start = self.kept.files.get(&file.name).map_or(0, |known| known.end);
        let writer = match self.files.entry(file.name.clone()) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(new) => {
                // Cut to the last kept record, or removed, when the shard was opened.
                new.insert(BufWriter::new(append(&self.folder, &file.name)?))
            }
        };
        writer.write_all(&file.bytes)?;
        self.note_extent(idx, file, start)?;
        Ok(format!("{committed}:{}", start + file.skip as u64))
    }

    fn note_extent(&mut self, idx: u64, file: &FileBytes, start: u64) -> io::Result<()> {
        let end = start + file.bytes.len() as u64;
        self.kept.files.insert(file.name.clone(), KeptFile { end, whole: file.whole });
        let extent = Extent { idx, file: file.name.clone(), end, whole: file.whole };
        let extents = match &mut self.extents {
            Some(extents) => extents,
            none => none.insert(BufWriter::new(append(&self.folder, EXTENTS)?)),
        };
        serde_json::to_writer(&mut *extents, &extent)?;
        extents.write_all(b"\n")
    }

    /// Brings everything so far to disk, where it was not yet.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.dirty.is_none() {
            return Ok(());
        }
        for file in self.files.values_mut() {
            file.flush()?;
            file.get_ref().sync_data()?;
        }
        if let Some(extents) = &mut self.extents {
            extents.flush()?;
            extents.get_ref().sync_data()?;
        }
        self.results.flush()?;
        self.dirty = None;
        Ok(())
    }

    /// The item that an earlier attempt was at when it ended, if it left word of it.
    pub(crate) fn was_trying(&self) -> Option<Trying> {
        serde_json::from_slice(&plain_file::read(&self.folder.join(TRYING)).ok()?).ok()
    }

    /// Leaves word of the item that is being tried.
    pub(crate) fn set_trying(&self, trying: Trying) -> io::Result<()> {
        plain_file::create(&self.folder.join(TRYING))?.write_all(&serde_json::to_vec(&trying)?)
    }

    /// The shard is complete: checks that each item is there once, syncs, commits.
    /// `false`: it was taken over meanwhile, and somebody else commits it.
    pub(crate) fn commit(mut self) -> Result<bool> {
        self.flush()?;
        let (there, wanted) = (self.kept.items.len() as u64 + self.written, self.items.len());
        if there != wanted {
            bail!("shard {} has {there} of {wanted} items after its last one", self.claim.shard);
        }
        if !self.kept.sorted {
            sort_lines(&self.folder.join(RESULTS))?;
        }
        let _ = fs::remove_file(self.folder.join(TRYING));
        if self.found() > 0 {
            let _ = fs::remove_file(self.folder.join(FOUND));
        }
        self.sync()?;
        Ok(self.claim.commit()?)
    }

    /// Gives the shard back with what is there. `false`: it was taken over meanwhile.
    pub(crate) fn give_back(mut self) -> Result<bool> {
        // Deaths are counted in a row only.
        let _ = fs::remove_file(self.folder.join(TRYING));
        let _ = fs::remove_file(self.folder.join(FOUND));
        self.flush()?;
        self.sync()?;
        Ok(self.claim.give_back()?)
    }

    fn sync(&self) -> io::Result<()> {
        self.results.get_ref().sync_data()?;
        if let Some(extents) = &self.extents {
            extents.get_ref().sync_data()?;
        }
        match plain_file::open(&self.folder.join(ERRORS)) {
            Ok(errors) => errors.sync_data(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn append(folder: &std::path::Path, name: &str) -> io::Result<File> {
    plain_file::append(&folder.join(name))
}

/// Brings the lines into item order: where failed items were tried again, theirs came last.
fn sort_lines(path: &std::path::Path) -> Result<()> {
    let text = fs::read_to_string(path)?;
    let mut lines = Vec::new();
    for line in text.lines() {
        let item: crate::salvage::ItemOf =
            serde_json::from_str(line).with_context(|| format!("{} is damaged", path.display()))?;
        lines.push((item.idx, line));
    }
    lines.sort_unstable_by_key(|(idx, _)| *idx);
    let mut sorted = String::with_capacity(text.len());
    for (_, line) in lines {
        sorted.push_str(line);
        sorted.push('\n');
    }
    atomic_file::write(path, sorted.as_bytes())?;
    Ok(())
}
