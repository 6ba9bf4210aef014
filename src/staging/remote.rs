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

/// In the folder of a login: the socket, and what the shell and ssh say.
const SOCKET: &str = "s";
const SAID: &str = "said";

/// What the shell says when a script has ended, before the script's number and its exit code.
const ENDED: &str = "espnet3-par-ended";

/// Between two looks for what it says.
const GLANCE: Duration = Duration::from_millis(5);

/// A host that is logged in to.
pub(crate) struct Remote<'a> {
    ssh: Ssh,
    host: String,
    /// With the socket by which all commands go, and what the login says.
    login: TempDir,
    /// A shell there. It ends with this process, and with it whatever goes by way of its login.
    master: Started,
    /// How many scripts it was given.
    asked: Cell<u64>,
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
        let log = File::options().create(true).append(true).open(login.path().join(SAID))?;
        let socket = login.path().join(SOCKET);
        // One shell for all scripts: the user's own may take long to start. It reads from this
        // process until that ends.
        let stay = ssh.argv_over(&text(&socket)?, true, host, "exec sh");
        let master = Started::start_on_a_lifeline(&stay, login.path(), &log)?;
        let (leaving, asked) = (Cell::new(None), Cell::new(0));
        let remote = Self { ssh, host: host.to_owned(), login, master, asked, halted, leaving };
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
        last_line(&self.said()).unwrap_or("ssh said nothing").to_owned()
    }

    fn said(&self) -> String {
        let said = std::fs::read(self.login.path().join(SAID)).unwrap_or_default();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// From now on a signal ends nothing, but the time does.
    pub(crate) fn leave_within(&self, most: Duration) {
        self.leaving.set(Some(Instant::now() + most));
    }

    fn enough(&self) -> bool {
        self.leaving.get().map_or_else(self.halted, |end| Instant::now() > end)
    }

    fn argv(&self, script: &str) -> Result<Vec<String>> {
        let socket = text(&self.login.path().join(SOCKET))?;
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

    /// Runs a script there; what it printed.
    pub(crate) fn run(&self, script: &str) -> Result<String> {
        let number = self.asked.get() + 1;
        if answer(&self.said(), self.asked.get()).is_some() {
            File::options().write(true).open(self.login.path().join(SAID))?.set_len(0)?;
        }
        self.asked.set(number);
        let failed = || format!("failed to give orders to {}", self.host);
        self.master
            .tell(&format!("( {script} ) </dev/null; code=$?; echo; echo {ENDED} {number} $code\n"))
            .with_context(failed)?;
        loop {
            // In this order: the last words of a login that has ended are complete.
            let lives = self.lives();
            let said = self.said();
            match answer(&said, number) {
                Some((printed, "0")) => return Ok(printed.to_owned()),
                Some((printed, code)) => {
                    let words = last_line(printed)
                        .map_or_else(|| format!("exit code {code}"), str::to_owned);
                    return Err(anyhow::anyhow!(words)).with_context(failed);
                }
                None if !lives => return Err(anyhow::anyhow!(self.words())).with_context(failed),
                None if self.enough() => {
                    return Err(anyhow::anyhow!("interrupted")).with_context(failed);
                }
                None => std::thread::sleep(GLANCE),
            }
        }
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

/// What the shell said before it said that a script has ended, and the exit code.
fn answer(said: &str, number: u64) -> Option<(&str, &str)> {
    // Line by line: a script that was given up may end late.
    let (printed, rest) = said.split_once(&format!("\n{ENDED} {number} "))?;
    let (code, _) = rest.split_once('\n')?;
    let start = printed.rfind(&format!("\n{ENDED} ")).map_or(0, |start| start + 1);
    Some((&printed[start..], code))
}

/// The last line that is not blank.
pub(crate) fn last_line(text: &str) -> Option<&str> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_was_said_since_the_last_one() {
        let said = format!("Welcome\nat:/home\n\n{ENDED} 1 0\nsplit.1\n\n{ENDED} 2 127\nhalf");
        assert_eq!(answer(&said, 1), Some(("Welcome\nat:/home\n", "0")));
        let (printed, code) = answer(&said, 2).expect("an answer");
        assert!(printed.ends_with("\nsplit.1\n") && !printed.contains("at:"));
        assert_eq!((code, answer(&said, 3)), ("127", None));
        assert_eq!(answer(&format!("x\n{ENDED} 3 "), 3), None);
    }
}
