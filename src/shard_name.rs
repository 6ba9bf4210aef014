//! A shard's folder: its name is its state (`docs/run_directory.md`).

use std::fmt;

/// The state of a shard, as its folder's name tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ShardState {
    /// Nobody's yet, or given back.
    Todo,
    /// Claimed: which attempt it is, and by which worker.
    Claimed { attempt: u32, worker: String },
    /// Committed.
    Done,
}

/// A shard's folder: `split.K` and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShardName {
    pub shard: usize,
    pub state: ShardState,
}

impl ShardName {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix("split.")?.splitn(3, '.');
        let shard = parts.next()?.parse().ok()?;
        let state = match (parts.next(), parts.next()) {
            (None, _) => ShardState::Done,
            (Some("todo"), None) => ShardState::Todo,
            (Some(attempt), Some(worker)) => {
                ShardState::Claimed { attempt: attempt.parse().ok()?, worker: worker.to_owned() }
            }
            _ => return None,
        };
        // `split.07` is no shard: two folders would be the same one.
        Some(Self { shard, state }).filter(|parsed| parsed.to_string() == name)
    }
}

impl fmt::Display for ShardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            ShardState::Todo => write!(f, "split.{}.todo", self.shard),
            ShardState::Claimed { attempt, worker } => {
                write!(f, "split.{}.{attempt}.{worker}", self.shard)
            }
            ShardState::Done => write!(f, "split.{}", self.shard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_states_and_back() {
        for (name, state) in [
            ("split.7", ShardState::Done),
            ("split.7.todo", ShardState::Todo),
            ("split.7.12.w0c41", ShardState::Claimed { attempt: 12, worker: "w0c41".into() }),
        ] {
            let parsed = ShardName::parse(name).expect(name);
            assert_eq!(parsed, ShardName { shard: 7, state });
            assert_eq!(parsed.to_string(), name);
        }
    }

    #[test]
    fn other_names_are_no_shards() {
        for name in [
            "split",
            "split.",
            "split.x",
            "split.1.done",
            "split.1.2",
            ".DS_Store",
            "7",
            "split.07",
            "split.+7",
        ] {
            assert_eq!(ShardName::parse(name), None, "{name}");
        }
    }
}
