//! Errors with a way out: a request that will not be carried out as it is, where nothing is broken
//! and the user must choose; and a run directory that is damaged.

use std::fmt;

/// What is refused, and what to do instead. On the command line it is exit code 2.
#[derive(Debug)]
pub(crate) struct Refused {
    message: String,
    pub hint: String,
}

impl Refused {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// What is on disk is not what it should be. On the command line it is exit code 5.
#[derive(Debug)]
pub(crate) struct Damaged {
    message: String,
    /// How it can be made good.
    pub hint: String,
}

impl Damaged {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Damaged {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}
