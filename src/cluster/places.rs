//! Clusters that are places: this machine's GPUs, and hosts that are reached by ssh.

use std::path::{Component, Path};

use serde_json::{Map, Value};

use super::Finding;
use super::keys::{unknown, without_effect};
use super::options::text;

/// The options of `env: ssh`, in the words of dask's `SSHCluster`.
const SSH_OPTIONS: &[&str] =
    &["connect_options", "hosts", "stage", "stage_directory", "stage_files", "threads_per_worker"];

/// What `SSHCluster` also takes for its own processes.
const SSH_DASK_ONLY: &[&str] = &[
    "asynchronous",
    "interface",
    "kwargs",
    "local_directory",
    "memory_limit",
    "name",
    "nanny_port",
    "nohost",
    "protocol",
    "remote_python",
    "scheduler_addr",
    "scheduler_options",
    "security",
    "silence_logs",
    "worker_class",
    "worker_module",
    "worker_options",
    "worker_port",
];

/// How hosts are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ssh {
    /// Host, and how many workers it is for at most; `None`: as many as it comes to.
    pub hosts: Vec<(String, Option<u32>)>,
    /// Arguments of ssh(1) for all hosts.
    arguments: Vec<String>,
    /// The hosts share no file system with this one.
    pub stage: bool,
    /// Where on the hosts copies go.
    pub stage_directory: Option<String>,
    /// What of the recipe goes there besides.
    pub stage_files: Vec<String>,
}

/// Whether `env: ssh` understands the key.
pub(super) fn known_to_ssh(key: &str) -> bool {
    SSH_OPTIONS.contains(&key)
}

impl Ssh {
    /// Reads the options, and says what is odd about them. With an error among the findings they
    /// are not to be used.
    pub(crate) fn read(given: &Map<String, Value>) -> (Self, Vec<Finding>) {
        let mut ssh = Self::default();
        let mut found = Vec::new();
        let (mut of_dask, mut of_others) = (Vec::new(), Vec::new());
        for key in given.keys().map(String::as_str) {
            if SSH_OPTIONS.contains(&key) {
                continue;
            }
            if SSH_DASK_ONLY.contains(&key) {
                of_dask.push(key);
            } else if super::known_elsewhere(key) {
                of_others.push(key);
            } else {
                found.push(unknown(key, SSH_OPTIONS.iter().copied(), "ssh"));
            }
        }
        found.extend(without_effect("Dask-only, no effect here", &of_dask));
        found.extend(without_effect("no effect on `ssh`", &of_others));
        ssh.hosts = hosts(given.get("hosts"), &mut found);
        ssh.arguments = connect_options(given.get("connect_options"), &mut found);
        match given.get("stage") {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(Value::Bool(true)) => ssh.stage = true,
            Some(other) => {
                let message = format!("`stage` must be true or false, but is {other}");
                let hint = "true where the hosts share no file system with this one";
                found.push(Finding::error("stage", message, hint).of_value());
            }
        }
        ssh.stage_directory = given.get("stage_directory").and_then(text);
        ssh.stage_files = stage_files(given.get("stage_files"), &mut found);
        for key in ["stage_directory", "stage_files"] {
            if !ssh.stage && given.get(key).is_some_and(|value| !value.is_null()) {
                let message = format!("`{key}` has no effect without `stage: true`");
                let hint = "hosts that share this file system need no copies";
                found.push(Finding::warning(key, message, hint));
            }
        }
        (ssh, found)
    }

    /// The command that runs `command` on a host.
    pub(crate) fn argv(&self, host: &str, command: &str) -> Vec<String> {
        self.argv_with(&[], host, command)
    }

    /// The same by way of a socket: the command that `opens` it logs in for all others.
    pub(crate) fn argv_over(
        &self,
        socket: &str,
        opens: bool,
        host: &str,
        command: &str,
    ) -> Vec<String> {
        let master = if opens { "ControlMaster=yes" } else { "ControlMaster=no" };
        // The user's own settings for all this come later, and the first one counts.
        let path = format!("ControlPath={}", socket.replace('%', "%%"));
        self.argv_with(&[master, "ControlPersist=no", &path], host, command)
    }

    fn argv_with(&self, first: &[&str], host: &str, command: &str) -> Vec<String> {
        let mut argv = vec!["ssh".to_owned()];
        argv.extend(first.iter().flat_map(|option| ["-o".to_owned(), (*option).to_owned()]));
        // Nobody is there to type a password or to look at a host's key. A host that does not
        // answer for half a minute is lost. The user's ssh_config decides all the rest.
        for option in [
            "BatchMode=yes",
            "ConnectTimeout=15",
            "ServerAliveInterval=10",
            "ServerAliveCountMax=3",
        ] {
            argv.extend(["-o".to_owned(), option.to_owned()]);
        }
        argv.extend_from_slice(&self.arguments);
        argv.extend(["--".to_owned(), host.to_owned(), command.to_owned()]);
        argv
    }

    /// How many workers each host gets, hosts without any left out: round-robin, as far as hosts
    /// are for so many.
    ///
    /// # Errors
    /// With how many workers the hosts are for, where that is fewer than `n_workers`.
    pub(crate) fn spread(&self, n_workers: u32) -> Result<Vec<(String, u32)>, u32> {
        let mut shares = vec![0; self.hosts.len()];
        let mut left = n_workers;
        while left > 0 {
            let before = left;
            for (share, (_, most)) in shares.iter_mut().zip(&self.hosts) {
                if left > 0 && most.is_none_or(|most| *share < most) {
                    *share += 1;
                    left -= 1;
                }
            }
            if left == before {
                return Err(n_workers - left);
            }
        }
        let hosts = self.hosts.iter().map(|(host, _)| host.clone());
        Ok(hosts.zip(shares).filter(|(_, share)| *share > 0).collect())
    }
}

/// `[gpu1, gpu2*4]`; a host that is named again is for so many more.
fn hosts(given: Option<&Value>, found: &mut Vec<Finding>) -> Vec<(String, Option<u32>)> {
    const HINT: &str = "such as `hosts: [gpu1, gpu2*4]`; `gpu2*4` is for four workers";
    let names: Option<Vec<String>> = match given {
        None | Some(Value::Null) => {
            found.push(Finding::error("", "`ssh` needs `hosts` in the options", HINT));
            return Vec::new();
        }
        Some(Value::Array(items)) => items.iter().map(text).collect(),
        Some(one) => text(one).map(|one| vec![one]),
    };
    let mut hosts: Vec<(String, Option<u32>)> = Vec::new();
    for name in names.unwrap_or_default() {
        let (host, most) = match name.rsplit_once('*') {
            None => (name.trim(), None),
            Some((host, most)) => (host.trim(), Some(most.trim().parse::<u32>().unwrap_or(0))),
        };
        // A host that begins with a hyphen would be an option of ssh.
        let odd = host.is_empty()
            || host.starts_with('-')
            || host.contains(|c: char| c.is_whitespace() || c.is_control());
        if odd || most == Some(0) {
            let message = format!("`{name}` is no host");
            found.push(Finding::error("hosts", message, HINT).of_value());
            continue;
        }
        match hosts.iter_mut().find(|(known, _)| known == host) {
            Some((_, known)) => *known = known.zip(most).map(|(known, most)| known + most),
            None => hosts.push((host.to_owned(), most)),
        }
    }
    if hosts.is_empty() && found.iter().all(|finding| finding.key != "hosts") {
        found.push(Finding::error("hosts", "`hosts` names no host", HINT).of_value());
    }
    hosts
}

/// Files and folders below the recipe's directory.
fn stage_files(given: Option<&Value>, found: &mut Vec<Finding>) -> Vec<String> {
    const KEY: &str = "stage_files";
    let names: Option<Vec<String>> = match given {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(items)) => items.iter().map(text).collect(),
        Some(one) => text(one).map(|one| vec![one]),
    };
    let Some(names) = names else {
        let message = "`stage_files` must be a list of paths";
        found.push(Finding::error(KEY, message, "such as `stage_files: [data]`").of_value());
        return Vec::new();
    };
    let plain = |name: &String| {
        let mut parts = Path::new(name).components().peekable();
        parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
    };
    for name in names.iter().filter(|name| !plain(name)) {
        let message = format!("`{name}` is not below the recipe's directory");
        let hint = "paths in `stage_files` are relative, without `.` and `..`; the hosts get them \
                    below a directory of their own";
        found.push(Finding::error(KEY, message, hint).of_value());
    }
    names
}

/// asyncssh's connection options, as arguments of ssh(1).
fn connect_options(given: Option<&Value>, found: &mut Vec<Finding>) -> Vec<String> {
    const KEY: &str = "connect_options";
    let map = match given {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Object(map)) => map,
        Some(_) => {
            let message = "`connect_options` must be one mapping, for all hosts";
            let hint = "what differs between hosts belongs into ssh_config(5), under `Host`";
            found.push(Finding::error(KEY, message, hint).of_value());
            return Vec::new();
        }
    };
    let mut arguments = Vec::new();
    for (key, value) in map {
        let texts: Vec<String> = match value {
            Value::Array(items) => items.iter().filter_map(text).collect(),
            one => text(one).into_iter().collect(),
        };
        let option = match key.as_str() {
            "username" => "User",
            "port" => "Port",
            "client_keys" => "IdentityFile",
            "known_hosts" => "UserKnownHostsFile",
            "config" => {
                arguments.extend(texts.iter().flat_map(|path| ["-F".to_owned(), path.clone()]));
                continue;
            }
            "password" | "passphrase" => {
                let message = format!("`{key}` is not taken: no password belongs into a config");
                let hint = "use a key and ssh-agent(1)";
                found.push(Finding::error(KEY, message, hint).of_value());
                continue;
            }
            _ => {
                let message = format!("`{key}` of `connect_options` has no effect here");
                let hint = "ssh_config(5) is respected; what ssh(1) can do belongs there";
                found.push(Finding::warning(KEY, message, hint).of_value());
                continue;
            }
        };
        if texts.is_empty() {
            // asyncssh takes `known_hosts: null` for "do not check".
            let message = format!("`{key}: null` has no effect: host keys are always checked");
            let hint = "add the hosts to known_hosts, with ssh-keyscan(1) say";
            found.push(Finding::warning(KEY, message, hint).of_value());
        }
        arguments
            .extend(texts.iter().flat_map(|text| ["-o".to_owned(), format!("{option}={text}")]));
    }
    arguments
}

/// The variable that names the GPUs which a process may use.
pub(crate) const GPUS: &str = "CUDA_VISIBLE_DEVICES";

/// The GPUs that a process with this `CUDA_VISIBLE_DEVICES` may use, in order; `None`: it does not
/// say, and nvidia-smi must be asked.
///
/// CUDA reads the list up to the first entry that it does not understand:
/// <https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#cuda-environment-variables>.
pub(crate) fn visible_gpus(variable: Option<&str>) -> Option<Vec<String>> {
    let gpu = |entry: &str| {
        entry.bytes().all(|b| b.is_ascii_digit())
            || ["GPU-", "MIG-"].iter().any(|start| entry.starts_with(start))
    };
    let entries = variable?.split(',').map(str::trim);
    Some(entries.take_while(|entry| !entry.is_empty() && gpu(entry)).map(str::to_owned).collect())
}

/// A worker's share of its task's GPUs, as `CUDA_VISIBLE_DEVICES` names them; `None`: there is not one for
/// each worker, so all have all.
pub(crate) fn share_of(gpus: &[String], workers: u32, slot: u32) -> Option<String> {
    let (workers, slot) = (workers as usize, slot as usize);
    let cut = |worker: usize| gpus.len() * worker / workers;
    let shared = workers > 1 && slot < workers && gpus.len() >= workers;
    shared.then(|| gpus[cut(slot)..cut(slot + 1)].join(","))
}

/// The command that names this machine's GPUs.
pub(crate) const NVIDIA_SMI: &[&str] = &["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"];

/// The GPUs in its reply.
pub(crate) fn gpus(stdout: &str) -> Vec<String> {
    stdout
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("GPU-"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(options: &Value) -> (Ssh, Vec<Finding>) {
        Ssh::read(options.as_object().expect("a mapping"))
    }

    #[test]
    fn workers_are_spread_over_hosts() {
        let (ssh, found) = read(&json!({"hosts": ["a", "b*4", "c"]}));
        assert_eq!(found, []);
        let share = |host: &str, share| (host.to_owned(), share);
        assert_eq!(ssh.spread(2), Ok(vec![share("a", 1), share("b", 1)]));
        assert_eq!(ssh.spread(7), Ok(vec![share("a", 3), share("b", 2), share("c", 2)]));
        assert_eq!(ssh.spread(16), Ok(vec![share("a", 6), share("b", 4), share("c", 6)]));
        let (few, _) = read(&json!({"hosts": ["a*1", "b*2", "a*1"]}));
        assert_eq!(few.spread(4), Ok(vec![share("a", 2), share("b", 2)]));
        assert_eq!(few.spread(5), Err(4));
    }

    #[test]
    fn connect_options_are_those_of_ssh() {
        let options = json!({"hosts": "h", "connect_options": {
            "username": "ann", "port": 2222, "client_keys": ["k1", "k 2"], "config": "f",
        }});
        let argv = read(&options).0.argv("h", "true");
        let wanted = ["-o", "User=ann", "-o", "Port=2222", "-o", "IdentityFile=k1"];
        let more = ["-o", "IdentityFile=k 2", "-F", "f", "--", "h", "true"];
        let wanted = [&wanted[..], &more].concat();
        assert_eq!(argv[argv.len() - wanted.len()..], wanted);
        assert!(argv.contains(&"BatchMode=yes".to_owned()));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (options, key) in [
            (json!({}), ""),
            (json!({"hosts": []}), "hosts"),
            (json!({"hosts": ["-oProxyCommand=evil"]}), "hosts"),
            (json!({"hosts": ["a*0"]}), "hosts"),
            (json!({"hosts": ["a b"]}), "hosts"),
            (json!({"hosts": "a", "host": "b"}), "host"),
            (json!({"hosts": "a", "stage_files": ["data"]}), "stage_files"),
            (json!({"hosts": "a", "stage": true, "stage_files": ["/data"]}), "stage_files"),
            (json!({"hosts": "a", "stage": true, "stage_files": ["a/../../b"]}), "stage_files"),
            (json!({"hosts": "a", "stage": true, "stage_files": [""]}), "stage_files"),
            (json!({"hosts": "a", "connect_options": {"password": "x"}}), "connect_options"),
            (json!({"hosts": "a", "connect_options": {"known_hosts": null}}), "connect_options"),
        ] {
            let found = read(&options).1;
            assert!(found.iter().any(|finding| finding.key == key), "{options}: {found:?}");
        }
    }

    #[test]
    fn visible_gpus_as_cuda_reads_them() {
        let list = |gpus: &[&str]| Some(gpus.iter().map(|gpu| (*gpu).to_owned()).collect());
        assert_eq!(visible_gpus(None), None);
        assert_eq!(visible_gpus(Some("")), list(&[]));
        assert_eq!(visible_gpus(Some("-1")), list(&[]));
        assert_eq!(visible_gpus(Some("2, 0,x,1")), list(&["2", "0"]));
        assert_eq!(visible_gpus(Some("GPU-ab,MIG-c/1/0")), list(&["GPU-ab", "MIG-c/1/0"]));
        assert_eq!(gpus("GPU-1\nGPU-2\n"), ["GPU-1", "GPU-2"]);
        assert_eq!(gpus("No devices were found\n"), [""; 0]);
    }
}
