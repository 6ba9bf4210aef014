//! What Kaldi's options and scripts are in a scheduler's words, for the command `queue`.

use serde_json::Value;

/// One scheduler, as Kaldi's recipes know it.
pub(crate) struct Kaldi {
    /// The conf that Kaldi's script for it reads.
    pub conf: Option<&'static str>,
    /// The program that such a conf names; none: no conf fits it.
    pub program: Option<&'static str>,
    /// The line that gives a job the caller's PATH, without which a recipe finds nothing; it stands in
    /// queue.pl's own conf, too.
    pub path: Option<&'static str>,
    /// Whether `-q all.q` and the like can be a directive.
    pub directives: bool,
    /// How to ask for so many GPUs for each job.
    pub gpus: fn(u32) -> Gpus,
}

/// A request for GPUs.
pub(crate) enum Gpus {
    Directive(String),
    /// An option of `parallel.options`, dotted, and its value.
    Option(&'static str, Value),
    /// Every site has its own words: what the user writes, unless it is in `resource_spec`.
    Write(String),
}

/// What Torque and Moab have in common.
pub(super) fn nodes_with_gpus(gpus: u32) -> Gpus {
    Gpus::Write(format!(
        "`resource_spec: nodes=1:ppn=1:gpus={gpus}` in the options of `--parallel`"
    ))
}
