//! The best path through a network, exactly: no beam, and nothing is searched again.

use super::network::{Network, Word};
use super::units::NEVER;

/// Nothing before: the start of the audio.
const NOTHING: u32 = u32::MAX;

/// A word that ended, and how the path came there.
struct Trace {
    word: u32,
    before: u32,
    history: u32,
}

/// The best end of a word in a frame, among those of one history.
#[derive(Clone, Copy)]
struct Exit {
    score: i32,
    word: usize,
    before: u32,
}

/// A search under way. Scores are in units; a state's includes the transition into it.
pub(super) struct Search<'a> {
    network: &'a Network,
    scores: Vec<i32>,
    /// By which trace the path entered its word.
    entered: Vec<u32>,
    /// With two in front that are never reached.
    emitted: Vec<i32>,
    entered_before: Vec<u32>,
    exits: Vec<Exit>,
    traces: Vec<Trace>,
    finish: Exit,
    /// What was taken from all scores so that they stay small.
    taken: i64,
}

const NO_EXIT: Exit = Exit { score: NEVER, word: 0, before: NOTHING };

impl<'a> Search<'a> {
    /// A search that starts with `<s>`.
    pub(super) fn new(network: &'a Network) -> Self {
        let states = network.senones.len();
        let mut scores = vec![NEVER; states];
        scores[network.words[network.start].first] = 0;
        Self {
            network,
            scores,
            entered: vec![NOTHING; states],
            emitted: vec![NEVER; states + 2],
            entered_before: vec![NOTHING; states + 2],
            exits: vec![NO_EXIT; network.histories],
            traces: Vec::new(),
            finish: NO_EXIT,
            taken: 0,
        }
    }

    /// Goes on with the penalties of some frames, `senones` for each.
    pub(super) fn advance(&mut self, penalties: &[i32], senones: usize) {
        // A frame costs 2¹⁶ at most, and a block has far less than 2¹² of them.
        let top = self.scores.iter().copied().max().unwrap_or_default();
        if top > NEVER {
            self.taken += i64::from(top);
            for score in self.scores.iter_mut().filter(|score| **score > NEVER) {
                *score -= top;
            }
        }
        for frame in penalties.chunks_exact(senones) {
            self.emit(frame);
            self.exit();
            self.transit();
            self.enter();
        }
    }

    /// The words of the best path that ended with the last frame, and its score in units.
    /// `None` when there were too few frames for any.
    pub(super) fn finish(&self) -> Option<(Vec<&'a str>, i64)> {
        if self.finish.score == NEVER {
            return None;
        }
        let mut words = Vec::new();
        let mut at = self.finish.before;
        while let Some(trace) = self.traces.get(at as usize) {
            words.extend(self.network.words[trace.word as usize].text.as_deref());
            at = trace.before;
        }
        words.reverse();
        Some((words, i64::from(self.finish.score) + self.taken))
    }

    fn emit(&mut self, frame: &[i32]) {
        let senones = self.network.senones.iter();
        let scores = self.scores.iter().zip(senones);
        for (emitted, (score, &senone)) in self.emitted[2..].iter_mut().zip(scores) {
            *emitted = score - frame[senone as usize];
        }
        self.entered_before[2..].copy_from_slice(&self.entered);
    }

    /// The end of a word in this frame. Of equal paths that over one state less is taken, as there.
    fn end(&self, index: usize, word: &Word) -> Exit {
        let [last, skipped] = [word.last + 2, word.last + 1];
        let score = self.emitted[last] + word.exits[0];
        let other = self.emitted[skipped] + word.exits[1];
        let (score, at) = if score > other { (score, last) } else { (other, skipped) };
        Exit { score: score.max(NEVER), word: index, before: self.entered_before[at] }
    }

    fn exit(&mut self) {
        self.exits.fill(NO_EXIT);
        for (index, word) in self.network.words.iter().enumerate() {
            if index == self.network.finish {
                continue;
            }
            let exit = self.end(index, word);
            if exit.score == NEVER {
                continue;
            }
            let history = word.history.unwrap_or_else(|| self.history(exit.before));
            if exit.score > self.exits[history].score {
                self.exits[history] = exit;
            }
        }
        let finish = self.network.finish;
        self.finish = self.end(finish, &self.network.words[finish]);
    }

    fn history(&self, trace: u32) -> usize {
        self.traces.get(trace as usize).map_or(0, |trace| trace.history as usize)
    }

    fn transit(&mut self) {
        let Network { stay, step, skip, prefer_stay, .. } = self.network;
        let states = self.scores.len();
        let (emitted, before) = (&self.emitted[..states + 2], &self.entered_before[..states + 2]);
        let (scores, entered) = (&mut self.scores[..states], &mut self.entered[..states]);
        let (stay, step, skip) = (&stay[..states], &step[..states], &skip[..states]);
        let prefer_stay = &prefer_stay[..states];
        for at in 0..states {
            let mut best = emitted[at + 1] + step[at];
            let mut from = before[at + 1];
            let staying = emitted[at + 2] + stay[at];
            if staying + prefer_stay[at] > best {
                (best, from) = (staying, before[at + 2]);
            }
            let skipping = emitted[at] + skip[at];
            if skipping > best {
                (best, from) = (skipping, before[at]);
            }
            scores[at] = best.max(NEVER);
            entered[at] = from;
        }
    }

    /// From the best ends of words to the starts of the next ones.
    fn enter(&mut self) {
        for history in 0..self.exits.len() {
            let exit = self.exits[history];
            if exit.score == NEVER {
                continue;
            }
            // Most ends are nobody's start; a trace is kept for those that are.
            let trace = self.traces.len() as u32;
            let mut used = false;
            for (word, entry) in self.network.words.iter().zip(self.network.entries(history)) {
                let score = exit.score + entry;
                if score > self.scores[word.first] {
                    self.scores[word.first] = score;
                    self.entered[word.first] = trace;
                    used = true;
                }
            }
            if used {
                let (word, history) = (exit.word as u32, history as u32);
                self.traces.push(Trace { word, before: exit.before, history });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::arpa::Lm;
    use super::super::dict::{self, Entry};
    use super::super::testing::phones;
    use super::super::transitions::Matrix;
    use super::*;

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

    const UNIGRAMS: &str =
        "\\data\\\nngram 1=4\n\\1-grams:\n-1 </s>\n-1 <s>\n-0.5 A\n-1 AB\n\\end\\\n";

    /// A score is that of a path, which is not always the only one.
    fn compare(lm: &str) -> usize {
        let network = network(lm);
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 25) as i32
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
}
