//! The items: every line that names an utterance, and every utterance that has no audio.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::tables::{Table, rows, spk2utt};
use super::{PrepareProvider, TABLES};
use crate::speech::Utterance;
use crate::speech::fault::Fault;
use crate::speech::manifest::{self, Entry, Listed};
use crate::{Dataset, Inputs};

/// One item, as far as it is known without its audio.
#[derive(Default)]
pub(super) struct Item {
    /// What a person calls it.
    pub name: String,
    /// `None` for a line that is wrong, and for an utterance that has no audio.
    pub utterance: Option<Utterance>,
    /// What it is cut from, where there are `segments`.
    pub recording: Option<String>,
    pub text: Option<String>,
    pub speaker: Option<String>,
    /// Other fields of a TSV or JSONL manifest.
    pub more: Map<String, Value>,
    pub faults: Vec<(Fault, String)>,
    /// What is odd, and breaks nothing.
    pub warnings: Vec<&'static str>,
}

/// All items.
pub struct Corpus {
    items: Vec<Item>,
    inputs: Inputs,
    /// Where the manifest is.
    pub(super) folder: PathBuf,
}

impl Corpus {
    /// Reads the manifest, and for a `wav.scp` the tables beside it. What is wrong with a line is
    /// its item's.
    ///
    /// # Errors
    /// When a file cannot be read, or names nothing.
    pub(super) fn read(params: &PrepareProvider) -> Result<Self> {
        let manifest = params.manifest();
        let [text, utt2spk, spk2utt_table] = params.tables();
        let read = |path: Option<PathBuf>| -> Result<Option<Table>> {
            Ok(path.map(Table::read).transpose()?.flatten())
        };
        let (text, utt2spk, spk2utt_table) = (read(text)?, read(utt2spk)?, read(spk2utt_table)?);
        let spk2utt = spk2utt_table.as_ref().map(spk2utt);
        let mut rows = rows(&manifest)?;
        let Listed { entries, mut inputs } = manifest::list(&manifest, params.segments.as_deref())?;
        for (name, table) in TABLES.into_iter().zip([&text, &utt2spk, &spk2utt_table]) {
            if let Some(table) = table {
                inputs = inputs.bytes(name, table.text.as_bytes());
            }
        }
        let need_text = params
            .require_text
            .unwrap_or_else(|| text.is_some() || rows.values().any(|row| row.contains_key("text")));
        let mut items = Vec::with_capacity(entries.len());
        let mut known = HashSet::new();
        for entry in entries {
            // Lines of segments have no row.
            let of_manifest = entry.recording.is_none();
            let more = rows.remove(&entry.line).filter(|_| of_manifest).unwrap_or_default();
            known.extend(entry.id.clone());
            let mut item = Item::of(entry, more);
            if item.utterance.is_some() {
                item.add_text(text.as_ref(), need_text);
                item.add_speaker(utt2spk.as_ref(), spk2utt.as_ref());
            }
            items.push(item);
        }
        for table in [&text, &utt2spk].into_iter().flatten() {
            let orphans = table.keys.iter().filter(|(key, _)| known.insert(key.clone()));
            items.extend(orphans.map(|(key, line)| Item::without_audio(key, &table.path, *line)));
        }
        let folder = manifest.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self { items, inputs, folder })
    }

    pub(super) fn get(&self, idx: u64) -> Result<&Item> {
        let item = usize::try_from(idx).ok().and_then(|idx| self.items.get(idx));
        item.with_context(|| format!("no item {idx}: there are {}", self.items.len()))
    }
}

impl Dataset for Corpus {
    fn len(&self) -> u64 {
        self.items.len() as u64
    }

    /// Seconds, if they are known of all utterances; what is no utterance costs nothing.
    fn costs(&self) -> Option<Vec<f64>> {
        let cost = |item: &Item| match &item.utterance {
            Some(utterance) => utterance.duration.map(|duration| duration.max(0.0)),
            None => Some(0.0),
        };
        self.items.iter().map(cost).collect()
    }

    fn item_name(&self, idx: u64) -> Option<String> {
        Some(self.get(idx).ok()?.name.clone())
    }

    /// The manifest, its segments and the tables, as they were read.
    fn inputs(&self) -> Inputs {
        self.inputs.clone()
    }
}

impl Item {
    fn of(entry: Entry, mut more: Map<String, Value>) -> Self {
        let Entry { file, line, id, recording, utterance } = entry;
        let mut item = Self {
            name: id.unwrap_or_else(|| format!("{}:{line}", file.display())),
            recording,
            ..Self::default()
        };
        match utterance {
            Ok(utterance) => {
                item.name = format!("{} ({})", utterance.id, utterance.path.display());
                let mut take = |name| match more.shift_remove(name) {
                    Some(Value::String(text)) => Some(text),
                    _ => None,
                };
                (item.text, item.speaker) = (take("text"), take("speaker"));
                (item.more, item.utterance) = (more, Some(utterance));
            }
            Err(error) => {
                let fault = Fault::of(&error, Fault::MalformedLine);
                item.faults.push((fault, format!("{error:#}")));
            }
        }
        item
    }

    fn without_audio(id: &str, table: &Path, line: usize) -> Self {
        let message = format!("{}:{line} has it, and the manifest does not", table.display());
        Self { name: id.to_owned(), faults: vec![(Fault::NoAudio, message)], ..Self::default() }
    }

    /// The value in a table; none at all is `absent`, two are `twice`.
    fn look_up(&mut self, table: &Table, absent: Option<Fault>, twice: Fault) -> Option<String> {
        let id = &self.utterance.as_ref()?.id;
        let path = table.path.display();
        match (table.get(id), absent) {
            (Some((_, [first, second, ..])), _) => {
                self.faults.push((twice, format!("{path} has lines {first} and {second} for it")));
            }
            (Some((value, _)), _) => return Some(value.to_owned()),
            (None, Some(absent)) => {
                self.faults.push((absent, format!("{path} has no line for it")));
            }
            (None, None) => {}
        }
        None
    }

    fn add_text(&mut self, table: Option<&Table>, needed: bool) {
        let none = Fault::NoTranscript;
        if let Some(table) = table {
            self.text = self.look_up(table, needed.then_some(none), Fault::TwoTranscripts);
        } else if needed && self.text.is_none() {
            self.faults.push((none, "it has no `text`".to_owned()));
        }
        if needed && self.text.as_deref().is_some_and(|text| text.trim().is_empty()) {
            self.faults.push((Fault::EmptyTranscript, "it has no words".to_owned()));
        }
    }

    fn add_speaker(&mut self, table: Option<&Table>, spk2utt: Option<&HashMap<String, String>>) {
        let Some(utterance) = &self.utterance else { return };
        let other = spk2utt.map(|spk2utt| spk2utt.get(&utterance.id).cloned());
        let Some(table) = table else {
            self.speaker = other.flatten().or(self.speaker.take());
            return;
        };
        self.speaker = self.look_up(table, Some(Fault::NoSpeaker), Fault::TwoSpeakers);
        let (Some(speaker), Some(utterance)) = (&self.speaker, &self.utterance) else { return };
        if !utterance.id.starts_with(speaker.as_str()) {
            self.warnings.push("the id does not start with the speaker");
        }
        if other.is_some_and(|other| other.as_ref() != Some(speaker)) {
            self.warnings.push("spk2utt does not say what utt2spk does");
        }
    }
}
