//! What can happen, and what the protocol would be without one of its rules.

/// One step. All but the last block are a worker's, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// `Queue::list`.
    List(usize),
    /// `Claim::take` of a shard that the listing shows to be nobody's.
    Claim(usize, usize),
    /// `Queue::inherit`: the same of a dead worker's.
    TakeOver(usize, usize),
    /// The end of `claim::rename` after "no such file".
    LookForTarget(usize),
    /// `salvage` reads the old lines.
    Open(usize),
    /// `salvage` puts a new file in place, and `ShardWriter::open` opens it.
    Replace(usize),
    /// `ShardWork::settle`, one item.
    Compute(usize),
    /// `ShardWriter::flush`, by whichever thread.
    Flush(usize),
    /// `InHand::commit`.
    Commit(usize),
    /// `ShardWriter::commit`, up to its rename.
    CommitFlush(usize),
    /// `Claim::commit`.
    CommitRename(usize),
    /// A signal, a time limit, a stop request, word of its own death: `Vigil::leave`.
    Leave(usize),
    /// `Queue::next` found nothing.
    Finish(usize),
    /// `worker::work` notes how it ended.
    End(usize),

    /// The rename of a claim is done, and answered "no such file".
    ClaimLosesReply(usize, usize),
    /// The same of a take-over.
    TakeOverLosesReply(usize, usize),
    /// Each shard with its bit set is listed as it was at first, nobody's.
    ListingLags(usize, u8),
    Crash(usize),
    /// `cancel`.
    Stop,

    /// A task, or the next `run`, starts another worker in a place.
    Restart(usize),
    /// `Stop::withdraw`, by the next `run`.
    Withdraw,
    /// `Survey::look`; a shard with its bit set was renamed while the listing ran, and not seen.
    DriverLooks(u8),
}

/// What the protocol would be without one of its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Without {
    Nothing,
    /// A claimed folder's name has the attempt in it only.
    WorkerInName,
    /// A worker that gets a shard back from nobody calls it its first attempt again.
    AttemptsCounted,
    /// What a listing shows is believed: whatever the folder is called by now is taken.
    SourceOfRename,
    /// The shard of a dead worker is opened where it is.
    RenameAtTakeOver,
    /// A commit renames the folder whatever it is called by now.
    CheckAtCommit,
    /// Records are brought to disk after the commit.
    FlushBeforeCommit,
    /// The heir appends to the file that it finds.
    NewFileAtOpen,
    /// The heir begins with an empty file.
    Salvage,
    /// A shard that a listing leaves out is taken for done.
    UnseenIsUnknown,
    /// Only who left word is dead.
    Leases,
}
