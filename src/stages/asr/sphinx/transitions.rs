//! `transition_matrices`: how states follow each other within a phone.

use std::path::Path;

use anyhow::{Result, bail, ensure};

use super::s3file::S3File;
use super::units::{NEVER, SHIFT, fine};

/// PocketSphinx's `-tmatfloor`.
const FLOOR: f32 = 1e-4;

/// The transitions of a phone's states, in units, [`NEVER`] where there is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Matrix {
    /// From a state to itself, to the next one, and to the one after that. Behind the last state is
    /// the end.
    pub states: Vec<[i32; 3]>,
}

/// Reads the matrices.
///
/// # Errors
/// Names the file, and the transition that leads back or too far ahead.
pub(super) fn read(path: &Path) -> Result<Vec<Matrix>> {
    let place = path.display();
    let mut file = S3File::read(path)?;
    let [count, from, to] = file.counts()?;
    ensure!(from > 0 && to == from + 1, "{place}: matrices of {from} states to {to}");
    let values = file.floats(&[count, from, to])?;
    values
        .chunks_exact(from * to)
        .enumerate()
        .map(|(index, values)| {
            let rows = values.chunks_exact(to).enumerate();
            let states = rows.map(|(state, row)| {
            let mut logs = log_row(row);
            let reached = state..=(state + 2).min(from);
            let outside = (0..to).find(|at| !reached.contains(at) && logs[*at] != NEVER);
            if let Some(at) = outside {
                bail!(
                    "{place}: matrix {index} leads from state {state} to {at}: only left-to-right \
                     models are read, which leave out one state at most"
                );
            }
            logs.push(NEVER);
            Ok([logs[state], logs[state + 1], logs[state + 2]])
        });
            Ok(Matrix { states: states.collect::<Result<_>>()? })
        })
        .collect()
}

/// A row of counts or probabilities as PocketSphinx takes it: normalised, floored, normalised; a
/// una penalty is rounded towards zero, and a byte there.
fn log_row(row: &[f32]) -> Vec<i32> {
    let normalised = |row: &[f32]| -> Vec<f32> {
        let sum: f64 = row.iter().map(|&value| f64::from(value)).sum();
        let factor = if sum == 0.0 { 1.0 } else { 1.0 / sum };
        row.iter().map(|&value| (f64::from(value) * factor) as f32).collect()
    };
    let floored = |value: f32| if value == 0.0 { 0.0 } else { value.max(FLOOR) };
    let row: Vec<f32> = normalised(row).into_iter().map(floored).collect();
    let log = |value: f32| match value {
        0.0 => NEVER,
        value => -(-fine(f64::from(value).ln()) >> SHIFT).min(255),
    };
    normalised(&row).into_iter().map(log).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::s3_bytes;
    use super::*;

    fn read_values(values: &[f32]) -> Result<Vec<Matrix>> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let count = values.len() as u32;
        let bytes = s3_bytes(&[count / 6, 2, 3, count], values);
        fs::write(file.path(), bytes).expect("a file");
        read(file.path())
    }

    #[test]
    fn counts_become_logarithms() {
        let matrices = read_values(&[3.0, 1.0, 0.0, 0.0, 9999.0, 0.1]).expect("matrices");
        // ln 0.75 is -2.8 units, ln 0.25 -13.5; what is left of 0.1 in 10⁴ is floored.
        let expected = vec![[-2, -13, NEVER], [0, -89, NEVER]];
        assert_eq!(matrices, [Matrix { states: expected }]);
        let skipping = read_values(&[0.5, 0.25, 0.25, 0.0, 1.0, 1.0]).expect("matrices");
        assert_eq!(skipping[0].states[0], [-6, -13, -13]);
    }

    #[test]
    fn transitions_back_are_an_error() {
        let error = read_values(&[1.0, 1.0, 0.0, 0.5, 1.0, 1.0]).expect_err("a way back");
        assert!(error.to_string().contains("matrix 0 leads from state 1 to 0"), "{error}");
    }
}
