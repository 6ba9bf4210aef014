//! What is odd about the options of a cluster, before anybody knows in which line they stand.

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It cannot be meant.
    Error,
    /// It may not do what was meant.
    Warning,
    /// It does nothing, and need not.
    Note,
}

/// Something about one key of `parallel.options`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub weight: Weight,
    /// The key; empty for the options as a whole.
    pub key: String,
    /// Whether the value is meant, not the key.
    pub value: bool,
    pub message: String,
    pub hint: Option<String>,
}

impl Finding {
    pub(crate) fn error(key: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Weight::Error, key, message).hint(hint)
    }

    pub(crate) fn warning(key: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Weight::Warning, key, message).hint(hint)
    }

    pub(crate) fn note(key: &str, message: impl Into<String>) -> Self {
        Self::new(Weight::Note, key, message)
    }

    fn new(weight: Weight, key: &str, message: impl Into<String>) -> Self {
        Self { weight, key: key.to_owned(), value: false, message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn of_value(mut self) -> Self {
        self.value = true;
        self
    }
}
