//! What is on disk, and what each worker has in memory.

/// Enough to tell a part from the whole.
pub(crate) const ITEMS: usize = 2;

/// In a folder's name it stands for all workers whose process is gone: nothing tells them apart but
/// their names, and no two have one (`roster::reserve_name`).
pub(crate) const GONE: u8 = u8::MAX;

/// The name of a shard's folder, as `ShardState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    Todo,
    Claimed { attempt: u8, worker: u8 },
    Done,
}

/// A shard has one folder, ever: every change of state is a rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Folder {
    pub(crate) name: Name,
    /// How many lines of each item `results.jsonl` has.
    pub(crate) lines: [u8; ITEMS],
    /// What was on disk while its writer held the shard. No file says so: this is the proof's.
    pub(crate) durable: [bool; ITEMS],
    /// So is this: how often the folder was renamed to be done.
    pub(crate) commits: u8,
}

/// As `Claim`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Claim {
    pub(crate) shard: usize,
    /// `Claim::folder`.
    pub(crate) name: Name,
}

/// As `ShardWriter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Writer {
    pub(crate) claim: Claim,
    /// Whether the file it has open is the one in the folder: not after another's salvage.
    pub(crate) attached: bool,
    /// Items that were found or computed.
    pub(crate) settled: [bool; ITEMS],
    /// Those of them that are not in the file yet.
    pub(crate) buffer: [bool; ITEMS],
}

/// What the thread that computes is at, as in `worker::work_through`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Hand {
    Free,
    /// A rename was answered "no such file"; `claim::rename` looks for the target next.
    NoSuchFile(Claim),
    /// `ShardWriter::open`, before the old lines are read.
    Opening(Claim),
    /// `salvage`, between reading the old file and replacing it.
    Salvaging(Claim, [bool; ITEMS]),
    Working(Writer),
    /// Nothing is taken any more; the worker ends when its commit has.
    Leaving,
}

/// A process, at one of the places where a task keeps workers going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Worker<const S: usize> {
    /// A process that was stopped runs, too: it is one that does nothing for long.
    pub(crate) runs: bool,
    /// What `Queue` has of the last listing; entries that were tried are gone.
    pub(crate) listing: [Option<Name>; S],
    /// No shard was claimed since.
    pub(crate) listed: bool,
    /// `Queue::attempts`: its last attempt at each shard.
    pub(crate) attempts: [u8; S],
    pub(crate) hand: Hand,
    /// `InHand::commit`.
    pub(crate) committing: Option<Writer>,
}

impl<const S: usize> Worker<S> {
    pub(crate) fn new() -> Self {
        Self {
            runs: true,
            listing: [None; S],
            listed: false,
            attempts: [0; S],
            hand: Hand::Free,
            committing: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State<const W: usize, const S: usize> {
    pub(crate) folders: [Folder; S],
    pub(crate) workers: [Worker<S>; W],
    /// Whether `stop.json` is there.
    pub(crate) stop: bool,
    /// Whether a driver has said that the run is complete.
    pub(crate) said_complete: bool,
    /// How much may still go wrong.
    pub(crate) faults: u8,
}

impl<const W: usize, const S: usize> State<W, S> {
    pub(crate) fn new(faults: u8) -> Self {
        let folder =
            Folder { name: Name::Todo, lines: [0; ITEMS], durable: [false; ITEMS], commits: 0 };
        Self {
            folders: [folder; S],
            workers: [Worker::new(); W],
            stop: false,
            said_complete: false,
            faults,
        }
    }

    /// `roster::life` of whoever has the name, where nobody errs.
    pub(crate) fn is_dead(&self, name: u8) -> bool {
        self.workers.get(usize::from(name)).is_none_or(|worker| !worker.runs)
    }

    /// The process ends, with word or without; what is on disk stays. Its successor has another name.
    pub(crate) fn end(&mut self, w: usize) {
        self.workers[w] = Worker { runs: false, ..Worker::new() };
        let listed = self.workers.iter_mut().flat_map(|worker| worker.listing.iter_mut().flatten());
        for name in self.folders.iter_mut().map(|folder| &mut folder.name).chain(listed) {
            if let Name::Claimed { worker, .. } = name
                && *worker == w as u8
            {
                *worker = GONE;
            }
        }
    }

    /// Whether somebody who looks at the disk finds something to do.
    pub(crate) fn something_is_left(&self) -> bool {
        self.folders.iter().any(|folder| match folder.name {
            Name::Todo => true,
            Name::Claimed { worker, .. } => self.is_dead(worker),
            Name::Done => false,
        })
    }

    pub(crate) fn all_done(&self) -> bool {
        self.folders.iter().all(|folder| folder.name == Name::Done)
    }

    /// A rename that succeeds if the folder has that name.
    pub(crate) fn rename(&mut self, shard: usize, from: Name, to: Name) -> bool {
        let folder = &mut self.folders[shard];
        let there = folder.name == from;
        if there {
            folder.name = to;
            folder.commits += u8::from(to == Name::Done);
        }
        there
    }

    /// `ShardWriter::flush`: into the file that is open, wherever that is now.
    pub(crate) fn flush(&mut self, writer: &mut Writer) {
        let folder = &mut self.folders[writer.claim.shard];
        for item in (0..ITEMS).filter(|item| writer.buffer[*item] && writer.attached) {
            folder.lines[item] = (folder.lines[item] + 1).min(2);
            folder.durable[item] |= folder.name == writer.claim.name;
        }
        writer.buffer = [false; ITEMS];
    }

    /// A new file takes the old one's place: who has that one open writes into nothing.
    pub(crate) fn detach(&mut self, shard: usize) {
        for worker in &mut self.workers {
            let hand = match &mut worker.hand {
                Hand::Working(writer) => Some(writer),
                _ => None,
            };
            for writer in hand.into_iter().chain(&mut worker.committing) {
                writer.attached &= writer.claim.shard != shard;
            }
        }
    }
}
