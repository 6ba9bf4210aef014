//! Kaldi's binary archives: a key, a space, and a float matrix or vector.
//!
//! The format is that of `Matrix<float>::Write` and `Vector<float>::Write` in Kaldi's
//! `matrix/kaldi-matrix.cc` and `matrix/kaldi-vector.cc`.

use super::fbank::Features;

/// The archive entry of `features`, and where in it the object starts that an scp points to.
///
/// ```
/// use espnet3_par::Record;
/// use espnet3_par::speech::ark;
/// use espnet3_par::speech::fbank::Features;
///
/// // Two frames of three values.
/// let features = Features { values: vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0], dim: 3 };
/// let (bytes, skip) = ark::entry("utt1", &features);
/// assert!(bytes.starts_with(b"utt1 \0BFM "));
/// assert_eq!(skip, "utt1 ".len());
/// // 15 bytes of header, then 32-bit floats.
/// assert_eq!(bytes.len(), skip + 15 + 4 * 6);
/// // All records of a shard share the archive; each has its `feats.ark:OFFSET`.
/// let record = Record::default().append("feats", "feats.ark", bytes, skip);
/// ```
/// # Panics
/// If there are 2^31 frames.
#[must_use]
pub fn entry(key: &str, features: &Features) -> (Vec<u8>, usize) {
    let mut bytes = Vec::with_capacity(key.len() + 16 + 4 * features.values.len());
    bytes.extend_from_slice(key.as_bytes());
    bytes.push(b' ');
    let skip = bytes.len();
    bytes.extend_from_slice(b"\0BFM ");
    for size in [features.num_frames(), features.dim] {
        bytes.push(4);
        let size = i32::try_from(size).expect("a matrix of 2^31 rows would not fit in memory");
        bytes.extend_from_slice(&size.to_le_bytes());
    }
    bytes.extend(features.values.iter().flat_map(|value| value.to_le_bytes()));
    (bytes, skip)
}

/// A matrix of doubles as a file of its own, without a key: `WriteKaldiObject` in Kaldi's
/// `util/kaldi-io.h`. `values` has `rows` rows, one after another.
///
/// # Panics
/// If there are 2^31 columns.
#[must_use]
pub(crate) fn matrix_of_doubles(values: &[f64], rows: usize) -> Vec<u8> {
    let mut bytes = b"\0BDM ".to_vec();
    for size in [rows, values.len() / rows] {
        bytes.push(4);
        let size = i32::try_from(size).expect("a matrix of 2^31 columns would not fit in memory");
        bytes.extend_from_slice(&size.to_le_bytes());
    }
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// The archive entry of a vector, such as an x-vector, and where in it the object starts.
///
/// ```
/// use espnet3_par::speech::ark;
///
/// let (bytes, skip) = ark::vector("utt1", &[0.5, 2.0]);
/// assert_eq!(&bytes[skip..], b"\0BFV \x04\x02\0\0\0\0\0\0\x3f\0\0\0\x40");
/// ```
/// # Panics
/// If there are 2^31 values.
#[must_use]
pub fn vector(key: &str, values: &[f32]) -> (Vec<u8>, usize) {
    let size = i32::try_from(values.len()).expect("a vector of 2^31 values is no embedding");
    let mut bytes = [key.as_bytes(), b" \0BFV \x04", &size.to_le_bytes()].concat();
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    (bytes, key.len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_as_kaldi_writes_them() {
        let features = Features { values: vec![1.0, -2.0, 0.5, 0.0], dim: 2 };
        let (bytes, skip) = entry("utt1", &features);
        assert_eq!(&bytes[..skip], b"utt1 ");
        let object = b"\0BFM \x04\x02\0\0\0\x04\x02\0\0\0\0\0\x80\x3f\0\0\0\xc0\0\0\0\x3f\0\0\0\0";
        assert_eq!(&bytes[skip..], object);
    }
}
