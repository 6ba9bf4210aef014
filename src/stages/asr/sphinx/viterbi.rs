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
