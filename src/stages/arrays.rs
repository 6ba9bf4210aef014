//! Arrays that records keep in files, a Kaldi archive that many share or a `.npy` each, and the scp that
//! names them all.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use crate::Record;
use crate::speech::fbank::Features;
use crate::speech::{ark, npy};

/// How arrays are stored.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Kaldi archives, each of many records.
    #[default]
    Ark,
    /// One `.npy` per utterance.
    Npy,
}

impl Format {
    /// Adds a matrix to the record of `utt_id`, as the field `field`.
    pub(super) fn matrix(
        self,
        record: Record,
        field: &str,
        utt_id: &str,
        matrix: &Features,
    ) -> Record {
        let shape = [matrix.num_frames(), matrix.dim];
        self.store(record, field, utt_id, &matrix.values, &shape, || ark::entry(utt_id, matrix))
    }

    /// Adds a vector to the record of `utt_id`, as the field `field`.
    #[cfg(feature = "candle")]
    pub(super) fn vector(
        self,
        record: Record,
        field: &str,
        utt_id: &str,
        vector: &[f32],
    ) -> Record {
        self.store(record, field, utt_id, vector, &[vector.len()], || ark::vector(utt_id, vector))
    }

    fn store(
        self,
        record: Record,
        field: &str,
        utt_id: &str,
        values: &[f32],
        shape: &[usize],
        entry: impl FnOnce() -> (Vec<u8>, usize),
    ) -> Record {
        match self {
            Self::Ark => {
                let (bytes, skip) = entry();
                record.append(field, &format!("{field}.ark"), bytes, skip)
            }
            Self::Npy => {
                let name = format!("{}.npy", file_name(utt_id));
                record.file(field, &name, npy::float32(values, shape))
            }
        }
    }
}

/// Writes the line of a record to the scp of `field`: `UTT_ID PATH`. Returns the utterance id.
pub(super) fn scp_line(
    scp: &mut impl Write,
    record: &Record,
    field: &str,
    output_dir: &Path,
) -> Result<String> {
    let utt_id: String = record.get("utt_id")?;
    let path = output_dir.join(record.get::<String>(field)?);
    writeln!(scp, "{utt_id} {}", path.display())?;
    Ok(utt_id)
}

/// An utterance id as a file name: bytes that a path would not take are `%XX`, so that no two ids
/// share a file.
pub(super) fn file_name(utt_id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+=@,".contains(&byte);
    let first_dot = utt_id.starts_with('.');
    let bytes = utt_id.bytes().enumerate();
    bytes
        .map(|(at, byte)| match byte {
            byte if plain(byte) && !(at == 0 && first_dot) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_and_distinct() {
        let ids = ["a-b_c.1", "a/b", "a%2Fb", "..", ".a", "é"];
        let names = ["a-b_c.1", "a%2Fb", "a%252Fb", "%2E.", "%2Ea", "%C3%A9"];
        assert_eq!(ids.map(file_name), names);
    }

    #[cfg(feature = "candle")]
    #[test]
    fn vectors_are_of_one_dimension() {
        let of = |format: Format| format.vector(Record::default(), "x", "a/b", &[0.5, 2.0]);
        let ark = &of(Format::Ark).files[0];
        assert_eq!((ark.name.as_str(), ark.skip, ark.whole), ("x.ark", 4, false));
        assert!(ark.bytes.starts_with(b"a/b \0BFV "));
        let npy = &of(Format::Npy).files[0];
        assert_eq!((npy.name.as_str(), npy.whole), ("a%2Fb.npy", true));
        assert!(String::from_utf8_lossy(&npy.bytes).contains("'shape': (2, )"));
    }
}
