//! Trial lists, in Kaldi's form.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::lines::read_text;
use crate::{Dataset, Inputs};

/// Whether two utterances have one speaker.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trial {
    pub(super) enroll: String,
    pub(super) test: String,
    /// Whether they have, if the list says.
    pub(super) target: Option<bool>,
}

/// The lines of a trial list.
pub struct Trials {
    trials: Vec<Trial>,
    inputs: Inputs,
}

impl Trials {
    /// Reads lines of `ENROLL TEST` or `ENROLL TEST target|nontarget`.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let mut trials: Vec<Trial> = Vec::new();
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            let place = || format!("{}:{number}", path.display());
            let trial = parse(line).with_context(place)?;
            if trials.first().is_some_and(|first| first.target.is_some() != trial.target.is_some())
            {
                bail!("{}: some lines have a label, and some have none", place());
            }
            trials.push(trial);
        }
        if trials.is_empty() {
            bail!("{}: no trials", path.display());
        }
        Ok(Self { trials, inputs: Inputs::default().bytes("trials", text.as_bytes()) })
    }

    pub(super) fn get(&self, idx: u64) -> Result<&Trial> {
        let trial = usize::try_from(idx).ok().and_then(|idx| self.trials.get(idx));
        trial.with_context(|| format!("no trial {idx}: the list has {}", self.trials.len()))
    }
}

impl Dataset for Trials {
    fn len(&self) -> u64 {
        self.trials.len() as u64
    }

    fn item_name(&self, idx: u64) -> Option<String> {
        let trial = self.get(idx).ok()?;
        Some(format!("{} {}", trial.enroll, trial.test))
    }

    fn inputs(&self) -> Inputs {
        self.inputs.clone()
    }
}

fn parse(line: &str) -> Result<Trial> {
    let (enroll, test, target) = match line.split_whitespace().collect::<Vec<_>>()[..] {
        [enroll, test] => (enroll, test, None),
        [enroll, test, "target"] => (enroll, test, Some(true)),
        [enroll, test, "nontarget"] => (enroll, test, Some(false)),
        ["0" | "1", _, _] => bail!(
            "`{line}` is in VoxCeleb's form; in Kaldi's it is \
             `awk '{{print $2, $3, $1 ? \"target\" : \"nontarget\"}}'`"
        ),
        _ => bail!("expected `ENROLL TEST target` or `ENROLL TEST nontarget`, found `{line}`"),
    };
    Ok(Trial { enroll: enroll.to_owned(), test: test.to_owned(), target })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::testing::write;

    #[test]
    fn labels_are_there_or_are_not() {
        for (text, target) in [("a b target\n\nc\td nontarget\n", Some(true)), ("a b\nc d", None)] {
            let (_dir, path) = write("trials", text.as_bytes());
            let trials = Trials::read(&path).expect("trials");
            assert_eq!(trials.len(), 2);
            let first = Trial { enroll: "a".into(), test: "b".into(), target };
            assert_eq!(trials.get(0).expect("a trial"), &first);
            assert_eq!(trials.get(1).expect("a trial").target, target.map(|_| false));
            assert!(trials.get(2).is_err());
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (text, expected) in [
            ("", ": no trials"),
            ("a b target\na b\n", ":2: some lines have a label"),
            ("a b target\na b yes\n", ":2: expected `ENROLL TEST target`"),
            ("\n1 a b", ":2: `1 a b` is in VoxCeleb's form"),
            ("a", ":1: expected"),
        ] {
            let (_dir, path) = write("trials", text.as_bytes());
            let error = format!("{:#}", Trials::read(&path).map(drop).expect_err(expected));
            let at = error.strip_prefix(&path.display().to_string()).expect("the file first");
            assert!(at.starts_with(expected), "{error}");
        }
    }
}
