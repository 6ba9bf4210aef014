//! Workers that see the run directory through sshfs, which remembers listings and attributes for
//! seconds, beside workers on the file system itself; and what becomes of them when it is cut off.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::Value;

use crate::common::disk::{check_files, recorded};
use crate::common::recipe::{Recipe, toy};
use crate::common::until::{until_within, wait_until};
use crate::ssh::hosts;

/// sshfs notices in 15 s that its connection is dead, and ssh takes its time to make another.
const LONG: Duration = Duration::from_secs(120);

/// A folder as host h1 has it.
struct Mount(PathBuf);

impl Mount {
    fn of(folder: &Path, at: PathBuf) -> Self {
        std::fs::create_dir(&at).expect("makes the folder");
        let config = std::env::var("PAR_SSH_CONFIG").expect("are the hosts up?");
        let mounted = Command::new("sshfs")
            .args(["-F", &config, "-o", "reconnect,ServerAliveInterval=5,ServerAliveCountMax=2"])
            .arg(format!("h1:{}", folder.display()))
            .arg(&at)
            .status();
        assert!(mounted.expect("sshfs starts").success(), "sshfs");
        Self(at)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A driver and its workers on a host that calls itself `far`, and sees the run at `root`.
fn run_far_away(recipe: &Recipe, root: &Path) -> Child {
    let set = format!("output_dir={}", root.display());
    let mut command = Command::new("unshare");
    command.args(["--uts", "sh", "-c", "hostname far && exec \"$@\"", "sh"]).arg(toy());
    command.arg("run").arg(recipe.path("conf.yaml")).args(["--set", &set]);
    command.current_dir(recipe.path("")).spawn().expect("unshare starts")
}

/// How many items workers of that host have begun.
fn begun_far_away(recipe: &Recipe) -> usize {
    let Ok(workers) = std::fs::read_dir(recipe.root.join("workers")) else { return 0 };
    let begun = |path: PathBuf| -> Option<usize> {
        let worker: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let log = format!("logs/{}.log", worker["worker"].as_str()?);
        let log = std::fs::read_to_string(recipe.root.join(log)).ok()?;
        (worker["process"]["host"] == "far").then(|| log.matches("forward ").count())
    };
    workers.flatten().filter_map(|entry| begun(entry.path())).sum()
}

#[test]
#[ignore = "needs real hosts of its own"]
fn old_listings_and_a_cut_lose_nothing() {
    let recipe = Recipe::held_at(
        1999,
        "toy: {n: 2000, sleep_ms: 15, files: true}\n\
         parallel: {env: local, n_workers: 2, shard_size: 5}",
    );
    let mount = Mount::of(&recipe.path(""), recipe.path("far"));
    let here = recipe.start_run(&[]);
    wait_until("a record", || !recorded(&recipe.root).is_empty());
    let mut there = run_far_away(&recipe, &mount.0.join("run"));
    wait_until("work far away", || begun_far_away(&recipe) > 20);
    hosts("cut", &["h1"]);
    std::thread::sleep(Duration::from_secs(3));
    hosts("heal", &["h1"]);
    let before = begun_far_away(&recipe);
    wait_until("work far away again", || begun_far_away(&recipe) > before + 20);
    wait_until("all but one", || recorded(&recipe.root).len() == 1999);
    recipe.release();
    here.wait_within(LONG).expect_code(0);
    let ended = until_within("the far driver", LONG, || there.try_wait().expect("is our child"));
    assert!(ended.success(), "{ended:?}");
    println!("{before} items begun far away until it healed, {} in all", begun_far_away(&recipe));
    recipe.compare();
    check_files(&recipe.root);
}
