//! Messages about a config: what is wrong, where, the line itself, and what to do.

use std::fmt;
use std::path::PathBuf;

/// How bad it is. [`Diagnostics`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The run cannot start.
    Error,
    /// The run can start, but probably something else was meant.
    Warning,
    /// Nothing is wrong; one line for the curious.
    Note,
}

/// Where a value of the config comes from. [`Diagnostics`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A place in a file; line and column count from 1, and are absent for the file as a whole.
    File {
        /// As it was given on the command line.
        path: PathBuf,
        /// Line and column.
        at: Option<(usize, usize)>,
    },
    /// The environment variable of this name.
    Env(String),
    /// An argument of the command line, as written.
    Argument(String),
}

/// A line of a file and the part of it that is meant. [`Diagnostics`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// Line number, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
    /// Where the marked part starts: characters before it.
    pub start: usize,
    /// How many characters are marked.
    pub width: usize,
}

/// One message about a config. [`Diagnostics`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where; `None` if it is nowhere, as a key that is missing from every layer.
    pub location: Option<Location>,
    /// What.
    pub message: String,
    /// The line itself.
    pub snippet: Option<Snippet>,
    /// What to do.
    pub hint: Option<String>,
}

/// Everything that is wrong with a config, in words for a terminal or piece by piece.
///
/// ```
/// # use espnet3_par::{EnvironmentProvider, Items, Record, Result, Runner, Stage};
/// # #[derive(serde::Deserialize)]
/// # struct Numbers { n: u64 }
/// # impl EnvironmentProvider for Numbers {
/// #     type Env = u64;
/// #     fn items(&self) -> Result<Items> { Ok(Items::new(self.n)) }
/// #     fn build_env_local(&self) -> Result<u64> { Ok(self.n) }
/// # }
/// # struct Square;
/// # impl Runner for Square {
/// #     type Provider = Numbers;
/// #     fn forward(idx: u64, _n: &u64) -> Result<Record> { Record::new(idx * idx) }
/// # }
/// use espnet3_par::{Config, Diagnostics, Location, Severity};
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("squares.yaml");
/// std::fs::write(&file, "\
/// stage: square
/// output_dir: exp/squares
/// square: {n: 100}
/// parallel:
///   env: local
///   n_wokers: 4
/// ")?;
/// let stages = [Stage::new::<Square>("square", "squares of the first n numbers")];
/// let error = Config::from_files(&[file.clone()], &stages).expect_err("there is no `n_wokers`");
/// let found: Diagnostics = error.downcast()?;
/// assert!(found.to_string().ends_with("
///   |
/// 6 |   n_wokers: 4
///   |   ^^^^^^^^
/// hint: did you mean `n_workers`?"));
///
/// let first = &found.0[0];
/// assert_eq!(first.severity, Severity::Error);
/// assert_eq!(first.message, "unknown key `n_wokers` in `parallel`");
/// // Line and column, from 1.
/// assert_eq!(first.location, Some(Location::File { path: file, at: Some((6, 3)) }));
/// let snippet = first.snippet.as_ref().expect("it is in a file");
/// // Characters, from 0: what an editor would underline.
/// assert_eq!((snippet.start, snippet.width), (2, "n_wokers".len()));
/// assert_eq!(first.hint.as_deref(), Some("did you mean `n_workers`?"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostic {
    /// A message that belongs to no place.
    pub(super) fn new(severity: Severity, message: impl Into<String>) -> Self {
        Self { severity, location: None, message: message.into(), snippet: None, hint: None }
    }

    pub(super) fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message)
    }

    pub(super) fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, at: Some((line, column)) } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::File { path, at: None } => write!(f, "{}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Argument(argument) => f.write_str(argument),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.severity {
            Severity::Error => "error: ",
            Severity::Warning => "warning: ",
            Severity::Note => "note: ",
        })?;
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        f.write_str(&self.message)?;
        if self.severity == Severity::Note {
            return Ok(());
        }
        if let Some(snippet) = &self.snippet {
            write_snippet(f, snippet)?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

fn write_snippet(f: &mut fmt::Formatter<'_>, snippet: &Snippet) -> fmt::Result {
    let number = snippet.line.to_string();
    let margin = " ".repeat(number.len());
    // The marks stand under their text only if a tab is as wide as what stands for it.
    let text = snippet.text.trim_end().replace('\t', " ");
    let length = text.chars().count();
    let start = snippet.start.min(length);
    let width = snippet.width.min(length - start).max(1);
    write!(f, "\n{margin} |\n{number} | {text}\n")?;
    write!(f, "{margin} | {}{}", " ".repeat(start), "^".repeat(width))
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            let gap = if i == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{diagnostic}")?;
        }
        match self.0.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count() {
            0 | 1 => Ok(()),
            n => write!(f, "\n\n{n} errors in the config"),
        }
    }
}

impl std::error::Error for Diagnostics {}
