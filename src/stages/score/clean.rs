//! What is done to reference and hypothesis alike before they are compared.

use std::collections::BTreeSet;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Takes from a text what does not count.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    pub case: Option<Case>,
    /// All of Unicode's category P, as jiwer's `RemovePunctuation`.
    pub remove_punctuation: bool,
    /// Words such as `<noise>`.
    pub non_linguistic_symbols: BTreeSet<String>,
}

/// What letters become.
#[derive(Debug, Clone, Copy)]
pub(super) enum Case {
    Lower,
    Upper,
}

impl Cleaner {
    /// The words that are left.
    pub(super) fn words(&self, text: &str) -> Vec<String> {
        let words = text.split_whitespace();
        let linguistic = words.filter(|word| !self.non_linguistic_symbols.contains(*word));
        linguistic.map(|word| self.word(word)).filter(|word| !word.is_empty()).collect()
    }

    fn word(&self, word: &str) -> String {
        let punctuation =
            |letter: char| letter.general_category_group() == GeneralCategoryGroup::Punctuation;
        let kept = |letter: &char| !(self.remove_punctuation && punctuation(*letter));
        let word: String = word.chars().filter(kept).collect();
        match self.case {
            None => word,
            Some(Case::Lower) => word.to_lowercase(),
            Some(Case::Upper) => word.to_uppercase(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_unless_asked_for() {
        let words = Cleaner::default().words("  Don't\t<noise> 你好。 ");
        assert_eq!(words, ["Don't", "<noise>", "你好。"]);
    }

    #[test]
    fn symbols_go_before_their_brackets_do() {
        let non_linguistic_symbols = ["<noise>".to_owned()].into();
        let cleaner =
            Cleaner { case: Some(Case::Lower), remove_punctuation: true, non_linguistic_symbols };
        let words = cleaner.words("Don't <noise> <NOISE> ÉTÉ - 「你好。」 10$ ΣΑΣ");
        // `<`, `>` and `$` are symbols (category S) and no punctuation.
        assert_eq!(words, ["dont", "<noise>", "été", "你好", "10$", "σας"]);
        let upper = Cleaner { case: Some(Case::Upper), ..Cleaner::default() };
        assert_eq!(upper.words("straße"), ["STRASSE"]);
    }
}
