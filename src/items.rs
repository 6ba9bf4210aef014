//! What a run is planned from: its items, and what results depend on besides the parameters.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::checksum::{sha256, sha256_bytes};

/// The items of a run, as they are before it is planned.
///
/// ```
/// use espnet3_par::{Inputs, Items};
///
/// let three = Items::new(3);
/// assert_eq!((three.len, three.costs, three.inputs), (3, None, Inputs::default()));
///
/// let lines = ["utt1 hello", "utt2 good morning"];
/// let text = Items {
///     costs: Some(lines.iter().map(|line| line.len() as f64).collect()),
///     inputs: Inputs::default().bytes("text", lines.concat().as_bytes()),
///     ..Items::new(2)
/// };
/// assert_eq!(text.costs, Some(vec![10.0, 17.0]));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Items {
    /// How many there are: indices `0..len`.
    pub len: u64,
    /// The expected cost of each in any unit (seconds of audio, say), `len` values, so that shards are
    /// cut by work and not by count. `None`: all items cost the same.
    pub costs: Option<Vec<f64>>,
    /// What results depend on besides the parameters, such as the manifest and the model. It is part of
    /// the run's fingerprint: a run is never resumed over other inputs.
    pub inputs: Inputs,
}

impl Items {
    /// So many, all of one cost.
    #[must_use]
    pub fn new(len: u64) -> Self {
        Self { len, ..Self::default() }
    }
}

/// What results depend on besides the parameters: a SHA-256 under each name. It is part of a run's
/// fingerprint.
///
/// ```
/// use espnet3_par::Inputs;
///
/// # let folder = tempfile::tempdir()?;
/// # let manifest = folder.path().join("wav.scp");
/// std::fs::write(&manifest, "utt1 a.wav\n")?;
/// let segments: Option<std::path::PathBuf> = None;
/// let inputs = Inputs::default()
///     .file("manifest", manifest.as_path())?
///     // A parameter that is not given is no input.
///     .file("segments", segments.as_deref())?;
/// assert_ne!(inputs, Inputs::default());
/// assert_eq!(inputs, Inputs::default().bytes("manifest", b"utt1 a.wav\n"));
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs(BTreeMap<String, Value>);

impl Inputs {
    /// With a file, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn file<'a>(mut self, name: &str, path: impl Into<Option<&'a Path>>) -> Result<Self> {
        if let Some(path) = path.into() {
            self.0.insert(name.to_owned(), sha256(path)?.into());
        }
        Ok(self)
    }

    /// With what was read already.
    #[must_use]
    pub fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        self.with(name, sha256_bytes(bytes))
    }

    /// With a value as it is.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// With others too.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// As a run's fingerprint has them; null where there is none.
    pub(crate) fn value(&self) -> Value {
        match self.0.is_empty() {
            true => Value::Null,
            false => self.0.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }

    /// Checks that these, which a worker has read, are among those that the run was `planned` with.
    ///
    /// # Errors
    /// Names the first that is not.
    pub(crate) fn check(&self, planned: &Value) -> Result<()> {
        for (name, value) in &self.0 {
            if planned.get(name) != Some(value) {
                bail!(
                    "`{name}` is not what it was when the run was planned, and its items may be \
                     others: put the old one back, or start over with `--restart`"
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_worker_reads_what_the_run_was_planned_with() {
        let inputs = |text: &[u8]| Inputs::default().bytes("manifest", text);
        let planned = inputs(b"a").bytes("model", b"m").value();
        inputs(b"a").check(&planned).expect("the same");
        Inputs::default().check(&planned).expect("nothing is looked at");
        for (inputs, planned) in [(inputs(b"b"), &planned), (inputs(b"a"), &Value::Null)] {
            let error = inputs.check(planned).expect_err("another").to_string();
            assert!(error.starts_with("`manifest` is not what it was"), "{error}");
        }
    }

    #[test]
    fn none_is_null_and_a_missing_file_an_error() {
        assert_eq!(Inputs::default().value(), Value::Null);
        let none = Inputs::default().file("vad", None).expect("no file");
        assert_eq!(none, Inputs::default());
        let error = none.file("vad", Path::new("no/such/file")).expect_err("no file");
        assert!(format!("{error:#}").starts_with("failed to read `no/such/file`: No such file"));
        let both = Inputs::default().bytes("b", b"").and(Inputs::default().bytes("a", b""));
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(both.value(), json!({"a": empty, "b": empty}));
    }
}
