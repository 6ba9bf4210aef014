//! What is wrong with a hypothesis: its alignment to the reference.
//!
//! Of all alignments with the fewest errors, the one that jiwer has (its library is RapidFuzz), so
//! that substitutions, deletions and insertions are the same numbers, and not only their sum.

use serde::{Deserialize, Serialize};

/// One step of an alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Correct,
    Substitution,
    /// Of the reference, and not in the hypothesis.
    Deletion,
    /// Of the hypothesis, and not in the reference.
    Insertion,
}

/// How many steps of each kind there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Words, characters or tokens of the reference.
    pub length: u64,
    /// Substitutions, deletions and insertions.
    pub errors: u64,
    pub correct: u64,
    pub substitutions: u64,
    pub deletions: u64,
    pub insertions: u64,
}

impl Counts {
    pub(super) fn of(steps: &[Step]) -> Self {
        let count = |kind| steps.iter().filter(|step| **step == kind).count() as u64;
        let (correct, substitutions) = (count(Step::Correct), count(Step::Substitution));
        let (deletions, insertions) = (count(Step::Deletion), count(Step::Insertion));
        let length = correct + substitutions + deletions;
        let errors = substitutions + deletions + insertions;
        Self { length, errors, correct, substitutions, deletions, insertions }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.length += other.length;
        self.errors += other.errors;
        self.correct += other.correct;
        self.substitutions += other.substitutions;
        self.deletions += other.deletions;
        self.insertions += other.insertions;
    }

    /// Errors of the reference's length; `None` where both are empty, for there is no rate then.
    pub(super) fn rate(&self) -> Option<f64> {
        (self.length > 0).then(|| self.errors as f64 / self.length as f64)
    }
}

/// More pairs of symbols than this are not kept at once, a byte each. RapidFuzz has the same limit.
const MOST_CELLS: usize = 4 << 20;

/// The steps from `reference` to `hypothesis` with the fewest errors.
pub(super) fn align<T: Eq>(reference: &[T], hypothesis: &[T]) -> Vec<Step> {
    let mut steps = Vec::with_capacity(reference.len().max(hypothesis.len()));
    align_within(reference, hypothesis, MOST_CELLS, &mut steps);
    steps
}

fn align_within<T: Eq>(mut reference: &[T], mut hypothesis: &[T], most: usize, to: &mut Vec<Step>) {
    let same = |pair: &(&T, &T)| pair.0 == pair.1;
    let start = reference.iter().zip(hypothesis).take_while(same).count();
    (reference, hypothesis) = (&reference[start..], &hypothesis[start..]);
    let end = reference.iter().rev().zip(hypothesis.iter().rev()).take_while(same).count();
    (reference, hypothesis) =
        (&reference[..reference.len() - end], &hypothesis[..hypothesis.len() - end]);
    to.extend(std::iter::repeat_n(Step::Correct, start));
    let cells = reference.len().saturating_mul(hypothesis.len());
    if cells < most || reference.len() < 2 || hypothesis.len() < 2 {
        in_one(reference, hypothesis, to);
    } else {
        // Hirschberg: the best alignment goes through the place where both halves are best.
        let half = hypothesis.len() / 2;
        let split = split(reference, hypothesis, half);
        align_within(&reference[..split], &hypothesis[..half], most, to);
        align_within(&reference[split..], &hypothesis[half..], most, to);
    }
    to.extend(std::iter::repeat_n(Step::Correct, end));
}

/// With all pairs in memory.
fn in_one<T: Eq>(reference: &[T], hypothesis: &[T], to: &mut Vec<Step>) {
    let length = reference.len();
    let mut steps = vec![Step::Correct; length * hypothesis.len()];
    // Errors of the best alignment of each start of the reference to the hypothesis so far.
    let mut row: Vec<u32> = (0..=length as u32).collect();
    for (heard, steps) in hypothesis.iter().zip(steps.chunks_exact_mut(length.max(1))) {
        let mut diagonal = row[0];
        row[0] += 1;
        for (at, said) in reference.iter().enumerate() {
            let above = row[at + 1];
            let best = (row[at].min(above) + 1).min(diagonal + u32::from(said != heard));
            // Among equals in RapidFuzz's order.
            steps[at] = match () {
                () if best == row[at] + 1 => Step::Deletion,
                () if above < diagonal => Step::Insertion,
                () if said == heard => Step::Correct,
                () => Step::Substitution,
            };
            (diagonal, row[at + 1]) = (above, best);
        }
    }
    let (mut said, mut heard, from) = (length, hypothesis.len(), to.len());
    while said > 0 || heard > 0 {
        let step = match (said, heard) {
            (0, _) => Step::Insertion,
            (_, 0) => Step::Deletion,
            _ => steps[(heard - 1) * length + said - 1],
        };
        said -= usize::from(step != Step::Insertion);
        heard -= usize::from(step != Step::Deletion);
        to.push(step);
    }
    to[from..].reverse();
}

/// How much of the reference belongs to the first `half` of the hypothesis.
fn split<T: Eq>(reference: &[T], hypothesis: &[T], half: usize) -> usize {
    let left = errors(&reference.iter(), hypothesis[..half].iter());
    let right = errors(&reference.iter().rev(), hypothesis[half..].iter().rev());
    let sums = left.iter().zip(right.iter().rev()).map(|(left, right)| left + right);
    sums.enumerate().min_by_key(|(_, errors)| *errors).map_or(0, |(at, _)| at)
}

/// Errors between each start of the reference and the whole hypothesis.
fn errors<'a, T: Eq + 'a>(
    reference: &(impl ExactSizeIterator<Item = &'a T> + Clone),
    hypothesis: impl Iterator<Item = &'a T>,
) -> Vec<u32> {
    let mut row: Vec<u32> = (0..=reference.len() as u32).collect();
    for heard in hypothesis {
        let mut diagonal = row[0];
        row[0] += 1;
        for (at, said) in reference.clone().enumerate() {
            let above = row[at + 1];
            row[at + 1] = (row[at].min(above) + 1).min(diagonal + u32::from(said != heard));
            diagonal = above;
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn letters(reference: &str, hypothesis: &str) -> String {
        let [reference, hypothesis] = [reference, hypothesis].map(str::as_bytes);
        let letter = |step| match step {
            Step::Correct => '=',
            Step::Substitution => 'S',
            Step::Deletion => 'D',
            Step::Insertion => 'I',
        };
        align(reference, hypothesis).into_iter().map(letter).collect()
    }

    /// What RapidFuzz 3 says: `Levenshtein.editops(reference, hypothesis)`.
    #[test]
    fn of_equals_the_one_of_rapidfuzz() {
        for (reference, hypothesis, steps) in [
            ("", "", ""),
            ("", "ab", "II"),
            ("ab", "", "DD"),
            ("abc", "abc", "==="),
            ("ab", "ba", "I=D"),
            ("kitten", "sitting", "S===S=I"),
            ("aab", "aba", "=I=D"),
            ("abcd", "acbd", "=I=D="),
        ] {
            assert_eq!(letters(reference, hypothesis), steps, "{reference} {hypothesis}");
        }
    }

    #[test]
    fn counts_have_all_steps() {
        let counts = Counts::of(&align(b"kitten", b"sitting"));
        let expected = Counts {
            length: 6,
            errors: 3,
            correct: 4,
            substitutions: 2,
            deletions: 0,
            insertions: 1,
        };
        assert_eq!((counts, counts.rate()), (expected, Some(0.5)));
        assert_eq!(Counts::of(&align(b"", b"a")).rate(), None);
    }

    /// Whether `steps` lead from one to the other.
    fn leads(steps: &[Step], reference: &[u8], hypothesis: &[u8]) -> bool {
        let (mut said, mut heard) = (reference.iter(), hypothesis.iter());
        let each = steps.iter().all(|step| match step {
            Step::Correct => said.next().zip(heard.next()).is_some_and(|(a, b)| a == b),
            Step::Substitution => said.next().zip(heard.next()).is_some_and(|(a, b)| a != b),
            Step::Deletion => said.next().is_some(),
            Step::Insertion => heard.next().is_some(),
        });
        each && said.next().is_none() && heard.next().is_none()
    }

    proptest! {
        #[test]
        fn steps_lead_there_with_the_fewest_errors(
            reference in prop::collection::vec(0..4_u8, 0..40),
            hypothesis in prop::collection::vec(0..4_u8, 0..40),
        ) {
            let fewest = strsim::generic_levenshtein(&reference, &hypothesis) as u64;
            // In one, and halved until there is nothing to halve.
            for most in [MOST_CELLS, 100, 0] {
                let mut steps = Vec::new();
                align_within(&reference, &hypothesis, most, &mut steps);
                prop_assert!(leads(&steps, &reference, &hypothesis), "{steps:?}");
                prop_assert_eq!(Counts::of(&steps).errors, fewest);
            }
        }
    }
}
