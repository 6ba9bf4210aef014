//! `mdef`, the model definition: which phones there are, and which states and which transition
//! matrix each has.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::lines::read_text;

/// A context-independent phone.
#[derive(Debug, PartialEq)]
pub(super) struct Phone {
    /// The index of its transition matrix.
    pub matrix: usize,
    /// The senone of each emitting state.
    pub senones: Vec<usize>,
}

/// The phones of a model.
#[derive(Debug)]
pub(super) struct Phones {
    phones: Vec<Phone>,
    names: HashMap<String, usize>,
    /// The file, for messages.
    pub path: PathBuf,
    /// How many senones and transition matrices the model has.
    pub senones: usize,
    pub matrices: usize,
}

impl Phones {
    /// Reads the text form of an `mdef`, without triphones.
    ///
    /// # Errors
    /// Names the file and line of the first thing wrong.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let binary = fs::read(path)
            .is_ok_and(|bytes| bytes.starts_with(b"BMDF") || bytes.starts_with(b"FDMB"));
        let place = path.display();
        ensure!(
            !binary,
            "{place}: a binary mdef, made from triphones: only models of context-independent \
             phones are read, whose mdef is a text"
        );
        parse(path, &read_text(path)?)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Phone> {
        self.names.get(name).map(|&index| &self.phones[index])
    }

    pub(super) fn len(&self) -> usize {
        self.phones.len()
    }
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Phones> {
    let mut header: HashMap<&str, usize> = HashMap::new();
    let mut phones = Phones {
        phones: Vec::new(),
        names: HashMap::new(),
        path: path.to_owned(),
        senones: 0,
        matrices: 0,
    };
    let mut version = None;
    for (number, line) in (1..).zip(text.lines()) {
        let mut read = || -> Result<()> {
            let fields: Vec<&str> = line.split_whitespace().collect();
            match fields.as_slice() {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                [first, ..] if version.is_none() => {
                    ensure!(*first == "0.3", "no mdef of version 0.3");
                    version = Some(*first);
                }
                [count, name] => {
                    header.insert(name, count.parse().context("no count")?);
                    let triphones = header.get("n_tri").copied().unwrap_or_default();
                    ensure!(
                        triphones == 0,
                        "{triphones} triphones: only models of context-independent phones are read"
                    );
                }
                fields => phones.add(fields)?,
            }
            Ok(())
        };
        read().with_context(|| format!("{}:{number}", path.display()))?;
    }
    let place = path.display();
    let count = |name| header.get(name).copied().with_context(|| format!("{place}: no `{name}`"));
    phones.senones = count("n_tied_state")?;
    phones.matrices = count("n_tied_tmat")?;
    let (expected, found) = (count("n_base")?, phones.len());
    ensure!(expected == found, "{place}: truncated: {found} phones of {expected}");
    for phone in &phones.phones {
        let worst = phone.senones.iter().max();
        if worst >= Some(&phones.senones) || phone.matrix >= phones.matrices {
            bail!("{place}: {phone:?} is beyond the model's states or matrices");
        }
    }
    Ok(phones)
}

impl Phones {
    /// A line `NAME - - - n/a MATRIX SENONE… N`.
    fn add(&mut self, fields: &[&str]) -> Result<()> {
        let [name, "-", "-", "-", _, matrix, senones @ .., "N"] = fields else {
            bail!("expected `PHONE - - - n/a MATRIX STATE… N`, found `{}`", fields.join(" "));
        };
        let number = |text: &str| text.parse().with_context(|| format!("`{text}` is no number"));
        let senones = senones.iter().map(|text| number(text)).collect::<Result<Vec<_>>>()?;
        ensure!(!senones.is_empty(), "phone {name} has no states");
        let phone = Phone { matrix: number(matrix)?, senones };
        ensure!(
            self.names.insert((*name).to_owned(), self.phones.len()).is_none(),
            "phone {name} is there twice"
        );
        self.phones.push(phone);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MDEF: &str = "# made by hand\n0.3\n2 n_base\n0 n_tri\n8 n_state_map\n6 n_tied_state\n\
        6 n_tied_ci_state\n2 n_tied_tmat\n#base lft rt p attrib tmat ... state id's ...\n\
        AA  -  - - n/a    0 0 1 2 N\nSIL -  - - filler 1 3 4 5 N\n";

    fn read(text: &str) -> Result<Phones> {
        parse(Path::new("mdef"), text)
    }

    fn error(from: &str, to: &str) -> String {
        format!("{:#}", read(&MDEF.replace(from, to)).expect_err("a bad mdef"))
    }

    #[test]
    fn phones_have_states_and_a_matrix() {
        let phones = read(MDEF).expect("phones");
        assert_eq!(phones.get("SIL"), Some(&Phone { matrix: 1, senones: vec![3, 4, 5] }));
        assert_eq!((phones.len(), phones.senones, phones.matrices), (2, 6, 2));
        assert!(phones.get("sil").is_none());
    }

    #[test]
    fn mistakes_have_their_line() {
        assert_eq!(error("0.3", "0.2"), "mdef:2: no mdef of version 0.3");
        let triphones = "mdef:4: 7 triphones: only models of context-independent phones are read";
        assert_eq!(error("0 n_tri", "7 n_tri"), triphones);
        assert_eq!(
            error("0 1 2 N", "0 1 x N"),
            "mdef:10: `x` is no number: invalid digit found in string"
        );
        assert_eq!(error("SIL", "AA"), "mdef:11: phone AA is there twice");
        assert_eq!(error("2 n_base", "3 n_base"), "mdef: truncated: 2 phones of 3");
        assert_eq!(error("6 n_tied_state\n", ""), "mdef: no `n_tied_state`");
        assert!(error("3 4 5 N", "3 4 6 N").contains("is beyond the model's states"));
        assert!(error("3 4 5 N", "3 4 5").starts_with("mdef:11: expected `PHONE "));
    }
}
