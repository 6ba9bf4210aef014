//! What is given any bytes, by `fuzz/` and by tests: what others wrote and this program reads.
//!
//! Each panics where the bytes break what must hold whatever they are.

use std::fs;
use std::path::Path;

use crate::cluster::{Reply, SCHEDULERS};
use crate::config::{Config, Request};
use crate::indices::Indices;
use crate::run_dir::{ERRORS, EXTENTS, RESULTS};
use crate::salvage::{ItemOf, salvage};
use crate::stages::STAGES;

/// Parts the inputs that stand in one text: no file has it in a place that matters.
pub const BETWEEN: u8 = 0x1c;

/// A config is taken or refused, and what it becomes can be shown and read again.
///
/// # Panics
/// Where that is not so.
pub fn config(bytes: &[u8]) {
    let folder = folder();
    let files = [folder.path().join("config.yaml")];
    fs::write(&files[0], bytes).expect("writes");
    let request = Request {
        files: &files,
        set: &[],
        stage: None,
        indices: None,
        parallel: None,
        flags: &[],
        env: Vec::new(),
        now: jiff::Zoned::new(jiff::Timestamp::UNIX_EPOCH, jiff::tz::TimeZone::UTC),
    };
    match Config::load(&request, STAGES) {
        Ok(config) => {
            let again: serde_json::Value =
                serde_yaml::from_str(&config.to_yaml()).expect("its own words");
            assert_eq!(again, config.resolved);
            assert!(!config.origins().is_empty());
        }
        Err(wrong) => assert!(!wrong.to_string().is_empty()),
    }
}

/// What is kept of a shard has each of its items once, in lines that were there, and is kept whole
/// the next time.
///
/// # Panics
/// Where that is not so.
pub fn records(bytes: &[u8]) {
    const ITEMS: u64 = 16;
    let folder = folder();
    let items = Indices::all(ITEMS);
    let names = [RESULTS, ERRORS, EXTENTS, "feats.ark"];
    for (name, content) in names.iter().zip(bytes.split(|byte| *byte == BETWEEN)) {
        fs::write(folder.path().join(name), content).expect("writes");
    }
    let kept = salvage(folder.path(), 0, &items).expect("salvages");
    let (mut there, lines) = (items_of(folder.path()), contents(folder.path()));
    for (name, after) in names.iter().zip(&lines).take(2) {
        let mut before = bytes.split_inclusive(|byte| matches!(*byte, b'\n' | BETWEEN));
        let mut after = after.split_inclusive(|byte| *byte == b'\n');
        assert!(after.all(|line| before.any(|was| was == line)), "{name} has another line");
    }
    there.sort_unstable();
    assert_eq!(there, kept.items, "each once");
    assert!(kept.items.iter().all(|idx| *idx < ITEMS));
    let again = salvage(folder.path(), 0, &items).expect("salvages again");
    assert_eq!((&again.items, again.sorted, &again.files), (&kept.items, kept.sorted, &kept.files));
    assert_eq!(contents(folder.path()), lines);
}

/// A scheduler's reply is read or is no answer. The first byte chooses the scheduler and what it was
/// asked, the second its exit code.
///
/// # Panics
/// Where a state is nobody's, or an id could be taken for an option.
pub fn reply(bytes: &[u8]) {
    let [choice, code, said @ ..] = bytes else { return };
    let choice = usize::from(*choice);
    let scheduler = SCHEDULERS[choice % SCHEDULERS.len()];
    let mut said = said.split(|byte| *byte == BETWEEN).map(String::from_utf8_lossy);
    let mut next = || said.next().unwrap_or_default().into_owned();
    let code = (*code < 128).then_some(i32::from(*code));
    let reply = Reply { code, stdout: next(), stderr: next() };
    match choice / SCHEDULERS.len() % 3 {
        0 => {
            for one in scheduler.states(&reply).unwrap_or_default() {
                assert!(!one.job.is_empty(), "{}: {one:?}", scheduler.name());
            }
            assert!(!reply.complaint().is_empty());
        }
        1 => {
            if let Some(id) = scheduler.job_id(&reply.stdout) {
                let odd = |c: char| c.is_whitespace() || c.is_control();
                assert!(!id.is_empty() && !id.starts_with('-') && !id.contains(odd), "{id:?}");
            }
        }
        _ => {
            scheduler.array_limit().and_then(|(_, read)| read(&reply.stdout));
        }
    }
}

/// Audio is read as it was asked for, or refused. The first byte chooses what is asked for, the rest is
/// the file.
///
/// # Panics
/// Where that is not so.
#[cfg(feature = "speech")]
pub fn audio(bytes: &[u8]) {
    use crate::speech::audio::{Span, read};
    // libfuzzer-sys would end the process at symphonia's panics, which are caught. One that is not
    // caught still ends it.
    #[cfg(fuzzing)]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| eprintln!("{panic}"))));
    }
    let [choice, file @ ..] = bytes else { return };
    let spans = [(0.0, None), (0.0, Some(0.05)), (0.02, Some(0.04)), (0.1, None)];
    let (start, end) = spans[usize::from(choice & 3)];
    let channel = [None, Some(0), Some(1), Some(9)][usize::from(choice >> 2 & 3)];
    let rate = if choice & 16 == 0 { 16_000 } else { 8_000 };
    let folder = folder();
    let path = folder.path().join("audio");
    fs::write(&path, file).expect("writes");
    match read(&path, Span { start, end }, channel, rate) {
        Ok(audio) => {
            assert_eq!(audio.sample_rate, rate);
            // One sample more, by rounding, and one for each of the two rates.
            let longest = end.map_or(f64::INFINITY, |end| (end - start) * f64::from(rate) + 20.0);
            assert!(audio.samples.len() as f64 <= longest, "{}", audio.samples.len());
        }
        Err(error) => assert!(format!("{error:#}").starts_with("failed to read audio `")),
    }
}

fn folder() -> tempfile::TempDir {
    // In memory, where there is such a place: thousands of times a second.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a temporary folder")
}

fn contents(folder: &Path) -> Vec<Vec<u8>> {
    let read = |name: &&str| fs::read(folder.join(name)).unwrap_or_default();
    [RESULTS, ERRORS, EXTENTS, "feats.ark"].iter().map(read).collect()
}

/// The items of all lines, records and errors.
fn items_of(folder: &Path) -> Vec<u64> {
    let text = contents(folder).into_iter().take(2).flatten().collect::<Vec<u8>>();
    let text = String::from_utf8(text).expect("kept lines are UTF-8");
    let item = |line: &str| serde_json::from_str::<ItemOf>(line).expect("a kept line is JSON").idx;
    text.lines().map(item).collect()
}
