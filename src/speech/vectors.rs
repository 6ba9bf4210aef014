//! Reading the vectors that an scp names: x-vectors and other embeddings, as Kaldi archives or `.npy`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// No embedding has more values; a header that says more is damaged.
const LARGEST: usize = 1 << 16;

/// Reads the vector at `place`, the rest of an scp's line: `ARK:OFFSET`, or the path of a `.npy` or of a
/// file with nothing but Kaldi's vector.
///
/// # Errors
/// Says what is wrong with the file, if it cannot be read, is damaged or holds no vector of floats.
pub(crate) fn read(place: &str) -> Result<Vec<f32>> {
    let offset = place.rsplit_once(':').and_then(|(path, at)| Some((path, at.parse().ok()?)));
    let (path, offset) = offset.unwrap_or((place, 0));
    let mut file = File::open(Path::new(path))?;
    file.seek(SeekFrom::Start(offset))?;
    let mut magic = [0; 6];
    file.read_exact(&mut magic).context("the file ends there")?;
    match &magic {
        b"\x93NUMPY" => npy(&mut file),
        [0, b'B', b'F', b'V', b' ', 4] => kaldi(&mut file, 4),
        [0, b'B', b'D', b'V', b' ', 4] => kaldi(&mut file, 8),
        [0, b'B', b'F' | b'D', b'M', ..] => bail!("a matrix, not a vector"),
        _ => bail!("neither a vector of Kaldi's in binary nor .npy"),
    }
}

/// `Vector::Read` in Kaldi's `matrix/kaldi-vector.cc`, after the mark of a 32-bit size.
fn kaldi(file: &mut File, width: usize) -> Result<Vec<f32>> {
    let mut size = [0; 4];
    file.read_exact(&mut size)?;
    let size = usize::try_from(i32::from_le_bytes(size)).context("damaged: a negative size")?;
    values(file, size, width)
}

/// The header is a Python literal of known form, such as
/// `{'descr': '<f4', 'fortran_order': False, 'shape': (256,), }`.
fn npy(file: &mut File) -> Result<Vec<f32>> {
    let mut version = [0; 2];
    file.read_exact(&mut version)?;
    let mut length = [0; 4];
    file.read_exact(&mut length[..if version[0] == 1 { 2 } else { 4 }])?;
    let length = u32::from_le_bytes(length) as usize;
    if length > LARGEST {
        bail!("damaged: a header of {length} bytes");
    }
    let mut header = vec![0; length];
    file.read_exact(&mut header)?;
    let header = String::from_utf8_lossy(&header);
    let width = match () {
        () if header.contains("'descr': '<f4'") => 4,
        () if header.contains("'descr': '<f8'") => 8,
        () => bail!("no array of floats: {}", header.trim_end()),
    };
    let shape = header.split_once("'shape': (").and_then(|(_, rest)| Some(rest.split_once(')')?.0));
    let shape = shape.context("damaged: a header without a shape")?;
    let sizes: Vec<usize> = shape
        .split(',')
        .filter(|size| !size.trim().is_empty())
        .map(|size| size.trim().parse().with_context(|| format!("damaged: the shape ({shape})")))
        .collect::<Result<_>>()?;
    // (1, 256) is a vector too.
    if sizes.iter().filter(|size| **size > 1).count() > 1 {
        bail!("an array of shape ({shape}), not a vector");
    }
    values(file, sizes.into_iter().max().unwrap_or(1), width)
}

fn values(file: &mut File, size: usize, width: usize) -> Result<Vec<f32>> {
    if size > LARGEST {
        bail!("damaged: a vector of {size} values");
    }
    let mut bytes = vec![0; size * width];
    file.read_exact(&mut bytes).context("the file ends within the vector")?;
    Ok(match width {
        4 => bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect(),
        _ => bytes.as_chunks::<8>().0.iter().map(|word| f64::from_le_bytes(*word) as f32).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::testing::write;
    use crate::speech::{ark, npy};

    #[test]
    fn what_is_written_is_read() {
        let values = [0.5, -2.0, 1e-9];
        let (entry, skip) = ark::vector("utt:1", &values);
        let double: Vec<u8> = values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
        let double = [b"\0BDV \x04\x03\0\0\0", &double[..]].concat();
        let doubles = values.map(f64::from);
        let files = [
            ([b"x \0BFV \x04\0\0\0\0", &entry[..]].concat(), format!(":{}", 12 + skip)),
            (double, String::new()),
            (npy::float32(&values, &[3]), String::new()),
            (npy::float32(&values, &[1, 3]), ":0".to_owned()),
            (npy::float64(&doubles, &[3]), String::new()),
        ];
        for (bytes, at) in files {
            let (_dir, path) = write("a:b", &bytes);
            assert_eq!(read(&format!("{}{at}", path.display())).expect("a vector"), values);
        }
    }

    #[test]
    fn what_is_no_vector_says_why() {
        let (entry, skip) = ark::vector("u", &[1.0; 4]);
        let object = &entry[skip..];
        let mut damaged = object.to_vec();
        damaged[6..10].copy_from_slice(&[0xff; 4]);
        let mut huge = object.to_vec();
        huge[9] = 0x7f;
        let numpy = npy::float32(&[1.0; 4], &[2, 2]);
        // Version 2 has four bytes of length, and here two of them are text.
        let mut version = numpy.clone();
        version[6] = 2;
        let cases: [(&[u8], &str); 9] = [
            (b"", "the file ends there"),
            (b"1 2 3 4 5", "neither a vector"),
            (b"\0BFM \x04", "a matrix, not a vector"),
            (&object[..object.len() - 1], "the file ends within the vector"),
            (&damaged, "damaged: a negative size"),
            (&huge, "damaged: a vector of"),
            (&numpy, "an array of shape (2, 2, ), not a vector"),
            (&npy::int64(3), "no array of floats"),
            (&version, "damaged: a header of"),
        ];
        for (bytes, expected) in cases {
            let (_dir, path) = write("a", bytes);
            let error = read(&path.to_string_lossy()).expect_err(expected);
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
    }
}
