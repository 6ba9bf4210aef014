//! A program that computes items: started in a [`Group`], fed and heard through pipes.

use std::io::{ErrorKind, Read, Result as IoResult, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::group::by_itself;
use super::{Group, NotStarted};
use crate::cluster::Reply;

/// So much of the end of stderr is kept for messages.
const COMPLAINT: usize = 2048;

/// A pipe that poll(2) calls writable takes so much without blocking, pipe(7).
const PIPE_BUF: usize = 4096;

/// More than a pipe holds of what a program left in it when it ended.
const LAST_READS: usize = 32;

/// Should a ring of the bell be lost, the program's end is noticed after so long.
const GLANCE: Duration = Duration::from_secs(1);

/// What was killed is gone after so long, or waits for a disk that is.
const BURIAL: Duration = Duration::from_secs(2);

/// A program that was started.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    status: Option<ExitStatus>,
    /// What it printed to stdout, for the caller to take.
    pub printed: Vec<u8>,
    complaint: Vec<u8>,
    buffer: Box<[u8; 1 << 16]>,
}

impl Program {
    /// Starts it in `group`, in this process's directory; `fed`: it reads what [`turn`](Self::turn)
    /// gives it.
    ///
    /// # Errors
    /// [`NotStarted`].
    pub(crate) fn start(argv: &[String], group: &Group, fed: bool) -> Result<Self> {
        let mut child = Command::new(&argv[0])
            .args(&argv[1..])
            .stdin(if fed { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(group.id())
            .spawn()
            .with_context(|| NotStarted::start(argv))?;
        Ok(Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            status: None,
            printed: Vec::new(),
            complaint: Vec::new(),
            buffer: Box::new([0; 1 << 16]),
        })
    }

    /// Waits until something happens, or until `until`: gives it of `input`, takes what it prints,
    /// passes its stderr on to this process's, and notices its end.
    pub(crate) fn turn(
        &mut self,
        group: &Group,
        input: &mut &[u8],
        until: Option<Instant>,
    ) -> IoResult<()> {
        let left = until.map_or(GLANCE, |until| until.saturating_duration_since(Instant::now()));
        // poll(2) counts in milliseconds; cut off, the last one would be spent in many turns.
        let wait = (left + Duration::from_micros(999)).min(GLANCE);
        let ready = self.poll(group, !input.is_empty(), wait)?;
        if ready.bell {
            group.hush();
        }
        self.take(&ready)?;
        if ready.stdin {
            self.feed(input)?;
        }
        if self.status.is_none() {
            self.status = self.child.try_wait()?.map(by_itself);
        }
        Ok(())
    }

    /// Takes what is there, and does not wait.
    pub(crate) fn look(&mut self, group: &Group) -> IoResult<()> {
        self.turn(group, &mut &[][..], Some(Instant::now()))
    }

    /// How it ended, if it has. What it printed to the last is taken then; what it left running may
    /// still hold the pipes, and is not waited for.
    pub(crate) fn ended(&mut self, group: &Group) -> IoResult<Option<ExitStatus>> {
        if self.status.is_some() {
            for _ in 0..LAST_READS {
                let ready = self.poll(group, false, Duration::ZERO)?;
                if !ready.stdout && !ready.stderr {
                    break;
                }
                self.take(&ready)?;
            }
        }
        Ok(self.status)
    }

    /// Whether nothing can be had from it any more, though it may live.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.stdin.is_none() || self.stdout.is_none()
    }

    /// Tells it that no more comes.
    pub(crate) fn close(&mut self) {
        self.stdin = None;
    }

    /// The end of what it wrote to stderr, or else of what it `printed`, on one line.
    pub(crate) fn complaint(&self, printed: &[u8]) -> String {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let start = printed.len().saturating_sub(COMPLAINT);
        let (stdout, stderr) = (text(&printed[start..]), text(&self.complaint));
        Reply { code: None, stdout, stderr }.complaint()
    }

    fn poll(&self, group: &Group, input: bool, wait: Duration) -> IoResult<Ready> {
        let stdin = self.stdin.as_ref().filter(|_| input).map(AsFd::as_fd);
        let stdout = self.stdout.as_ref().map(AsFd::as_fd);
        let stderr = self.stderr.as_ref().map(AsFd::as_fd);
        let sources = [Some(group.bell()), stdout, stderr, stdin];
        let wanted = [PollFlags::POLLIN, PollFlags::POLLIN, PollFlags::POLLIN, PollFlags::POLLOUT];
        let mut fds: Vec<PollFd<'_>> = sources
            .into_iter()
            .zip(wanted)
            .filter_map(|(fd, wanted)| Some(PollFd::new(fd?, wanted)))
            .collect();
        let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, wait) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Ready::default()),
            Err(error) => return Err(error.into()),
        }
        // What is not polled for has no place among `fds`.
        let mut answers = fds.iter().map(|fd| fd.any().unwrap_or(true));
        let mut ready = |asked: bool| asked && answers.next().unwrap_or(false);
        Ok(Ready {
            bell: ready(true),
            stdout: ready(stdout.is_some()),
            stderr: ready(stderr.is_some()),
            stdin: ready(stdin.is_some()),
        })
    }

    fn take(&mut self, ready: &Ready) -> IoResult<()> {
        if let Some(stdout) = self.stdout.as_mut().filter(|_| ready.stdout) {
            match read(stdout, &mut *self.buffer)? {
                Some(0) => self.stdout = None,
                n => self.printed.extend_from_slice(&self.buffer[..n.unwrap_or(0)]),
            }
        }
        if let Some(stderr) = self.stderr.as_mut().filter(|_| ready.stderr) {
            match read(stderr, &mut *self.buffer)? {
                Some(0) => self.stderr = None,
                n => {
                    let said = &self.buffer[..n.unwrap_or(0)];
                    // The log's disk may be full: no fault of the item.
                    let _ = std::io::stderr().write_all(said);
                    self.complaint.extend_from_slice(said);
                    let over = self.complaint.len().saturating_sub(COMPLAINT);
                    self.complaint.drain(..over);
                }
            }
        }
        Ok(())
    }

    fn feed(&mut self, input: &mut &[u8]) -> IoResult<()> {
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        match stdin.write(&input[..input.len().min(PIPE_BUF)]) {
            Ok(n) => *input = &input[n..],
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.stdin = None,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// After it was killed: waits for its end.
    pub(crate) fn bury(mut self) {
        let since = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && since.elapsed() < BURIAL {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Which pipes have something, or have ended.
#[derive(Default)]
struct Ready {
    bell: bool,
    stdout: bool,
    stderr: bool,
    stdin: bool,
}

/// `None`: it was interrupted.
fn read(from: &mut impl Read, buffer: &mut [u8]) -> IoResult<Option<usize>> {
    match from.read(buffer) {
        Ok(n) => Ok(Some(n)),
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}

/// How a process ended, in words.
pub(crate) fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => match signal_hook::low_level::signal_name(signal) {
            Some(name) => format!("signal {signal}, {name}"),
            None => format!("signal {signal}"),
        },
        (None, None) => "unknown".to_owned(),
    }
}

/// Whether there is such a program: a file by its path, else one of PATH.
pub(crate) fn is_there(program: &str) -> bool {
    let runs = |path: &Path| {
        path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return runs(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| runs(&folder.join(program)))
}
