//! Pronunciation dictionaries: `WORD PHONE…`, other pronunciations as `WORD(2)`.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::mdef::Phones;
use crate::lines::read_text;

/// The words that every filler dictionary (`noisedict`) has: before, after and between words.
pub(super) const START: &str = "<s>";
pub(super) const FINISH: &str = "</s>";
pub(super) const SILENCE: &str = "<sil>";

/// A word in one of its pronunciations.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    /// Without `(2)`.
    pub word: String,
    /// Names of phones that the model has.
    pub phones: Vec<String>,
}

/// Reads the dictionary of a language's words.
///
/// # Errors
/// Names the file and line of a word that has no phones, phones that the model has not, or that is
/// there already.
pub(super) fn read(path: &Path, phones: &Phones) -> Result<Vec<Entry>> {
    let entries = parse(path, &read_text(path)?, phones)?;
    let reserved = [START, FINISH, SILENCE];
    if let Some(entry) = entries.iter().find(|entry| reserved.contains(&entry.word.as_str())) {
        bail!("{}: `{}` belongs into the model's noisedict", path.display(), entry.word);
    }
    Ok(entries)
}

/// Reads a model's `noisedict`.
///
/// # Errors
/// As [`read`], and when one of `<s>`, `</s>` and `<sil>` is not there.
pub(super) fn read_fillers(path: &Path, phones: &Phones) -> Result<Vec<Entry>> {
    let entries = parse(path, &read_text(path)?, phones)?;
    for word in [START, FINISH, SILENCE] {
        let there = entries.iter().any(|entry| entry.word == word);
        ensure!(there, "{}: no `{word}`", path.display());
    }
    Ok(entries)
}

fn parse(path: &Path, text: &str, phones: &Phones) -> Result<Vec<Entry>> {
    let place = path.display();
    let mut entries = Vec::new();
    let mut seen = HashSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with("##") || line.starts_with(";;") {
            continue;
        }
        let mut fields = line.split_whitespace();
        let Some(name) = fields.next() else { continue };
        let read = || {
            ensure!(
                seen.insert(name),
                "word {name} is there already; another pronunciation is {name}(2)"
            );
            let pronunciation: Vec<String> = fields.map(str::to_owned).collect();
            ensure!(!pronunciation.is_empty(), "word {name} has no phones");
            if let Some(phone) = pronunciation.iter().find(|phone| phones.get(phone).is_none()) {
                let model = phones.path.display();
                bail!("word {name} uses phone {phone}, which the model has not ({model})");
            }
            Ok(Entry { word: base(name).to_owned(), phones: pronunciation })
        };
        entries.push(read().with_context(|| format!("{place}:{number}"))?);
    }
    ensure!(!entries.is_empty(), "{place}: no words");
    Ok(entries)
}

/// `WORD` of `WORD(2)`.
fn base(name: &str) -> &str {
    match name.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')) {
        Some((word, _)) if !word.is_empty() => word,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::phones;
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Entry>> {
        parse(Path::new("my.dic"), text, &phones())
    }

    fn error(text: &str) -> String {
        format!("{:#}", parsed(text).expect_err("a bad dictionary"))
    }

    #[test]
    fn pronunciations_share_their_word() {
        let entries = parsed(";; comment\nAB  A B\r\nAB(2)\tB\n\n(A) A\n").expect("entries");
        let entry = |word: &str, phones: &[&str]| Entry {
            word: word.to_owned(),
            phones: phones.iter().map(|&phone| phone.to_owned()).collect(),
        };
        assert_eq!(entries, [entry("AB", &["A", "B"]), entry("AB", &["B"]), entry("(A)", &["A"])]);
    }

    #[test]
    fn mistakes_have_their_line() {
        let phone = "my.dic:2: word ZOO uses phone Z, which the model has not (toy/mdef)";
        assert_eq!(error("A A\nZOO Z B\n"), phone);
        let again = "my.dic:2: word A is there already; another pronunciation is A(2)";
        assert_eq!(error("A A\nA B\n"), again);
        assert_eq!(error("A\n"), "my.dic:1: word A has no phones");
        assert_eq!(error("## nothing\n"), "my.dic: no words");
    }

    #[test]
    fn silence_is_in_the_models_own_dictionary() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "<s> SIL\n<sil> SIL\n").expect("a file");
        let error = read_fillers(file.path(), &phones()).expect_err("no </s>").to_string();
        assert!(error.ends_with(": no `</s>`"), "{error}");
        let error = read(file.path(), &phones()).expect_err("<s>").to_string();
        assert!(error.ends_with(": `<s>` belongs into the model's noisedict"), "{error}");
    }
}
