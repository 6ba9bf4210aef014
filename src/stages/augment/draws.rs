//! Random numbers that depend on what they are for, and on nothing else.

use sha2::{Digest, Sha256};

/// The random numbers of one item. Each has a name, and is the SHA-256 of seed, utterance id and name:
/// the order in which items are computed, their number and their neighbours do not matter, and no
/// later version of a library can change it.
pub(super) struct Draws(Sha256);

impl Draws {
    pub(super) fn new(seed: u64, utt_id: &str) -> Self {
        Self(Sha256::new_with_prefix(format!("{seed}\n{utt_id}\n")))
    }

    /// A number in `[0, 1)`, uniformly: the first 53 bits of the hash.
    pub(super) fn unit(&self, name: &str) -> f64 {
        let hash = self.0.clone().chain_update(name).finalize();
        let first = hash.iter().take(8).fold(0, |bits: u64, byte| bits << 8 | u64::from(*byte));
        (first >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of the numbers `0..n`, uniformly, for `n` far below 2^53.
    pub(super) fn below(&self, name: &str, n: u64) -> u64 {
        (self.unit(name) * n as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_pinned() {
        // python3 -c 'import hashlib; h = hashlib.sha256(b"7\nutt1\nnoise").digest()
        // print((int.from_bytes(h[:8], "big") >> 11) / 2**53)'
        assert_eq!(Draws::new(7, "utt1").unit("noise"), 0.098_699_384_341_688_35);
    }

    #[test]
    fn they_are_spread_evenly_and_are_not_each_others() {
        let mut counts = [0; 10];
        for utterance in 0..2000 {
            let draws = Draws::new(0, &format!("utt{utterance}"));
            assert_ne!(draws.unit("noise"), draws.unit("rir"));
            counts[draws.below("noise", 10) as usize] += 1;
        }
        // 200 each; the standard deviation is 13.
        assert!(counts.iter().all(|count| (140..260).contains(count)), "{counts:?}");
        assert_ne!(Draws::new(0, "utt").unit("rir"), Draws::new(1, "utt").unit("rir"));
    }
}
