//! What was on disk once stays there, and is not computed again.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::disk::{forwards, recorded};

/// A listing that races with renames may miss a shard; not so often in a row.
const LOOKS: u32 = 20;

/// What was on disk at the last look, and who had worked until then.
#[derive(Default)]
pub(crate) struct Kept {
    items: BTreeSet<u64>,
    workers: BTreeSet<String>,
}

impl Kept {
    /// What there is now.
    pub(crate) fn now(root: &Path) -> Self {
        Self { items: recorded(root), workers: forwards(root).into_keys().collect() }
    }

    /// What was on disk is still there, and nobody who came later computed it again.
    pub(crate) fn check(&mut self, root: &Path) {
        let mut items = recorded(root);
        for _ in 1..LOOKS {
            if self.items.is_subset(&items) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
            items = recorded(root);
        }
        let lost: Vec<_> = self.items.difference(&items).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
        // Read last: what is on disk above may be by anybody who has a log now.
        let forwards = forwards(root);
        for (worker, computed) in &forwards {
            let again: Vec<_> = computed.iter().filter(|idx| self.items.contains(idx)).collect();
            assert!(
                self.workers.contains(worker) || again.is_empty(),
                "{worker} computed {again:?} again"
            );
        }
        *self = Self { items, workers: forwards.into_keys().collect() };
    }
}
