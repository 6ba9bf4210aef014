//! What is searched: the words of a dictionary as chains of states, from any to any of which the
//! language model leads.

use anyhow::{Result, bail, ensure};

use super::arpa::Lm;
use super::dict::{Entry, FINISH, SILENCE, START};
use super::mdef::Phones;
use super::transitions::Matrix;
use super::units::{NEVER, units};

/// PocketSphinx's `-silprob` and `-fillprob`.
const SILENCE_PROBABILITY: f64 = 0.005;
const FILLER_PROBABILITY: f64 = 1e-8;

/// More entries of a language model than this are not for a search of everything.
const MOST_ENTRIES: usize = 1 << 26;

/// The words and their states.
pub(super) struct Network {
    /// The senone of each state; words follow each other.
    pub senones: Vec<u32>,
    /// Transitions into each state, in units: from itself, from the one before, and from the one
    /// before that.
    pub stay: Vec<i32>,
    pub step: Vec<i32>,
    pub skip: Vec<i32>,
    /// 1 in the first state of a phone, where of equal paths the one that stays is taken; in others
    /// it is the one that steps. Units are coarse enough for many paths to be equal.
    pub prefer_stay: Vec<i32>,
    pub words: Vec<Word>,
    /// The indices of `<s>` and `</s>`.
    pub start: usize,
    pub finish: usize,
    /// The number of histories that the language model tells apart.
    pub histories: usize,
    entries: Vec<i32>,
}

/// A word in one pronunciation.
pub(super) struct Word {
    /// What is written for it, if anything.
    pub text: Option<String>,
    pub first: usize,
    pub last: usize,
    /// Out of its last state, and out of the one before.
    pub exits: [i32; 2],
    /// The history after it; `None` for silence, which leaves it as it was.
    pub history: Option<usize>,
}

impl Network {
    /// Puts the words of the dictionary that the language model has, and the fillers, beside each
    /// other.
    ///
    /// # Errors
    /// When there is no such word, or the language model is too large.
    pub(super) fn new(
        dict: &[Entry],
        fillers: &[Entry],
        lm: &Lm,
        phones: &Phones,
        matrices: &[Matrix],
    ) -> Result<Self> {
        // Of two words that end equally well the first is taken: words of one phone come last there.
        let (long, short): (Vec<_>, Vec<_>) = dict
            .iter()
            .filter(|entry| lm.has(&entry.word))
            .partition(|entry| entry.phones.len() > 1);
        let spoken = long.len() + short.len();
        ensure!(spoken > 0, "no word of the dictionary is in the language model");
        let mut network = Self::empty();
        let mut histories: Vec<&str> = Vec::new();
        let all: Vec<&Entry> = long.into_iter().chain(short).chain(fillers).collect();
        for (index, entry) in all.iter().enumerate() {
            let word = entry.word.as_str();
            let keeps = index >= spoken && word != START;
            let history = (!keeps).then(|| {
                let known = histories.iter().position(|history| lm.same_history(history, word));
                known.unwrap_or_else(|| {
                    histories.push(word);
                    histories.len() - 1
                })
            });
            network.add(entry, history, index < spoken, phones, matrices)?;
        }
        let index = |word| all.iter().rposition(|entry| entry.word == word).unwrap_or_default();
        (network.start, network.finish) = (index(START), index(FINISH));
        network.histories = histories.len();
        if histories.len().saturating_mul(all.len()) > MOST_ENTRIES {
            bail!(
                "{} words after {} histories are too many: this recogniser looks at all of them in \
                 every frame, and is for small vocabularies",
                all.len(),
                histories.len()
            );
        }
        for history in histories {
            network.entries.extend(all.iter().enumerate().map(|(index, entry)| {
                let filler = units(FILLER_PROBABILITY);
                match entry.word.as_str() {
                    word if index < spoken => lm.score(word, history).unwrap_or(NEVER),
                    START => NEVER,
                    // There, </s> can be entered as a word and as a filler.
                    FINISH => lm.score(FINISH, history).unwrap_or(NEVER).max(filler),
                    SILENCE => units(SILENCE_PROBABILITY),
                    _ => filler,
                }
            }));
        }
        Ok(network)
    }

    /// What entering each word adds to a path with this history.
    pub(super) fn entries(&self, history: usize) -> &[i32] {
        let words = self.words.len();
        &self.entries[history * words..(history + 1) * words]
    }

    fn empty() -> Self {
        Self {
            senones: Vec::new(),
            stay: Vec::new(),
            step: Vec::new(),
            skip: Vec::new(),
            prefer_stay: Vec::new(),
            words: Vec::new(),
            start: 0,
            finish: 0,
            histories: 0,
            entries: Vec::new(),
        }
    }

    fn add(
        &mut self,
        entry: &Entry,
        history: Option<usize>,
        spoken: bool,
        phones: &Phones,
        matrices: &[Matrix],
    ) -> Result<()> {
        let mut rows: Vec<[i32; 3]> = Vec::new();
        let first = self.senones.len();
        for phone in entry.phones.iter().filter_map(|name| phones.get(name)) {
            let states = &matrices[phone.matrix].states;
            ensure!(
                states.len() == phone.senones.len(),
                "a phone of {} states has transitions of {}",
                phone.senones.len(),
                states.len()
            );
            self.senones.extend(phone.senones.iter().map(|&senone| senone as u32));
            rows.extend_from_slice(states);
            self.prefer_stay.push(1);
            self.prefer_stay.resize(self.senones.len(), 0);
        }
        // The end of a phone is the first state of the next.
        let before = |at: usize, by: usize| at.checked_sub(by).map_or(NEVER, |at| rows[at][by]);
        let length = rows.len();
        self.stay.extend((0..length).map(|at| rows[at][0]));
        self.step.extend((0..length).map(|at| before(at, 1)));
        self.skip.extend((0..length).map(|at| before(at, 2)));
        self.words.push(Word {
            text: spoken.then(|| entry.word.clone()),
            first,
            last: first + length - 1,
            exits: [before(length, 1), before(length, 2)],
            history,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::phones;
    use super::*;

    fn entry(word: &str, phones: &str) -> Entry {
        Entry { word: word.to_owned(), phones: phones.split(' ').map(str::to_owned).collect() }
    }

    fn network(dict: &[Entry], lm: &Lm) -> Result<Network> {
        let fillers = ["<s>", "</s>", "<sil>", "++COUGH++"].map(|word| entry(word, "SIL"));
        let matrix = Matrix { states: vec![[-1, -2, -3], [-4, -5, NEVER]] };
        Network::new(dict, &fillers, lm, &phones(), &[matrix.clone(), matrix.clone(), matrix])
    }

    #[test]
    fn words_are_chains_of_states() {
        let dict = [entry("A", "A"), entry("BA", "B A")];
        let network = network(&dict, &Lm::uniform(["A", "BA"].into_iter())).expect("a network");
        // The longer word comes first, and B has the senones 2 and 3.
        assert_eq!(network.senones[..6], [2, 3, 0, 1, 0, 1]);
        assert_eq!(network.stay[..4], [-1, -4, -1, -4]);
        assert_eq!(network.step[..6], [NEVER, -2, -5, -2, NEVER, -2]);
        assert_eq!(network.skip[..6], [NEVER, NEVER, -3, NEVER, NEVER, NEVER]);
        assert_eq!(network.words[0].exits, [-5, -3]);
        assert_eq!((network.start, network.finish), (2, 3));
        let entries = network.entries(0);
        assert_eq!((entries[2], entries[4], entries[5]), (NEVER, -52, -180));
    }

    #[test]
    fn words_that_the_language_model_has_not_are_left_out() {
        let lm = Lm::uniform(["A"].into_iter());
        let some = network(&[entry("A", "A"), entry("C", "B")], &lm).expect("a network");
        assert_eq!(some.words.len(), 5);
        let none = network(&[entry("a", "A")], &lm).err().expect("no word").to_string();
        assert_eq!(none, "no word of the dictionary is in the language model");
    }
}
