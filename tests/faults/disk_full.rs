//! The disk is full, wherever that is noticed: a clear end, and the same bytes once there is room.
//!
//! Needs root, for a small tmpfs of its own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::common::disk::{check_files, said};
use crate::common::processes::{of_run, workers};
use crate::common::recipe::Recipe;
use crate::common::until::wait_until;

struct Tmpfs(PathBuf);

impl Tmpfs {
    /// `None`, and a word of it, where this user may not mount.
    fn mount(path: &Path, size: &str) -> Option<Self> {
        if fs::metadata("/proc/self").expect("is there").uid() != 0 {
            eprintln!("skipped: only root can mount a small disk");
            return None;
        }
        fs::create_dir_all(path).expect("makes the folder");
        let mounted = mount(path, &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        if !mounted {
            eprintln!("skipped: root may not mount here");
        }
        mounted.then(|| Self(path.to_owned()))
    }

    fn enlarge(&self) {
        assert!(mount(&self.0, &["-o", "remount,size=64m"]), "enlarges");
    }
}

fn mount(path: &Path, arguments: &[&str]) -> bool {
    Command::new("mount").args(arguments).arg(path).status().expect("mount starts").success()
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        crate::common::processes::kill_all(&self.0, None);
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// That the disk is full is said, though workers cannot note their end.
#[test]
fn the_user_is_told() {
    let untold: Vec<_> = SIZES
        .iter()
        .filter(|size| {
            let recipe = Recipe::new("toy: {n: 400, pad: 1000}\nparallel: {env: local, shards: 8}");
            let Some(_disk) = Tmpfs::mount(&recipe.root, size) else { return false };
            !recipe.run(&[]).err.contains("No space left on device")
        })
        .collect();
    assert!(untold.is_empty(), "not told with {untold:?}");
}

/// A record has 1 KB, and all of them 400: from the plan to the collected file.
const SIZES: [&str; 6] = ["4k", "12k", "40k", "100k", "300k", "600k"];

fn full_then_enlarged(size: &str, files: bool) {
    let recipe = Recipe::new(&format!(
        "toy: {{n: 400, pad: 1000, files: {files}}}\nparallel: {{env: local, n_workers: 2, shard_size: 50}}"
    ));
    let Some(disk) = Tmpfs::mount(&recipe.root, size) else { return };
    let ended = recipe.run(&[]);
    let code = ended.status.code();
    assert!(matches!(code, Some(3 | 5)), "{size}: {ended:?}");
    assert!(!ended.err.contains("panicked"), "{size}: {ended:?}");
    // A driver that ends with an error leaves its task to notice that; it does at once.
    wait_until("nobody works", || of_run(&recipe.root).is_empty());
    assert_eq!(said(&recipe.root, "panicked"), 0);
    disk.enlarge();
    recipe.finish_and_compare(&[]);
    if files {
        check_files(&recipe.root);
    }
}

#[test]
fn wherever_it_is_noticed() {
    for size in SIZES {
        full_then_enlarged(size, false);
    }
}

#[test]
fn wherever_it_is_noticed_with_files() {
    for size in ["40k", "700k", "1300k"] {
        full_then_enlarged(size, true);
    }
}

/// A log that cannot be written to keeps no worker from hearing signals.
#[test]
fn a_worker_whose_log_is_full_still_hears_signals() {
    let recipe = Recipe::new("toy: {n: 4, faults: {1: hang}}\nparallel: {env: local, shards: 1}");
    let Some(disk) = Tmpfs::mount(&recipe.root, "1m") else { return };
    let driver = recipe.start_run(&[]);
    wait_until("the item to hang", || said(&recipe.root, "forward 1") == 1);
    let worker = workers(&recipe.root).remove(0);
    let log = recipe.root.join("logs").join(format!("{}.log", worker.name));
    // The log's last page is full, and so is the disk.
    let mut file = fs::OpenOptions::new().append(true).open(&log).expect("opens");
    let length = file.metadata().expect("is there").len() as usize;
    std::io::Write::write_all(&mut file, &vec![b'\n'; 4096 - length]).expect("fills the page");
    let filler = fs::File::create(disk.0.join("filler")).expect("makes a file");
    while std::io::Write::write_all(&mut &filler, &[0; 4096]).is_ok() {}
    driver.signal(Signal::SIGINT);
    let worker_gone = || workers(&recipe.root).is_empty();
    let since = std::time::Instant::now();
    while !worker_gone() && since.elapsed().as_secs() < 10 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(worker_gone(), "the worker did not hear SIGTERM");
    driver.wait().expect_code(130);
}
