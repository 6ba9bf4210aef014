//! An alignment for people, as sclite's `pra` report has it.

use super::align::Step;

/// The lines REF, HYP and Eval: each word of one over its own of the other, `***` where there is
/// none, and `S`, `D` or `I` under those that are wrong.
pub(super) fn lines(steps: &[Step], said: &[String], heard: &[String]) -> [String; 3] {
    let (mut said, mut heard) = (said.iter(), heard.iter());
    let mut lines = [String::new(), String::new(), String::new()];
    for step in steps {
        let said = if *step == Step::Insertion { None } else { said.next() };
        let heard = if *step == Step::Deletion { None } else { heard.next() };
        let width = [said, heard].into_iter().flatten().map(|word| word.chars().count()).max();
        let width = width.unwrap_or(0);
        let stars = "*".repeat(width);
        let word = |word: Option<&String>| word.cloned().unwrap_or_else(|| stars.clone());
        let letter = match step {
            Step::Correct => "",
            Step::Substitution => "S",
            Step::Deletion => "D",
            Step::Insertion => "I",
        };
        for (line, word) in lines.iter_mut().zip([word(said), word(heard), letter.to_owned()]) {
            *line += &format!("{word:width$} ");
        }
    }
    lines.map(|line| line.trim_end().to_owned())
}
