//! Language models in the ARPA format: unigrams, and bigrams with back-off.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::dict::{FINISH, START};
use super::units::{SHIFT, fine, fine_from_log10};
use crate::lines::read_text;

/// PocketSphinx's `-lw` and `-wip`.
const LANGUAGE_WEIGHT: f32 = 6.5;
const WORD_INSERTION: f64 = 0.65;

/// A unigram or bigram model. Logarithms are to the base 1.0001.
#[derive(Debug)]
pub(super) struct Lm {
    words: HashMap<String, Unigram>,
}

#[derive(Debug, Default)]
struct Unigram {
    log: f32,
    backoff: f32,
    /// By the word that follows.
    bigrams: HashMap<String, f32>,
}

impl Lm {
    /// Each of `words` as likely as the end of the sentence, after whatever word.
    pub(super) fn uniform<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut words: HashMap<String, Unigram> =
            words.chain([FINISH]).map(|word| (word.to_owned(), Unigram::default())).collect();
        let log = fine_from_log10(-(words.len() as f32).log10());
        words.values_mut().for_each(|word| word.log = log);
        Self { words }
    }

    /// Reads an ARPA file.
    ///
    /// # Errors
    /// Names the file and line of the first thing wrong, and says when the model is of a higher
    /// order, empty or cut off.
    pub(super) fn read(path: &Path) -> Result<Self> {
        parse(path, &read_text(path)?)
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.words.contains_key(word)
    }

    /// Whether the same words follow `first` and `second` with the same probabilities.
    pub(super) fn same_history(&self, first: &str, second: &str) -> bool {
        match (self.words.get(first), self.words.get(second)) {
            (Some(first), Some(second)) => {
                first.backoff == second.backoff && first.bigrams == second.bigrams
            }
            (first, second) => first.is_none() && second.is_none(),
        }
    }

    /// What `word` after `history` adds to a path, in units: its log-probability times the language
    /// weight, and the word insertion penalty. `None` for a word that the model has not.
    pub(super) fn score(&self, word: &str, history: &str) -> Option<i32> {
        let unigram = self.words.get(word)?.log;
        let log = match self.words.get(history) {
            None => unigram,
            Some(history) => match history.bigrams.get(word) {
                Some(bigram) => *bigram,
                None => unigram + history.backoff,
            },
        };
        // Without its fraction before and after, as there.
        let log = (log as i32) as f32 * LANGUAGE_WEIGHT + fine(WORD_INSERTION.ln()) as f32;
        Some(log as i32 >> SHIFT)
    }
}

fn parse(path: &Path, text: &str) -> Result<Lm> {
    let place = path.display();
    let mut lines = (1..).zip(text.lines().map(str::trim));
    // Anything may stand before.
    lines
        .find(|(_, line)| *line == "\\data\\")
        .with_context(|| format!("{place}: no line `\\data\\`: this is no ARPA language model"))?;
    let mut declared = Vec::new();
    let mut found: Vec<usize> = Vec::new();
    let mut lm = Lm { words: HashMap::new() };
    let mut ended = false;
    for (number, line) in lines {
        let mut read = || -> Result<()> {
            if let Some(count) = line.strip_prefix("ngram ") {
                let count = count.split_once('=').context("expected `ngram ORDER=COUNT`")?.1;
                declared.push(count.trim().parse::<usize>().context("no count of n-grams")?);
                let order = declared.len();
                ensure!(order < 3, "{order}-grams: only unigrams and bigrams are read");
            } else if line.starts_with('\\') && line.ends_with("-grams:") {
                found.push(0);
            } else if let Some(count) = found.last_mut() {
                *count += 1;
                let order = found.len();
                lm.add(order, line)?;
            } else {
                bail!("expected `ngram ORDER=COUNT` or `\\1-grams:`, found `{line}`");
            }
            Ok(())
        };
        match line {
            "" => {}
            "\\end\\" => {
                ended = true;
                break;
            }
            _ => read().with_context(|| format!("{place}:{number}"))?,
        }
    }
    ensure!(ended, "{place}: truncated: no line `\\end\\`");
    ensure!(
        declared == found,
        "{place}: n-grams by order: {declared:?} announced, {found:?} there"
    );
    let words = lm.words.keys().filter(|word| ![START, FINISH].contains(&word.as_str())).count();
    ensure!(words > 0, "{place}: an empty language model: no words");
    ensure!(lm.has(FINISH), "{place}: no `{FINISH}`, so no sentence could end");
    Ok(lm)
}

impl Lm {
    /// A line of n-grams: `LOG10 WORD… [LOG10 OF THE BACK-OFF]`.
    fn add(&mut self, order: usize, line: &str) -> Result<()> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let log = |text: &str| -> Result<f32> {
            let log: f32 = text
                .parse()
                .ok()
                .filter(|log: &f32| log.is_finite())
                .with_context(|| format!("`{text}` is no logarithm"))?;
            Ok(fine_from_log10(log))
        };
        let probability = |text: &str| {
            let log = log(text)?;
            ensure!(log <= 0.0, "log₁₀ of a probability is not {text}, above 0");
            Ok(log)
        };
        match (order, fields.as_slice()) {
            (1, [first, word, rest @ ..]) if rest.len() < 2 => {
                let backoff = rest.first().map_or(Ok(0.0), |text| log(text))?;
                let unigram = Unigram { log: probability(first)?, backoff, ..Unigram::default() };
                let before = self.words.insert((*word).to_owned(), unigram);
                ensure!(before.is_none(), "unigram {word} is there already");
            }
            (2, [first, word, next]) => {
                let unknown = |word: &str| format!("no unigram {word}");
                ensure!(self.has(next), unknown(next));
                let history = self.words.get_mut(*word).with_context(|| unknown(word))?;
                history.bigrams.insert((*next).to_owned(), probability(first)?);
            }
            _ => bail!("expected a {order}-gram: `LOG10 WORD…`, found `{line}`"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIGRAMS: &str = "made by hand, \\data\\ follows\n\n\\data\\\nngram 1=4\nngram 2=2\n\n\
        \\1-grams:\n-0.5 </s>\n-99 <s> -0.25\n-1 A -0.3\n-1.5\tB\n\n\\2-grams:\n-0.1 <s> A\n-0.2 A B\n\\end\\\n";

    fn read(text: &str) -> Result<Lm> {
        parse(Path::new("my.lm"), text)
    }

    fn error(from: &str, to: &str) -> String {
        format!("{:#}", read(&BIGRAMS.replace(from, to)).expect_err("a bad model"))
    }

    #[test]
    fn bigrams_go_before_backed_off_unigrams() {
        let lm = read(BIGRAMS).expect("a model");
        // (6.5 · 2.302585 · log₁₀ p + ln 0.65) / 0.102395 nats.
        let expected = |log10: f64| ((14.9668 * log10 - 0.430783) / 0.102395).floor() as i32;
        assert_eq!(lm.score("A", "<s>"), Some(expected(-0.1)));
        assert_eq!(lm.score("B", "A"), Some(expected(-0.2)));
        assert_eq!(lm.score("A", "A"), Some(expected(-1.3)));
        assert_eq!(lm.score("B", "<s>"), Some(expected(-1.75)));
        assert_eq!(lm.score("A", "B"), Some(expected(-1.0)));
        assert_eq!(lm.score("C", "A"), None);
        assert!(lm.same_history("B", "</s>") && !lm.same_history("A", "B"));
    }

    #[test]
    fn without_a_model_all_words_are_equal() {
        let lm = Lm::uniform(["A", "B", "A"].into_iter());
        let third = ((6.5 * (1_f64 / 3.0).ln() - 0.430783) / 0.102395).floor() as i32;
        assert_eq!((lm.score("A", "B"), lm.score("</s>", "<s>")), (Some(third), Some(third)));
        assert!(lm.same_history("A", "<s>") || lm.score("A", "<s>") == Some(third));
    }

    #[test]
    fn mistakes_have_their_line() {
        assert_eq!(
            error("\n\\data\\", ""),
            "my.lm: no line `\\data\\`: this is no ARPA language model"
        );
        assert_eq!(error("\\end\\", ""), "my.lm: truncated: no line `\\end\\`");
        let three = "my.lm:6: 3-grams: only unigrams and bigrams are read";
        assert_eq!(error("ngram 2=2\n", "ngram 2=2\nngram 3=1\n"), three);
        let counts = "my.lm: n-grams by order: [4, 3] announced, [4, 2] there";
        assert_eq!(error("ngram 2=2", "ngram 2=3"), counts);
        assert_eq!(error("-1 A", "-x A"), "my.lm:10: `-x` is no logarithm");
        assert_eq!(error("-1 A", "1 A"), "my.lm:10: log₁₀ of a probability is not 1, above 0");
        assert_eq!(error("A B\n", "A C\n"), "my.lm:15: no unigram C");
        assert_eq!(error("-0.5 </s>", "-0.5 <x>"), "my.lm: no `</s>`, so no sentence could end");
        let empty = "\\data\\\nngram 1=0\n\\1-grams:\n\\end\\\n";
        let empty = format!("{:#}", read(empty).expect_err("an empty model"));
        assert_eq!(empty, "my.lm: an empty language model: no words");
        assert!(error("-1.5\tB", "-1.5").starts_with("my.lm:11: expected a 1-gram"));
    }
}
