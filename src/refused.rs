//! A request that will not be carried out as it is: nothing is broken, the user must choose.

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

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}
