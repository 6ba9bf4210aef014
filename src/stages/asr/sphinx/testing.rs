//! A small model for tests.

use std::fs;
use std::path::Path;

use super::mdef::Phones;
use super::s3file::checksum;

/// A Sphinx file of the given counts and floats.
pub(super) fn s3_bytes(counts: &[u32], floats: &[f32]) -> Vec<u8> {
    let mut words = counts.to_vec();
    words.extend(floats.iter().map(|value| value.to_bits()));
    words.push(checksum(&words));
    let mut bytes = b"s3\nversion 1.0\nchksum0 yes\n     endhdr\n".to_vec();
    bytes.extend(0x1122_3344_u32.to_le_bytes());
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    bytes
}

const MDEF: &str = "0.3\n3 n_base\n0 n_tri\n9 n_state_map\n6 n_tied_state\n6 n_tied_ci_state\n\
    3 n_tied_tmat\nA - - - n/a 0 0 1 N\nB - - - n/a 1 2 3 N\nSIL - - - filler 2 4 5 N\n";

/// Phones A, B and SIL of two states each.
pub(super) fn phones() -> Phones {
    super::mdef::parse(Path::new("toy/mdef"), MDEF).expect("phones")
}

/// Writes a model with those phones, two cepstra and 8 kHz.
pub(super) fn write_model(folder: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("a file");
    write("mdef", MDEF.as_bytes());
    write("feat.params", b"-samprate 8000 -upperf 3500\n-ncep 2 -nfilt 10 -cmn current\n");
    write("noisedict", b"<s> SIL\n</s> SIL\n<sil> SIL\n");
    // Each state has a mean of its own for the first cepstrum.
    let means: Vec<f32> =
        (0..36).map(|at| if at % 6 == 0 { at as f32 / 12.0 - 1.5 } else { 0.0 }).collect();
    write("means", &s3_bytes(&[6, 1, 1, 6, 36], &means));
    write("variances", &s3_bytes(&[6, 1, 1, 6, 36], &[1.0; 36]));
    write("mixture_weights", &s3_bytes(&[6, 1, 1, 6], &[1.0; 6]));
    let matrix = [1.0, 1.0, 0.0, 0.0, 1.0, 1.0];
    write("transition_matrices", &s3_bytes(&[3, 2, 3, 18], &matrix.repeat(3)));
}
