//! What is wrong with an utterance, in words that many share: for counting.

use std::fmt;
use std::io;

use anyhow::Error;

/// The kinds of fault. Those of audio that are not named in an error are found by [`Fault::of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    MalformedLine,
    DuplicateId,
    Command,
    NoRecording,
    MissingFile,
    Unreadable,
    Empty,
    NotAudio,
    Truncated,
    Damaged,
    BeyondTheEnd,
    WrongSampleRate,
    WrongNumChannels,
    TooShort,
    TooLong,
    NoAudio,
    NoTranscript,
    EmptyTranscript,
    TwoTranscripts,
    NoSpeaker,
    TwoSpeakers,
}

/// An error of a kind; it shows its message only.
#[derive(Debug)]
struct Faulty {
    fault: Fault,
    message: String,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Faulty {}

impl Fault {
    /// An error of this kind.
    pub(crate) fn is(self, message: impl Into<String>) -> Error {
        Faulty { fault: self, message: message.into() }.into()
    }

    /// The kind of an error that audio or a manifest's line gave.
    pub(crate) fn of(error: &Error, otherwise: Self) -> Self {
        if let Some(faulty) = error.downcast_ref::<Faulty>() {
            return faulty.fault;
        }
        match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::NotFound) => Self::MissingFile,
            Some(_) => Self::Unreadable,
            None => otherwise,
        }
    }

    const ALL: [Self; 21] = [
        Self::MalformedLine,
        Self::DuplicateId,
        Self::Command,
        Self::NoRecording,
        Self::MissingFile,
        Self::Unreadable,
        Self::Empty,
        Self::NotAudio,
        Self::Truncated,
        Self::Damaged,
        Self::BeyondTheEnd,
        Self::WrongSampleRate,
        Self::WrongNumChannels,
        Self::TooShort,
        Self::TooLong,
        Self::NoAudio,
        Self::NoTranscript,
        Self::EmptyTranscript,
        Self::TwoTranscripts,
        Self::NoSpeaker,
        Self::TwoSpeakers,
    ];

    /// In words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MalformedLine => "malformed line",
            Self::DuplicateId => "duplicate id",
            Self::Command => "command",
            Self::NoRecording => "no recording",
            Self::MissingFile => "missing file",
            Self::Unreadable => "unreadable",
            Self::Empty => "empty",
            Self::NotAudio => "not audio",
            Self::Truncated => "truncated",
            Self::Damaged => "damaged",
            Self::BeyondTheEnd => "beyond the end",
            Self::WrongSampleRate => "wrong sample rate",
            Self::WrongNumChannels => "wrong number of channels",
            Self::TooShort => "too short",
            Self::TooLong => "too long",
            Self::NoAudio => "no audio",
            Self::NoTranscript => "no transcript",
            Self::EmptyTranscript => "empty transcript",
            Self::TwoTranscripts => "two transcripts",
            Self::NoSpeaker => "no speaker",
            Self::TwoSpeakers => "two speakers",
        }
    }

    /// The kind with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn kinds_are_found_under_any_context() {
        let error = Fault::Truncated.is("ends early");
        assert_eq!(error.to_string(), "ends early");
        let error = Err::<(), _>(error).context("one").context("two").expect_err("is one");
        assert_eq!(Fault::of(&error, Fault::Damaged), Fault::Truncated);
        let missing = Error::from(io::Error::from(io::ErrorKind::NotFound)).context("failed");
        assert_eq!(Fault::of(&missing, Fault::Damaged), Fault::MissingFile);
        assert_eq!(Fault::of(&anyhow!("what"), Fault::Damaged), Fault::Damaged);
        for fault in Fault::ALL {
            assert_eq!(Fault::named(fault.name()), Some(fault));
        }
    }
}
