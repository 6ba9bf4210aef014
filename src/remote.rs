//! A host that shares no file system with this one: one login, commands by way of it, and folders
//! copied with tar(1).

use std::cell::Cell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::cluster::Ssh;
use crate::launch::{Started, ask_in_a_row, terminate};

/// A login that takes longer has failed; ssh's own patience is less.
const LOGIN: Duration = Duration::from_secs(60);

/// The socket's path, and what ssh adds to it while it makes it, must fit into 107 bytes: unix(7).
const LONGEST: usize = 60;

/// A host that is logged in to.
pub(crate) struct Remote<'a> {
    ssh: Ssh,
    host: String,
    /// With the socket by which all commands go, and what the login says.
    login: TempDir,
    /// Ends with this process, and with it whatever goes by way of it.
    master: Started,
    /// Whether what is being done shall be left undone.
    halted: &'a dyn Fn() -> bool,
    /// When it shall be, once leaving has begun.
    leaving: Cell<Option<Instant>>,
}

impl<'a> Remote<'a> {
    /// Logs in.
    ///
    /// # Errors
    /// With ssh's words.
    pub(crate) fn log_in(ssh: Ssh, host: &str, halted: &'a dyn Fn() -> bool) -> Result<Self> {
        let login = private_folder().context("failed to make a folder for ssh's socket")?;
        let log = File::create(login.path().join("log"))?;
        let socket = login.path().join("s");
        // Reads from this process until that ends.
        let stay = ssh.argv_over(&text(&socket)?, true, host, "exec cat >/dev/null");
        let master = Started::start_on_a_lifeline(&stay, login.path(), &log)?;
        let leaving = Cell::new(None);
        let remote = Self { ssh, host: host.to_owned(), login, master, halted, leaving };
        let since = Instant::now();
        while !socket.exists() {
            if !remote.lives() {
                bail!("failed to log in to {host}: {}", remote.words());
            }
            if halted() || since.elapsed() > LOGIN {
                bail!("failed to log in to {host} within {} s", since.elapsed().as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(remote)
    }

    /// Whether the connection stands.
    pub(crate) fn lives(&self) -> bool {
        matches!(self.master.try_wait(), Ok(None))
    }

    /// What ssh said last of the connection.
    pub(crate) fn words(&self) -> String {
        let log = std::fs::read_to_string(self.login.path().join("log")).unwrap_or_default();
        let last = log.lines().rev().map(str::trim).find(|line| !line.is_empty());
        last.unwrap_or("ssh said nothing").to_owned()
    }

    /// From now on a signal ends nothing, but the time does.
    pub(crate) fn leave_within(&self, most: Duration) {
        self.leaving.set(Some(Instant::now() + most));
    }

    fn enough(&self) -> bool {
        self.leaving.get().map_or_else(self.halted, |end| Instant::now() > end)
    }

    fn argv(&self, script: &str) -> Result<Vec<String>> {
        let socket = text(&self.login.path().join("s"))?;
        // Whatever shell the user has there, this one is like ours.
        let command = format!("exec sh -c {}", quote(script));
        Ok(self.ssh.argv_over(&socket, false, &self.host, &command))
    }

    fn ask(&self, argvs: &[Vec<String>], what: &str) -> Result<String> {
        let reply = ask_in_a_row(argvs, self.login.path(), &|| self.enough())
            .with_context(|| format!("failed to {what} {}", self.host))?;
        if reply.code != Some(0) {
            bail!("failed to {what} {}: {}", self.host, reply.complaint());
        }
        Ok(reply.stdout)
    }

    /// Runs a script of one line there; what it printed.
    pub(crate) fn run(&self, script: &str) -> Result<String> {
        self.ask(&[self.argv(script)?], "give orders to")
    }

    /// Starts a script there that ends when this process does.
    pub(crate) fn start(&self, script: &str, log: &File) -> Result<Started> {
        Started::start_on_a_lifeline(&self.argv(script)?, self.login.path(), log)
    }

    /// Copies files and folders below `from` into a folder there, which is made; what links name,
    /// not the links. Then runs a script there; what it printed.
    pub(crate) fn send(
        &self,
        from: &Path,
        names: &[String],
        to: &str,
        then: &str,
    ) -> Result<String> {
        let from = text(&std::path::absolute(from)?)?;
        let mut pack = words(&["tar", "-C", &from, "-chf", "-", "--"]);
        pack.extend_from_slice(names);
        let unpack = format!("mkdir -p {0} && tar -C {0} -xof - && {then}", quote(to));
        self.ask(&[pack, self.argv(&unpack)?], "copy to")
    }

    /// Copies files and folders below a folder there into `to`.
    pub(crate) fn fetch(&self, from: &str, names: &[String], to: &Path) -> Result<()> {
        std::fs::create_dir_all(to).with_context(|| format!("failed to make {}", to.display()))?;
        let to = text(&std::path::absolute(to)?)?;
        let pack = format!("tar -C {} -cf - -- {}", quote(from), shell_words::join(names));
        let unpack = words(&["tar", "-C", &to, "-xof", "-"]);
        self.ask(&[self.argv(&pack)?, unpack], "copy from").map(|_| ())
    }
}

impl Drop for Remote<'_> {
    fn drop(&mut self) {
        self.master.stop();
        // It may still be logging in.
        terminate(self.master.pid);
        let _ = self.master.wait();
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A word for a shell.
pub(crate) fn quote(word: &str) -> String {
    shell_words::quote(word).into_owned()
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.to_owned())
}

fn private_folder() -> std::io::Result<TempDir> {
    let mut place = std::env::temp_dir();
    if place.as_os_str().len() > LONGEST {
        place = PathBuf::from("/tmp");
    }
    tempfile::Builder::new().prefix("espnet3-par.").tempdir_in(place)
}
