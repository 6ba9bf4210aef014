//! A process group for the programs that compute items, which does not outlive this process.

use std::collections::BTreeSet;
use std::io::{PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use signal_hook::SigId;
use signal_hook::consts::SIGCHLD;

use super::NotStarted;

/// The keeper: leads the group and reads from a lifeline. When that ends, this process is gone,
/// whatever it died of; the keeper removes the folder it was told of, and kills the whole group.
const KEEPER: &str = "trap '' HUP INT QUIT TERM USR1 USR2; read -r line; \
                      kill -TERM 0; rm -rf -- ${1:+\"$1\"}; kill -KILL 0";

/// A process group with its keeper. All that is in it is killed when this is dropped.
pub(crate) struct Group {
    keeper: Child,
    _lifeline: PipeWriter,
    kept: bool,
    bell: UnixStream,
    ringing: SigId,
}

/// The groups of this process.
static ALL: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Set when all of them are killed.
static OVER: AtomicBool = AtomicBool::new(false);

/// Kills all groups of this process, which is about to end: nothing that it computes goes on.
pub(crate) fn kill_all_groups() {
    OVER.store(true, Ordering::SeqCst);
    for group in ALL.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let _ = killpg(Pid::from_raw(*group), Signal::SIGKILL);
    }
}

/// Who ends a job signals its processes one after another, this one perhaps the last: it would take
/// what is meant for all for one program's own end.
const COMPANY: Duration = Duration::from_millis(300);

/// How a program ended that computed an item. Where a signal did it, this process lives to tell only if the
/// signal was not for it too.
pub(super) fn by_itself(status: ExitStatus) -> ExitStatus {
    // Above 128: a shell's word for a signal.
    if status.code().is_none_or(|code| code > 128) {
        std::thread::sleep(COMPANY);
    }
    status
}

impl Group {
    /// Starts the keeper of a new group; `scratch` is a folder that goes with the group.
    ///
    /// # Errors
    /// When there is no shell, or no process or file can be had.
    pub(crate) fn start(scratch: Option<&Path>) -> Result<Self> {
        let argv = ["sh", "-c", KEEPER, "keeper"];
        let what = || NotStarted::start(&["sh".to_owned()]);
        let (reader, lifeline) = std::io::pipe().with_context(what)?;
        let (bell, striker) = UnixStream::pair().with_context(what)?;
        bell.set_nonblocking(true).with_context(what)?;
        let ringing =
            signal_hook::low_level::pipe::register(SIGCHLD, striker).with_context(what)?;
        let keeper = Command::new(argv[0])
            .args(&argv[1..])
            .args(scratch)
            .stdin(reader)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(what);
        match keeper {
            Ok(keeper) => {
                let group = keeper.id().cast_signed();
                ALL.lock().unwrap_or_else(PoisonError::into_inner).insert(group);
                Ok(Self { keeper, _lifeline: lifeline, kept: true, bell, ringing })
            }
            Err(error) => {
                signal_hook::low_level::unregister(ringing);
                Err(error)
            }
        }
    }

    /// Its number, for those who join.
    pub(super) fn id(&self) -> i32 {
        self.keeper.id().cast_signed()
    }

    /// Whether its keeper lives; without one the group would outlive this process.
    pub(crate) fn is_kept(&self) -> bool {
        // It is not waited for: while it is a zombie, the group's number is nobody else's.
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        waitid(Id::Pid(Pid::from_raw(self.id())), look) == Ok(WaitStatus::StillAlive)
    }

    /// Readable when a child of this process has ended since [`hush`](Self::hush).
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    pub(super) fn hush(&self) {
        let mut rings = [0; 64];
        while matches!((&self.bell).read(&mut rings), Ok(n) if n == rings.len()) {}
    }

    /// Kills all that is in it, the keeper too.
    pub(crate) fn kill(&self) {
        let _ = killpg(Pid::from_raw(self.id()), Signal::SIGKILL);
    }

    /// Leaves what is in it alone from now on. Does not return where this process is about to end: what
    /// was in the group was killed, and nobody is to be told that it ended.
    pub(super) fn let_go(mut self) {
        while OVER.load(Ordering::SeqCst) {
            std::thread::park();
        }
        let _ = self.keeper.kill();
        self.kept = false;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // While its keeper is not waited for, its number is nobody else's.
        ALL.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id());
        if self.kept {
            self.kill();
        }
        let _ = self.keeper.wait();
        signal_hook::low_level::unregister(self.ringing);
    }
}
