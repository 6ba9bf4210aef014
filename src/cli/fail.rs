//! How a command ends: its exit code, and what it says when it fails.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{Stdout, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::collect::Incomplete;
use crate::config::Diagnostics;
use crate::launch::NotStarted;
use crate::refused::{Damaged, Refused};

/// Writes a line to stdout. A reader that has gone away, `head` say, is an error like any other here.
pub(super) fn say(line: impl std::fmt::Display) -> Result<(), Fail> {
    Ok(writeln!(std::io::stdout(), "{}", shown(&line.to_string()))?)
}

/// Stdout, for what is wanted for itself. That it is closed is an error: Rust opens /dev/null in its
/// place, and all would be lost without a word.
pub(super) fn open_stdout() -> Result<Stdout, Fail> {
    let stdout = std::io::stdout();
    let null = || -> std::io::Result<bool> {
        let out = File::from(stdout.as_fd().try_clone_to_owned()?).metadata()?;
        Ok(out.rdev() == fs::metadata("/dev/null")?.rdev())
    };
    // A shell opens /dev/null for writing alone; Rust opens it for both. So does Python's DEVNULL, so this is
    // not asked where the exit code is wanted, too.
    let flags = fcntl(&stdout, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
    let both = flags.is_ok_and(|flags| flags & OFlag::O_ACCMODE == OFlag::O_RDWR);
    if both && null().unwrap_or(false) {
        return Err(anyhow::anyhow!("stdout is closed: what is written there would be lost").into());
    }
    Ok(stdout)
}

/// Writes a line to stderr. Where nobody can read it any more, there is nobody to tell.
pub(super) fn tell(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{}", shown(&line.to_string()));
}

/// Text as a terminal may have it: what files and other programs say is not to move the cursor,
/// set the title or worse.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    // Those that turn the direction of what comes after them have it read as something else.
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let harmless = |c: char| !c.is_control() && !turns(c) || matches!(c, '\n' | '\t');
    if text.chars().all(harmless) {
        return text.into();
    }
    let shown = |c: char| if harmless(c) { c.to_string() } else { c.escape_default().to_string() };
    text.chars().map(shown).collect::<String>().into()
}

/// A path as a word for a shell.
pub(super) fn quoted(path: &Path) -> String {
    shell_words::quote(&path.to_string_lossy()).into_owned()
}

/// The exit codes; `--help` documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Done = 0,
    SomeFailed = 1,
    BadConfig = 2,
    Incomplete = 3,
    Scheduler = 4,
    Other = 5,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error, what to do next, and the exit code.
pub(super) struct Fail {
    exit: Exit,
    error: anyhow::Error,
    hint: Option<String>,
}

impl Fail {
    /// Says it on stderr.
    pub(super) fn print(self) -> Exit {
        if let Some(pipe) = self.error.downcast_ref::<std::io::Error>()
            && pipe.kind() == std::io::ErrorKind::BrokenPipe
        {
            // The reader, `head` say, has what it wanted.
            return Exit::Done;
        }
        if let Some(diagnostics) = self.error.downcast_ref::<Diagnostics>() {
            tell(format!("{diagnostics}"));
            return self.exit;
        }
        let error = console::style("error:").red().bold().for_stderr();
        let _ = writeln!(std::io::stderr(), "{error} {}", shown(&format!("{:#}", self.error)));
        if let Some(hint) = self.hint {
            tell(format!("\nhint: {hint}"));
        }
        self.exit
    }
}

impl From<Diagnostics> for Fail {
    fn from(diagnostics: Diagnostics) -> Self {
        Self { exit: Exit::BadConfig, error: diagnostics.into(), hint: None }
    }
}

impl From<Refused> for Fail {
    fn from(refused: Refused) -> Self {
        anyhow::Error::from(refused).into()
    }
}

impl From<std::io::Error> for Fail {
    fn from(error: std::io::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<anyhow::Error> for Fail {
    fn from(error: anyhow::Error) -> Self {
        let (exit, hint) = if let Some(refused) = error.downcast_ref::<Refused>() {
            (Exit::BadConfig, Some(refused.hint.clone()))
        } else if let Some(damaged) = error.downcast_ref::<Damaged>() {
            (Exit::Other, Some(damaged.hint.clone()))
        } else if let Some(not_started) = error.downcast_ref::<NotStarted>() {
            (Exit::Scheduler, Some(not_started.hint.to_owned()))
        } else if error.is::<Incomplete>() {
            let ways =
                "run the same config again to resume, or take what is there with `--partial`";
            (Exit::Incomplete, Some(ways.to_owned()))
        } else {
            (Exit::Other, None)
        };
        Self { exit, error, hint }
    }
}
