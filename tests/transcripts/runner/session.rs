//! Replays one session in a folder of its own and writes down what happens.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::mask::mask;

/// A command that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The session with what its commands really print.
pub(crate) fn replay(text: &str, bin: &Path) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut written = String::new();
    let mut file: Option<File> = None;
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            file = None;
            written += &format!("{line}\n{}", answer(command, folder.path(), bin));
        } else if let Some(name) = line.strip_prefix("=== ") {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
            file = Some(File::create(path).expect("a file"));
            written += &format!("{line}\n");
        } else if let Some(file) = &mut file {
            use std::io::Write;
            writeln!(file, "{}", line.replace("<tab>", "\t")).expect("writes");
            written += &format!("{line}\n");
        } else if line.starts_with('#') {
            written += &format!("{line}\n");
        }
        // Anything else is what a command printed last time.
    }
    written
}

/// What a command prints, and its exit code.
fn answer(command: &str, folder: &Path, bin: &Path) -> String {
    let place = tempfile::tempdir().expect("a temporary folder");
    let [out, err] = ["out", "err"].map(|name| place.path().join(name));
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display());
    let before = snapshot(folder);
    let mut shell = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env_clear()
        .envs([("PATH", path.as_str()), ("LC_ALL", "C"), ("TZ", "UTC"), ("COLUMNS", "100")])
        .stdin(Stdio::null())
        .stdout(File::create(&out).expect("a file"))
        .stderr(File::create(&err).expect("a file"))
        .spawn()
        .expect("sh starts");
    let since = Instant::now();
    let status = loop {
        if let Some(status) = shell.try_wait().expect("sh can be waited for") {
            break Some(status);
        }
        if since.elapsed() > PATIENCE {
            shell.kill().expect("sh can be killed");
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut text = String::new();
    for (mark, file) in [("1>", out), ("2>", err)] {
        let printed = fs::read(file).expect("what was printed");
        for line in mask(&String::from_utf8_lossy(&printed), folder, bin).lines() {
            text += format!("{mark} {line}").trim_end();
            text.push('\n');
        }
    }
    let code = status.map_or_else(|| "never".to_owned(), code);
    assert!(!["101", "never"].contains(&code.as_str()), "`{command}` panicked or hung\n{text}");
    for word in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
        assert!(!text.contains(word), "`{command}` panicked\n{text}");
    }
    if code == "2" {
        let after = snapshot(folder);
        let changed = changed(&before, &after);
        assert!(changed.is_empty(), "`{command}` was refused, and changed {changed:?}\n{text}");
    }
    text + &format!("exit {code}\n")
}

/// Everything below `folder`, links and pipes not followed, with the bytes of files.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().expect("is there"));
            if kind.is_dir() {
                folders.push(path.clone());
            }
            let bytes = if kind.is_file() { fs::read(&path).ok() } else { None };
            all.insert(path, bytes.unwrap_or_default());
        }
    }
    all
}

fn changed<'a>(
    before: &'a BTreeMap<PathBuf, Vec<u8>>,
    after: &'a BTreeMap<PathBuf, Vec<u8>>,
) -> Vec<&'a Path> {
    let names = before.keys().chain(after.keys());
    names.filter(|name| before.get(*name) != after.get(*name)).map(PathBuf::as_path).collect()
}

fn code(status: ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| code.to_string())
}
