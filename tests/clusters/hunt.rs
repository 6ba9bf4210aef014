//! Random kills of workers, tasks and drivers, on a real Slurm and on real hosts.

use std::time::Duration;

use crate::common::hunt::{hunt, kills};
use crate::common::recipe::Recipe;
use crate::slurm::section;
use crate::ssh::section as ssh_section;

/// A scheduler takes seconds to start what is submitted again: fewer kills find as much time at work.
const PAUSE: Duration = Duration::from_secs(1);

fn hunted(section: &str) {
    let wanted = kills(20);
    let config = format!("toy: {{n: 600, sleep_ms: 20, files: true}}\n{section}");
    let tally = hunt(wanted, PAUSE, false, || Recipe::new(&config));
    assert!(tally.kills >= wanted, "{tally:?}");
}

#[test]
#[ignore = "needs a real Slurm of its own"]
fn nothing_lost_on_slurm() {
    hunted(&section(6, ""));
}

#[test]
#[ignore = "needs real hosts of its own"]
fn nothing_lost_on_hosts() {
    hunted(&ssh_section("[h1, h2, h3]", 6));
}
