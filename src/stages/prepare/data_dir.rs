//! The good utterances as a Kaldi data directory, as `utils/fix_data_dir.sh` leaves it, and as a
//! manifest in JSON lines.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::good::Good;
use crate::collect::write_own;

/// Writes the folder `data` of the run directory. `all` is in the order of utterance ids.
pub(super) fn write(all: &[Good], output_dir: &Path) -> Result<()> {
    let folder = output_dir.join("data");
    match fs::symlink_metadata(&folder) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => bail!("{} is there, and no folder; move it away", folder.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => fs::create_dir(&folder)
            .with_context(|| format!("failed to make {}", folder.display()))?,
        Err(error) => return Err(error.into()),
    }
    write_own(&folder.join("manifest.jsonl"), |file| {
        all.iter().try_for_each(|good| Ok(writeln!(file, "{}", line(good))?))
    })?;
    let kaldi = all.iter().all(fits_tables);
    for (name, table) in tables(all) {
        let path = folder.join(name);
        if kaldi && !table.is_empty() {
            write_own(&path, |file| {
                table.iter().try_for_each(|(key, value)| Ok(writeln!(file, "{key} {value}")?))
            })?;
        } else if let Err(error) = fs::remove_file(&path)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error).with_context(|| format!("failed to remove {}", path.display()));
        }
    }
    Ok(())
}

/// The keys that the speech stages know come with those of the user's own.
fn line(good: &Good) -> Value {
    let Good { utt_id, path, start, end, duration, text, speaker, more, .. } = good;
    let mut line = json!({"utt_id": utt_id, "path": path});
    let times = [("start", start), ("end", end), ("duration", &Some(*duration))];
    let texts = [("text", text), ("speaker", speaker)];
    for (name, seconds) in times {
        if let Some(seconds) = seconds {
            line[name] = json!(seconds);
        }
    }
    for (name, text) in texts {
        if let Some(text) = text {
            line[name] = json!(text);
        }
    }
    for (name, value) in more {
        line[name] = value.clone();
    }
    line
}

/// Kaldi's tables cannot have keys with blanks, and only `segments` can cut.
fn fits_tables(good: &Good) -> bool {
    let word = |text: &String| !text.is_empty() && !text.contains(char::is_whitespace);
    let path = !good.path.contains('\n') && good.path.trim() == good.path;
    let speaker = good.speaker.as_ref().is_none_or(word);
    word(&good.utt_id) && path && speaker && good.start.is_some() == good.recording.is_some()
}

/// Lines of a table, in the order of their keys.
type Table<'a> = BTreeMap<&'a str, String>;

/// All tables by their names; those that the corpus has nothing for are empty.
fn tables(all: &[Good]) -> BTreeMap<&'static str, Table<'_>> {
    let names = ["wav.scp", "segments", "text", "utt2spk", "spk2utt", "utt2dur", "reco2dur"];
    let mut tables: BTreeMap<_, Table<'_>> = names.map(|name| (name, Table::new())).into();
    let mut put = |table, key, value: Option<String>| {
        if let (Some(value), Some(table)) = (value, tables.get_mut(table)) {
            table.insert(key, value);
        }
    };
    let mut speakers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for good in all {
        let id = good.utt_id.as_str();
        put("wav.scp", good.recording.as_deref().unwrap_or(id), Some(good.path.clone()));
        if let (Some(recording), Some(start), Some(end)) = (&good.recording, good.start, good.end) {
            put("segments", id, Some(format!("{recording} {start} {end}")));
            put("reco2dur", recording, good.recording_duration.map(|seconds| seconds.to_string()));
        }
        let words = |text: &String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        put("text", id, good.text.as_ref().map(words));
        put("utt2spk", id, good.speaker.clone());
        put("utt2dur", id, Some(good.duration.to_string()));
        if let Some(speaker) = &good.speaker {
            speakers.entry(speaker).or_default().push(id);
        }
    }
    for (speaker, utterances) in speakers {
        put("spk2utt", speaker, Some(utterances.join(" ")));
    }
    tables
}
