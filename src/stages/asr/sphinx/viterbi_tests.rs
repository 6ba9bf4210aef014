//! Tests of the search: against all paths, one by one.

use super::arpa::Lm;
use super::dict::{self, Entry};
use super::network::{Network, Word};
use super::testing::phones;
use super::transitions::Matrix;
use super::units::NEVER;
use super::viterbi::Search;

/// Scores of paths, one by one, without any of the search's shortcuts.
struct Paths<'a> {
    network: &'a Network,
    penalties: &'a [i32],
    best: i32,
    words: Vec<usize>,
}

impl Paths<'_> {
    fn go(&mut self, frame: usize, state: usize, score: i32, path: &mut Vec<usize>) {
        let network = self.network;
        let word = path[path.len() - 1];
        let Word { first, last, exits, .. } = network.words[word];
        let score = score - self.penalties[frame * 6 + network.senones[state] as usize];
        let next = |by: usize| [&network.stay, &network.step, &network.skip][by];
        for (by, exit) in [(1, exits[0]), (2, exits[1])] {
            if state + by == last + 1 && exit != NEVER {
                self.leave(frame, score + exit, path);
            }
        }
        for to in state..=last.min(state + 2) {
            let transition = next(to - state)[to];
            if frame + 1 < self.penalties.len() / 6 && transition != NEVER {
                self.go(frame + 1, to, score + transition, path);
            }
        }
        assert!((first..=last).contains(&state));
    }

    fn leave(&mut self, frame: usize, score: i32, path: &mut Vec<usize>) {
        let network = self.network;
        if path.last() == Some(&network.finish) {
            if frame + 1 == self.penalties.len() / 6 && score > self.best {
                self.best = score;
                self.words.clone_from(path);
            }
            return;
        }
        if frame + 1 == self.penalties.len() / 6 {
            return;
        }
        let history = path.iter().rev().find_map(|&word| network.words[word].history);
        let entries = network.entries(history.expect("<s> has one"));
        for (word, &entry) in entries.iter().enumerate().filter(|(_, entry)| **entry != NEVER) {
            path.push(word);
            self.go(frame + 1, network.words[word].first, score + entry, path);
            path.pop();
        }
    }
}

fn network(lm: &str) -> Network {
    let folder = tempfile::tempdir().expect("a directory");
    let entry = |word: &str, phones: &str| Entry {
        word: word.to_owned(),
        phones: phones.split(' ').map(str::to_owned).collect(),
    };
    let dict = [entry("A", "A"), entry("AB", "A B"), entry("NO", "B")];
    let fillers = [dict::START, dict::FINISH, dict::SILENCE].map(|word| entry(word, "SIL"));
    let path = folder.path().join("lm");
    std::fs::write(&path, lm).expect("a file");
    let lm = Lm::read(&path).expect("a model");
    let plain = Matrix { states: vec![[-6, -7, NEVER], [-3, -14, NEVER]] };
    let skipping = Matrix { states: vec![[-6, -7, -20], [-3, -14, NEVER]] };
    let matrices = [plain.clone(), skipping, plain];
    Network::new(&dict, &fillers, &lm, &phones(), &matrices).expect("a network")
}

const UNIGRAMS: &str = "\\data\\\nngram 1=4\n\\1-grams:\n-1 </s>\n-1 <s>\n-0.5 A\n-1 AB\n\\end\\\n";

/// A score is that of a path, which is not always the only one.
fn compare(lm: &str) -> usize {
    let network = network(lm);
    let mut state = 1_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 25).cast_signed()
    };
    let mut words = 0;
    for frames in [4, 5, 7, 8, 9, 9, 10, 10, 11] {
        let penalties: Vec<i32> = (0..frames * 6).map(|_| random()).collect();
        let mut paths =
            Paths { network: &network, penalties: &penalties, best: NEVER, words: vec![] };
        paths.go(0, network.words[network.start].first, 0, &mut vec![network.start]);
        let mut search = Search::new(&network);
        // In two blocks.
        search.advance(&penalties[..18], 6);
        search.advance(&penalties[18..], 6);
        let (found, score) = search.finish().expect("a path");
        assert_eq!(score, i64::from(paths.best), "{frames} frames");
        let texts = paths.words.iter().filter_map(|&word| network.words[word].text.as_deref());
        assert_eq!(found, texts.collect::<Vec<_>>(), "{frames} frames");
        words += found.len();
    }
    words
}

#[test]
fn the_best_of_all_paths_is_found() {
    assert_eq!(network(UNIGRAMS).histories, 1);
    // A word costs 79 units, so there are not many.
    compare(UNIGRAMS);
    let cheap = UNIGRAMS.replace("-0.5 A", "0 A").replace("-1 AB", "-0.01 AB");
    assert!(compare(&cheap) > 0);
}

#[test]
fn bigrams_are_looked_up_across_silence() {
    let bigrams = "\\data\\\nngram 1=4\nngram 2=3\n\\1-grams:\n-0.4 </s>\n-9 <s> -0.1\n-0.2 A -0.3\n\
        -0.1 AB 0\n\\2-grams:\n0 <s> AB\n-0.01 A A\n-0.02 AB A\n\\end\\\n";
    assert_eq!(network(bigrams).histories, 3);
    assert!(compare(bigrams) > 0);
}

#[test]
fn too_few_frames_have_no_path() {
    let network = network(UNIGRAMS);
    let mut search = Search::new(&network);
    search.advance(&[0; 18], 6);
    assert_eq!(search.finish(), None);
    search.advance(&[0; 6], 6);
    // <s> and </s>, two states each, and 151 for the end of the sentence.
    assert_eq!(search.finish(), Some((vec![], i64::from(-7 - 14 - 151 - 7 - 14))));
}

#[test]
fn long_audio_does_not_overflow() {
    let network = network(UNIGRAMS);
    let mut search = Search::new(&network);
    for _ in 0..400 {
        search.advance(&[32_767; 6 * 512], 6);
    }
    let (_, score) = search.finish().expect("a path");
    assert!(score < -32_767 * 512 * 400, "{score}");
}
