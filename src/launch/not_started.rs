//! What to say when another program cannot be had.

use crate::cluster::Reply;

/// A program could not be started, or a scheduler did not do as it was told.
#[derive(Debug)]
pub(crate) struct NotStarted {
    message: String,
    /// What to do next.
    pub hint: &'static str,
}

impl NotStarted {
    pub(super) fn start(argv: &[String]) -> Self {
        let message = format!("failed to start `{}`", shell_words::join(argv));
        Self { message, hint: "is it installed here, and on PATH?" }
    }

    /// No host could be reached.
    pub(crate) fn unreachable(hosts: &[String]) -> Self {
        let message = format!("failed to start workers on any host\n  {}", hosts.join("\n  "));
        Self { message, hint: "`ssh HOST true` must work by itself, without a password" }
    }

    /// A job was not taken.
    pub(crate) fn not_taken(argv: &[String], reply: &Reply) -> Self {
        let hint = "`espnet3-par check` shows what is submitted; set that right and run again";
        Self { message: Self::refused("submit", argv, reply), hint }
    }

    /// Jobs were not ended.
    pub(crate) fn not_cancelled(argv: &[String], reply: &Reply) -> Self {
        let hint = "try again, or end the jobs with the scheduler's own command";
        Self { message: Self::refused("cancel", argv, reply), hint }
    }

    /// A command that was started and failed, in its own words.
    fn refused(verb: &str, argv: &[String], reply: &Reply) -> String {
        let command = shell_words::join(argv);
        let code = match reply.code {
            Some(0) => "no job id in its reply".to_owned(),
            Some(code) => format!("exit code {code}"),
            None => "ended by a signal".to_owned(),
        };
        format!("failed to {verb} with `{command}`: {code}: {}", reply.complaint())
    }
}

impl std::fmt::Display for NotStarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for NotStarted {}
