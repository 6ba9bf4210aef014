//! A program that is fed through pipes of its own, and answers with messages: eight bytes that tell how
//! long it is, little end first, and the message.

use std::fs::File;
use std::io::{self, BufReader, PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use command_fds::{CommandFdExt, FdMapping};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{Group, NotStarted, told};

/// The program's ends: what it reads, where it answers, and a page of memory that both see.
const REQUESTS: i32 = 3;
const ANSWERS: i32 = 4;
const SHARED: i32 = 5;

/// Messages that may wait to be looked at; a program with more to say waits itself.
const AHEAD: usize = 4;

/// As large as a pipe may be without privileges (pipe(7)).
const PIPE: i32 = 1 << 20;

/// At least so often it is seen whether the program still lives. A process that it has forked may
/// hold its pipes, and then their end says nothing.
const GLANCE: Duration = Duration::from_millis(200);

/// Whoever was asked to end and has not after so long is killed.
const FAREWELL: Duration = Duration::from_secs(2);

/// A program that runs. It is killed, with all that is in its process group, when this is dropped.
pub(crate) struct Fed {
    handle: duct::Handle,
    requests: Option<PipeWriter>,
    answers: Receiver<Vec<u8>>,
    shared: File,
    /// All that it starts is in it too, and ends with this process.
    group: Group,
}

/// What came from a fed program.
pub(crate) enum Said {
    Message(Vec<u8>),
    /// Nothing in this while.
    Nothing,
    /// It has ended, and this is how.
    Ended(String),
}

impl Fed {
    /// Starts a program, which reads from file descriptor 3, answers on 4, and finds at 5 a page of
    /// memory that [`shared`](Self::shared) sees too. Its other output goes to `log`, or to where this
    /// process' goes.
    ///
    /// # Errors
    /// [`NotStarted`] when it is not there.
    pub(crate) fn start(argv: &[String], log: Option<&File>) -> Result<Self> {
        // Not all of it: it may be a long one.
        let what = || NotStarted::start(&argv[..1]);
        let (theirs_to_read, requests) = io::pipe().with_context(what)?;
        let (answers, theirs_to_write) = io::pipe().with_context(what)?;
        // Fewer turns to wait for each other; where it is not allowed, the usual size will do.
        let _ = fcntl(&answers, FcntlArg::F_SETPIPE_SZ(PIPE));
        let shared: File =
            memfd_create(c"at hand", MFdFlags::MFD_CLOEXEC).with_context(what)?.into();
        // One page of any machine.
        shared.set_len(1 << 16).with_context(what)?;
        let ends: [(OwnedFd, i32); 3] = [
            (theirs_to_read.into(), REQUESTS),
            (theirs_to_write.into(), ANSWERS),
            (shared.try_clone().with_context(what)?.into(), SHARED),
        ];
        let group = Group::start(None)?;
        let leader = group.id();
        let ends = std::sync::Mutex::new(Some(ends));
        let mut command = duct::cmd(&argv[0], &argv[1..]).stdin_null().unchecked();
        command = match log {
            Some(log) => command.stdout_file(log.try_clone()?).stderr_file(log.try_clone()?),
            // Its stdout is not ours: what we print there is for programs.
            None => command.stdout_to_stderr(),
        };
        let handle = command
            .before_spawn(move |command| {
                let ends = ends.lock().ok().and_then(|mut ends| ends.take()).into_iter().flatten();
                let mappings = ends.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
                command.fd_mappings(mappings.collect()).map_err(io::Error::other)?;
                command.process_group(leader);
                Ok(())
            })
            .start()
            .with_context(what)?;
        let (sender, receiver) = sync_channel(AHEAD);
        std::thread::spawn(move || listen(answers, &sender));
        Ok(Self { handle, requests: Some(requests), answers: receiver, shared, group })
    }

    /// Writes to it. When it is dead that is no error: what comes next says so.
    pub(crate) fn tell(&mut self, bytes: &[u8]) {
        if let Some(requests) = &mut self.requests
            && requests.write_all(bytes).is_err()
        {
            self.requests = None;
        }
    }

    /// The next message, if it comes in this while.
    pub(crate) fn listen(&self, most: Duration) -> Result<Said> {
        let end = Instant::now() + most;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.answers.recv_timeout(left.min(GLANCE)) {
                Ok(message) => return Ok(Said::Message(message)),
                Err(RecvTimeoutError::Disconnected) => return self.ended(),
                Err(RecvTimeoutError::Timeout) => {
                    if self.handle.try_wait()?.is_some() {
                        // It may have said something between the two looks.
                        return match self.answers.recv_timeout(GLANCE) {
                            Ok(message) => Ok(Said::Message(message)),
                            Err(_) => self.ended(),
                        };
                    }
                    if left <= GLANCE {
                        return Ok(Said::Nothing);
                    }
                }
            }
        }
    }

    /// The number at the start of the shared page.
    pub(crate) fn shared(&self) -> Result<i64> {
        let mut bytes = [0; 8];
        self.shared.read_exact_at(&mut bytes, 0).context("failed to read shared memory")?;
        Ok(i64::from_ne_bytes(bytes))
    }

    fn ended(&self) -> Result<Said> {
        if self.handle.wait_timeout(FAREWELL)?.is_none() {
            self.kill();
        }
        Ok(Said::Ended(told(self.handle.wait()?.status)))
    }

    /// Ends it and all that it has started, without asking.
    pub(crate) fn kill(&self) {
        self.group.kill();
        // It may have left the group.
        let _ = self.handle.kill();
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        // The end of its input asks it to end.
        self.requests = None;
        let _ = self.handle.wait_timeout(FAREWELL);
        self.kill();
        let _ = self.handle.wait();
    }
}

fn listen(answers: PipeReader, sender: &SyncSender<Vec<u8>>) {
    let mut answers = BufReader::with_capacity(1 << 16, answers);
    loop {
        let mut length = [0; 8];
        let mut message = Vec::new();
        let read = answers.read_exact(&mut length).and_then(|()| {
            let length = u64::from_le_bytes(length);
            // Grown as it comes: a length may be wrong.
            answers
                .by_ref()
                .take(length)
                .read_to_end(&mut message)
                .map(|read| read as u64 == length)
        });
        // A message without its end is a dying program's.
        if !matches!(read, Ok(true)) || sender.send(message).is_err() {
            return;
        }
    }
}
