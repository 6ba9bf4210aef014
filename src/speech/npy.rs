//! NumPy's `.npy` (format 1.0) and `.npz`.
//!
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

/// A `.npy` of 32-bit floats in C order.
///
/// ```
/// use espnet3_par::Record;
/// use espnet3_par::speech::npy;
///
/// // Two rows of three values.
/// let bytes = npy::float32(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], &[2, 3]);
/// assert!(bytes.starts_with(b"\x93NUMPY"));
/// let record = Record::default().file("embedding", "utt1.npy", bytes);
/// ```
#[must_use]
pub fn float32(values: &[f32], shape: &[usize]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    array("<f4", shape, &data)
}

/// A `.npy` of 64-bit floats in C order.
#[must_use]
pub(crate) fn float64(values: &[f64], shape: &[usize]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    array("<f8", shape, &data)
}

/// A `.npy` of one 64-bit integer.
#[must_use]
pub(crate) fn int64(value: i64) -> Vec<u8> {
    array("<i8", &[], &value.to_le_bytes())
}

fn array(kind: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    const MAGIC: &[u8] = b"\x93NUMPY\x01\0";
    let shape: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    // The data starts at a multiple of 64 bytes, after the magic, two bytes of length and a newline.
    let unpadded = MAGIC.len() + 2 + header.len() + 1;
    header.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let length = u16::try_from(header.len()).expect("a header is under 200 bytes");
    [MAGIC, &length.to_le_bytes(), header.as_bytes(), data].concat()
}

/// A `.npz`: a ZIP archive of uncompressed `.npy` files, as `numpy.savez` writes.
///
/// The records are those of PKWARE's APPNOTE, sections 4.3.7, 4.3.12 and 4.3.16.
///
/// # Panics
/// If an array has 4 GiB.
#[must_use]
pub(crate) fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    // 1 January 1980, ZIP's earliest: the same input gives the same bytes.
    const TIME_AND_DATE: [u8; 4] = [0, 0, 0x21, 0];
    let size = |length: usize| u32::try_from(length).expect("under 4 GiB").to_le_bytes();
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, array) in arrays {
        let name = format!("{name}.npy");
        let mut entry = vec![20, 0, 0, 0, 0, 0];
        entry.extend(TIME_AND_DATE);
        entry.extend(crc32(array).to_le_bytes());
        entry.extend([size(array.len()), size(array.len()), size(name.len())].concat());
        let start = bytes.len();
        bytes.extend([b"PK\x03\x04", &entry[..], name.as_bytes(), array].concat());
        // The last four bytes of `entry` are two fields: the lengths of the name and of no extra.
        directory.extend([b"PK\x01\x02\x14\0", &entry[..], &[0; 10], &size(start)].concat());
        directory.extend(name.as_bytes());
    }
    let count = u16::try_from(arrays.len()).expect("a few arrays").to_le_bytes();
    let end = [&[0; 4], &count[..], &count, &size(directory.len()), &size(bytes.len()), &[0; 2]];
    [&bytes[..], &directory, b"PK\x05\x06", &end.concat()].concat()
}

/// CRC-32 (ISO-HDLC), bit by bit: the arrays are small.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_ends_on_a_multiple_of_64() {
        let bytes = float32(&[1.0, 2.0], &[1, 2]);
        assert_eq!(bytes.len(), 128 + 8);
        assert!(bytes.starts_with(b"\x93NUMPY\x01\0\x76\0{'descr': '<f4'"));
        assert!(bytes[..128].ends_with(b" \n"));
        assert!(String::from_utf8_lossy(&bytes[..128]).contains("'shape': (1, 2, ),"));
    }

    #[test]
    fn crc_is_the_one_of_zip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
