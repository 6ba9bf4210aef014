//! A Python process, asked one thing at a time.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::answer::Answer;
use crate::launch::{Fed, Said};

/// What runs in it.
const SOURCE: &str = include_str!("child.py");

/// Reads the rest of the program from the pipe: `ps` shows this line and not all of it.
const START: &str = "import os, sys
size = int(os.read(3, 20)); code = b''
while len(code) < size: code += os.read(3, size - len(code)) or sys.exit()
exec(compile(code, 'espnet3_par_child.py', 'exec'))";

/// Where there is no limit, each wait is this long.
const WHILE: Duration = Duration::from_secs(3600);

/// So much of what a process said before it died is shown.
const LAST_WORDS: u64 = 2000;

/// A Python process.
pub(super) struct Child {
    fed: Fed,
    log: Option<File>,
}

/// What a request came to.
pub(super) enum Reply {
    Ok(Value),
    /// An exception, and the way to it.
    Failed(String),
    /// The process is dead.
    Died(String),
}

impl Child {
    /// Starts a process that ends when it has not been asked for `patience`, or else with this one.
    /// Its output goes where ours goes, or with `quiet` nowhere, unless it dies.
    ///
    /// # Errors
    /// When the interpreter is not there.
    pub(super) fn start(python: &str, patience: Option<Duration>, quiet: bool) -> Result<Self> {
        let log = quiet.then(tempfile::tempfile).transpose().context("failed to make a file")?;
        let patience = patience.map(|patience| patience.as_secs());
        let arguments = json!({"patience": patience}).to_string();
        let argv = [python, "-c", START, &arguments].map(str::to_owned);
        let mut fed = Fed::start(&argv, log.as_ref())?;
        fed.tell(format!("{:<20}{SOURCE}", SOURCE.len()).as_bytes());
        Ok(Self { fed, log })
    }

    /// Sends a request and waits for what comes of it, however long, or until `limit`: then the process
    /// is killed.
    pub(super) fn ask(&mut self, request: &Value, limit: Option<Duration>) -> Result<Reply> {
        self.tell(request);
        loop {
            match self.listen(limit.unwrap_or(WHILE))? {
                Said::Nothing if limit.is_some() => {
                    self.kill();
                    return Ok(Reply::Died("it took longer than item_timeout".to_owned()));
                }
                Said::Nothing => {}
                Said::Ended(how) => return Ok(Reply::Died(how + &self.last_words())),
                Said::Message(message) => {
                    let (answer, _) = Answer::parse(&message)?;
                    return match (answer.ok, answer.failed) {
                        (Some((value,)), None) => Ok(Reply::Ok(value)),
                        (None, Some(why)) => Ok(Reply::Failed(why)),
                        _ => bail!("the Python process answered what was not asked"),
                    };
                }
            }
        }
    }

    pub(super) fn tell(&mut self, request: &Value) {
        let mut line = request.to_string();
        line.push('\n');
        self.fed.tell(line.as_bytes());
    }

    pub(super) fn listen(&self, most: Duration) -> Result<Said> {
        self.fed.listen(most)
    }

    /// The item it is at, or was at when it died.
    pub(super) fn at_hand(&self) -> Result<Option<u64>> {
        Ok(u64::try_from(self.fed.shared()?).ok())
    }

    pub(super) fn kill(&self) {
        self.fed.kill();
    }

    /// What it said last, where that is not in a log.
    fn last_words(&self) -> String {
        let read = |mut log: &File| {
            let length = log.metadata()?.len();
            log.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS)))?;
            let mut bytes = Vec::new();
            log.read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        match self.log.as_ref().map(read) {
            Some(Ok(words)) if !words.is_empty() => format!("\n{words}"),
            _ => String::new(),
        }
    }
}
