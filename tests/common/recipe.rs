//! A recipe with the toy stage in a folder of its own, and the program run on it as a user would.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::processes::{kill_all, send};
use super::until::{BOUND, until_within};

/// A folder with `conf.yaml`; `run` in it is the run directory. Whatever still works there is
/// killed when this is dropped.
pub(crate) struct Recipe {
    program: PathBuf,
    folder: TempDir,
    /// The run directory.
    pub root: PathBuf,
    calls: AtomicU32,
}

/// The toy program: an example of this package, so `cargo test` builds it, but not where it is told
/// to build one test alone.
pub(crate) fn toy() -> PathBuf {
    let me = std::env::current_exe().expect("this program has a path");
    let target = me.parent().and_then(Path::parent).expect("target/debug/deps");
    let toy = target.join("examples/toy");
    let modified = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/toy/toy.rs");
    assert!(
        modified(&toy) > modified(&source),
        "{} is old or missing: cargo build --example toy",
        toy.display()
    );
    toy
}

impl Recipe {
    /// `config` is what stands in conf.yaml beside `stage` and `output_dir`.
    pub(crate) fn new(config: &str) -> Self {
        Self::of(toy(), &format!("stage: toy\n{config}"))
    }

    /// The same for a stage of the product itself.
    pub(crate) fn of_product(stage: &str, config: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_espnet3-par").into();
        Self::of(program, &format!("stage: {stage}\n{config}"))
    }

    /// The same for another program; `config` is all but `output_dir`.
    pub(crate) fn of(program: PathBuf, config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().join("run");
        let text = format!("output_dir: {}\n{config}\n", root.display());
        fs::write(folder.path().join("conf.yaml"), text).expect("writes the config");
        Self { program, folder, root, calls: AtomicU32::new(0) }
    }

    /// The same with an item that does not end before [`release`](Self::release): however slow
    /// this machine's tests are, the run is not over.
    pub(crate) fn held_at(idx: u64, config: &str) -> Self {
        assert!(config.contains("toy: {"), "{config}");
        let recipe = Self::new(&config.replace("toy: {", "toy: {faults_file: ../faults.json, "));
        let config = fs::read_to_string(recipe.path("conf.yaml")).expect("was written");
        let faults = recipe.path("faults.json");
        let config = config.replace("../faults.json", &faults.display().to_string());
        fs::write(recipe.path("conf.yaml"), config).expect("writes the config");
        recipe.hold(idx);
        recipe
    }

    /// Holds item `idx`, and no other one any more.
    pub(crate) fn hold(&self, idx: u64) {
        self.set_faults(&format!("{{\"{idx}\": \"hang\"}}"));
    }

    pub(crate) fn release(&self) {
        self.set_faults("{}");
    }

    fn set_faults(&self, faults: &str) {
        // By rename: workers read it at any time.
        let new = self.path("faults.json.new");
        fs::write(&new, faults).expect("writes");
        fs::rename(new, self.path("faults.json")).expect("renames");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the program with these arguments, as the leader of a process group.
    pub(crate) fn start(&self, args: &[&str]) -> Call {
        self.start_with(args, |_| {})
    }

    /// The same, with a change to how it is started.
    pub(crate) fn start_with(&self, args: &[&str], change: impl FnOnce(&mut Command)) -> Call {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let [out, err] = ["out", "err"].map(|kind| self.path(&format!("{number}.{kind}")));
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .current_dir(self.folder.path())
            .stdin(std::process::Stdio::null())
            .stdout(File::create(&out).expect("makes the file"))
            .stderr(File::create(&err).expect("makes the file"))
            .process_group(0);
        change(&mut command);
        let child = command.spawn().expect("the toy starts");
        Call { child, out, err }
    }

    /// Starts `run conf.yaml` with more arguments.
    pub(crate) fn start_run(&self, more: &[&str]) -> Call {
        self.start(&[&["run", "conf.yaml"], more].concat())
    }

    pub(crate) fn call(&self, args: &[&str]) -> Ended {
        self.start(args).wait()
    }

    pub(crate) fn run(&self, more: &[&str]) -> Ended {
        self.start_run(more).wait()
    }

    /// `status --json` of the run.
    pub(crate) fn status(&self) -> Value {
        let ended = self.call(&["status", "--json", self.root_text()]);
        let mut runs: Value = serde_json::from_str(&ended.out).unwrap_or_else(|error| {
            panic!("status: {error}: {ended:?}");
        });
        runs[0].take()
    }

    pub(crate) fn root_text(&self) -> &str {
        self.root.to_str().expect("a temporary folder's name is UTF-8")
    }

    pub(crate) fn results(&self) -> String {
        fs::read_to_string(self.root.join("results.jsonl")).expect("results.jsonl is there")
    }

    /// The bytes that a run of the same config gives that nothing happens to.
    pub(crate) fn undisturbed(&self) -> String {
        self.undisturbed_with_code(0)
    }

    /// The same of a run that ends with another exit code.
    pub(crate) fn undisturbed_with_code(&self, code: i32) -> String {
        self.release();
        let root = self.path("undisturbed");
        let output_dir = format!("output_dir={}", root.display());
        let here = ["--set", "parallel.env=local", "--set", "toy.sleep_ms=0"];
        self.run(&[&["--set", &output_dir], &here[..]].concat()).expect_code(code);
        fs::read_to_string(root.join("results.jsonl")).expect("was collected")
    }

    /// Runs to the end, with nothing held any more, and compares the bytes.
    pub(crate) fn finish_and_compare(&self, more: &[&str]) {
        self.release();
        self.run(more).expect_code(0);
        self.compare();
    }

    pub(crate) fn compare(&self) {
        assert_same(&self.results(), &self.undisturbed());
    }
}

impl Drop for Recipe {
    fn drop(&mut self) {
        kill_all(&self.root, None);
        kill_all(&self.path("undisturbed"), None);
    }
}

/// Compares without printing megabytes.
pub(crate) fn assert_same(ours: &str, theirs: &str) {
    if ours == theirs {
        return;
    }
    let first = ours.lines().zip(theirs.lines()).position(|(a, b)| a != b);
    let at = first.unwrap_or_else(|| ours.lines().count().min(theirs.lines().count()));
    panic!(
        "{} lines, {} in an undisturbed run; line {at}: {:?}, undisturbed {:?}",
        ours.lines().count(),
        theirs.lines().count(),
        ours.lines().nth(at),
        theirs.lines().nth(at),
    );
}

/// The program, started.
pub(crate) struct Call {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Call {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// As a terminal does it: to the command and to all that it started in its process group.
    pub(crate) fn signal_group(&self, signal: Signal) {
        let group = nix::unistd::Pid::from_raw(self.pid().cast_signed());
        nix::sys::signal::killpg(group, signal).expect("it runs");
    }

    pub(crate) fn running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    pub(crate) fn wait(self) -> Ended {
        self.wait_within(BOUND)
    }

    pub(crate) fn wait_within(mut self, bound: Duration) -> Ended {
        let ended = || self.child.try_wait().expect("it is our child");
        let status = until_within("the program to end", bound, ended);
        let read = |path| String::from_utf8_lossy(&fs::read(path).expect("is there")).into_owned();
        Ended { status, out: read(&self.out), err: read(&self.err) }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }

    pub(crate) fn expect_signal(self, signal: Signal) -> Self {
        assert_eq!(self.status.signal(), Some(signal as i32), "{self:?}");
        self
    }

    pub(crate) fn expect_says(self, words: &str) -> Self {
        assert!(self.err.contains(words) || self.out.contains(words), "no {words:?} in {self:?}");
        self
    }
}
