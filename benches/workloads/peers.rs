//! The peers, installed from PyPI and Debian into a virtual environment of the benchmark's own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What starts an item's work.
#[derive(Clone, Copy, PartialEq)]
enum How {
    /// A script in Python, with these words after its own.
    Script(&'static str, &'static [&'static str]),
    /// `on_xargs.sh`, which starts `work.py`.
    Python(&'static str),
    /// The same with this program's bare loop.
    Rust(&'static str),
}

pub(crate) struct Peer {
    pub name: &'static str,
    how: How,
    packages: &'static [&'static str],
    /// More items that do nothing would take minutes.
    pub most: u64,
}

pub(crate) const PEERS: [Peer; 11] = [
    Peer {
        name: "ESPnet3 BaseRunner on Dask",
        how: How::Script("on_espnet3.py", &[]),
        packages: &[
            "dask",
            "distributed",
            "dask-jobqueue",
            "omegaconf",
            "typeguard",
            "tqdm",
            "numpy",
        ],
        most: 1_000_000,
    },
    Peer {
        name: "Dask client.map",
        how: How::Script("on_dask.py", &[]),
        packages: &["dask", "distributed"],
        most: 10_000,
    },
    Peer {
        name: "multiprocessing.Pool",
        how: How::Script("on_pool.py", &[]),
        packages: &[],
        most: 1_000_000,
    },
    Peer {
        name: "joblib",
        how: How::Script("on_joblib.py", &[]),
        packages: &["joblib"],
        most: 100_000,
    },
    Peer {
        name: "Ray, its Pool",
        how: How::Script("on_pool.py", &["--ray"]),
        packages: &["ray"],
        most: 1_000_000,
    },
    Peer {
        name: "submitit, local",
        how: How::Script("on_submitit.py", &[]),
        packages: &["submitit"],
        most: 1_000_000,
    },
    Peer {
        name: "datatrove, local",
        how: How::Script("on_datatrove.py", &[]),
        packages: &["datatrove[io]", "orjson"],
        most: 100_000,
    },
    Peer {
        name: "GNU parallel, Python",
        how: How::Python("parallel"),
        packages: &[],
        most: 1_000_000,
    },
    Peer { name: "xargs, Python", how: How::Python("xargs"), packages: &[], most: 1_000_000 },
    Peer { name: "GNU parallel, Rust", how: How::Rust("parallel"), packages: &[], most: u64::MAX },
    Peer { name: "xargs, Rust", how: How::Rust("xargs"), packages: &[], most: u64::MAX },
];

pub(crate) struct Peers {
    venv: PathBuf,
    write_loop: PathBuf,
    /// Why a peer is not here.
    missing: BTreeMap<&'static str, String>,
}

impl Peers {
    pub(crate) fn install(folder: &Path) -> Self {
        let venv = folder.join("venv");
        if !venv.join("bin/pip").exists() {
            // A version manager's wrapper would be timed along.
            let system = Path::new("/usr/bin/python3");
            let python = if system.exists() { system } else { Path::new("python3") };
            let made = call(Command::new(python).args(["-m", "venv"]).arg(&venv));
            made.expect("a virtual environment; package python3-venv");
        }
        let mut missing = BTreeMap::new();
        for peer in &PEERS {
            if let Err(why) = peer.install(&venv) {
                missing.insert(peer.name, why);
            }
        }
        let write_loop = folder.join("write_loop");
        let source = scripts().join("write_loop.c");
        call(Command::new("cc").arg("-O2").arg("-o").arg(&write_loop).arg(source)).expect("cc");
        Self { venv, write_loop, missing }
    }

    pub(crate) fn python(&self) -> PathBuf {
        self.venv.join("bin/python")
    }

    pub(crate) fn write_loop(&self) -> &Path {
        &self.write_loop
    }

    pub(crate) fn missing(&self, peer: &Peer) -> Option<&String> {
        self.missing.get(peer.name)
    }

    pub(crate) fn versions(&self) -> String {
        let names = "dask joblib ray submitit datatrove".split(' ');
        let code =
            "import sys, importlib.metadata as m\nprint(sys.argv[1], m.version(sys.argv[1]))";
        let version = |name| {
            let output = Command::new(self.python()).args(["-c", code, name]).output().ok()?;
            Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
                .filter(|version| !version.is_empty())
        };
        let versions: Vec<String> = names.filter_map(version).collect();
        format!("ESPnet 202611 (its Python files), {}", versions.join(", "))
    }

    /// A Python that finds the peers' and ESPnet3's modules.
    pub(crate) fn python_command(&self) -> Command {
        let mut command = Command::new(self.python());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = [scripts(), root.join("target/espnet3"), root.join("tests/reference/standin")];
        let path = std::env::join_paths(path).expect("no colon in a path");
        command.env("PYTHONPATH", path).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// The peer at work: all records, collected, in `out`.
    pub(crate) fn start(&self, peer: &Peer, workload: &str, n: u64, out: &Path) -> Command {
        let n = n.to_string();
        let (how, program) = match peer.how {
            How::Script(script, words) => {
                let mut command = self.python_command();
                command.arg(scripts().join(script)).args([workload, &n]).arg(out).args(words);
                return command;
            }
            How::Python(how) => (how, [self.python(), scripts().join("work.py")]),
            How::Rust(how) => (how, [crate::program(), "bare".into()]),
        };
        let mut command = Command::new(scripts().join("on_xargs.sh"));
        let parts = match workload {
            "large_env" => "2",
            "uneven" => "100",
            _ => "16",
        };
        command.args([how, parts, workload, &n]).arg(out).args(program);
        command
    }
}

impl Peer {
    fn install(&self, venv: &Path) -> Result<(), String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        if matches!(self.how, How::Python("parallel") | How::Rust("parallel")) {
            let there = || call(Command::new("parallel").arg("--version"));
            let script = "apt-get update -qq && apt-get install -y -qq parallel";
            return there().or_else(|_| call(Command::new("sh").args(["-c", script])));
        }
        let installed = venv.join(format!("{}.installed", self.name));
        if self.packages.is_empty() || installed.exists() {
            return Ok(());
        }
        println!("installing {}", self.packages.join(" "));
        let pip = venv.join("bin/pip");
        call(Command::new(pip).args(["install", "--quiet"]).args(self.packages))?;
        if self.packages.contains(&"dask-jobqueue") {
            // As the tests have it: its modules, without what they do not need.
            let bin = std::env::join_paths([venv.join("bin"), "/usr/bin".into(), "/bin".into()]);
            let mut fetch = Command::new(root.join("tests/reference/fetch_espnet3.sh"));
            call(fetch.env("PATH", bin.expect("no colon in a path")))?;
        }
        fs::write(installed, "").map_err(|error| error.to_string())
    }
}

pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}

/// Runs a command that installs something; the last line it says if it fails.
fn call(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.trim_end().lines().last().unwrap_or("no reason given").to_owned())
}
