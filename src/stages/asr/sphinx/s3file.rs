//! CMU Sphinx's binary parameter files: a text header (`s3`, names and values, `endhdr`), the number
//! 0x11223344 that tells the byte order, counts, floats, and a checksum of all 32-bit words.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

const BYTE_ORDER: u32 = 0x1122_3344;

/// A file whose counts and floats are read one after another.
pub(super) struct S3File {
    path: PathBuf,
    words: Vec<u32>,
    at: usize,
    checksum: bool,
}

impl S3File {
    /// Reads a file and its header.
    ///
    /// # Errors
    /// Names the file, and what of the header is not as it should be.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes =
            fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))?;
        let (words, checksum) = parse(&bytes).with_context(|| path.display().to_string())?;
        Ok(Self { path: path.to_owned(), words, at: 0, checksum })
    }

    /// The next `N` counts.
    ///
    /// # Errors
    /// When the file ends before.
    pub(super) fn counts<const N: usize>(&mut self) -> Result<[usize; N]> {
        let words = self.take(N)?;
        Ok(std::array::from_fn(|index| words[index] as usize))
    }

    /// The floats, an array of the given shape, which is all that follows.
    ///
    /// # Errors
    /// When the file has more or fewer, a checksum that is not theirs, or what is no number.
    pub(super) fn floats(mut self, shape: &[usize]) -> Result<Vec<f32>> {
        let path = self.path.display().to_string();
        let [count] = self.counts()?;
        let expected = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        ensure!(
            expected == Some(count),
            "{path}: the header counts {count} values, for an array of {shape:?}"
        );
        let floats: Vec<f32> = self.take(count)?.iter().map(|&word| f32::from_bits(word)).collect();
        let sum = checksum(&self.words[..self.at]);
        if self.checksum {
            let [stored] = self.counts()?;
            ensure!(
                stored == sum as usize,
                "{path}: the checksum is {stored:08x}, and its values have {sum:08x}: \
                 the file is damaged, fetch it again"
            );
        }
        let more = self.words.len() - self.at;
        ensure!(more == 0, "{path}: {} bytes more than the header says", 4 * more);
        ensure!(floats.iter().all(|value| value.is_finite()), "{path}: NaN or infinity as a value");
        Ok(floats)
    }

    fn take(&mut self, count: usize) -> Result<&[u32]> {
        let left = self.words.len() - self.at;
        if left < count {
            bail!(
                "{}: truncated: {count} values should follow, there are {left}",
                self.path.display()
            );
        }
        self.at += count;
        Ok(&self.words[self.at - count..self.at])
    }
}

/// The words after the header in this machine's byte order, and whether the last is a checksum.
fn parse(bytes: &[u8]) -> Result<(Vec<u32>, bool)> {
    let mut rest = bytes;
    let mut line = || -> Result<&[u8]> {
        let end = rest.iter().position(|&byte| byte == b'\n').context("no header of an s3 file")?;
        let line = rest[..end].trim_ascii();
        rest = &rest[end + 1..];
        Ok(line)
    };
    ensure!(line()? == b"s3", "no s3 file: its first line is not `s3`");
    let mut checksum = false;
    loop {
        let line = line()?;
        if line == b"endhdr" {
            break;
        }
        checksum |= line.starts_with(b"chksum0");
    }
    let (chunks, rest) = rest.as_chunks::<4>();
    ensure!(rest.is_empty(), "truncated: its values are 4 bytes each, and {} are left", rest.len());
    let Some((magic, values)) = chunks.split_first() else { bail!("truncated after the header") };
    let read = match (u32::from_le_bytes(*magic), u32::from_be_bytes(*magic)) {
        (BYTE_ORDER, _) => u32::from_le_bytes,
        (_, BYTE_ORDER) => u32::from_be_bytes,
        (other, _) => bail!("{other:08x} in place of the byte order's mark, {BYTE_ORDER:08x}"),
    };
    Ok((values.iter().map(|word| read(*word)).collect(), checksum))
}

/// SphinxBase's (`bio.c`), for elements of four bytes.
pub(super) fn checksum(words: &[u32]) -> u32 {
    words.iter().fold(0, |sum: u32, word| sum.rotate_left(20).wrapping_add(*word))
}

#[cfg(test)]
mod tests {
    use super::super::testing::s3_bytes;
    use super::*;

    fn floats(bytes: &[u8]) -> Result<Vec<f32>> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), bytes).expect("a file");
        let mut file = S3File::read(file.path())?;
        let [rows, columns] = file.counts()?;
        file.floats(&[rows, columns])
    }

    fn error(bytes: &[u8]) -> String {
        let error = floats(bytes).expect_err("a bad file");
        format!("{error:#}").split_once(": ").expect("a path").1.to_owned()
    }

    #[test]
    fn both_byte_orders_are_read() {
        let bytes = s3_bytes(&[2, 2, 4], &[1.0, -2.5, 0.0, 3e-9]);
        assert_eq!(floats(&bytes).expect("floats"), [1.0, -2.5, 0.0, 3e-9]);
        let start = bytes.windows(7).position(|bytes| bytes == b"endhdr\n").expect("a header") + 7;
        let mut swapped = bytes.clone();
        swapped[start..].as_chunks_mut::<4>().0.iter_mut().for_each(|word| word.reverse());
        assert_eq!(floats(&swapped).expect("floats"), [1.0, -2.5, 0.0, 3e-9]);
    }

    #[test]
    fn damage_is_named() {
        let bytes = s3_bytes(&[2, 2, 4], &[1.0, -2.5, 0.0, 3.0]);
        let length = bytes.len();
        assert_eq!(error(&bytes[..length - 8]), "truncated: 4 values should follow, there are 3");
        assert_eq!(error(&bytes[..length - 4]), "truncated: 1 values should follow, there are 0");
        let odd = "truncated: its values are 4 bytes each, and 3 are left";
        assert_eq!(error(&bytes[..length - 1]), odd);
        assert_eq!(error(&bytes[..20]), "no header of an s3 file");
        let mut flipped = bytes.clone();
        flipped[length - 6] ^= 1;
        assert!(error(&flipped).starts_with("the checksum is "), "{}", error(&flipped));
        let more = [bytes.as_slice(), b"more"].concat();
        assert_eq!(error(&more), "4 bytes more than the header says");
        let wrong = s3_bytes(&[2, 3, 4], &[0.0; 4]);
        assert_eq!(error(&wrong), "the header counts 4 values, for an array of [2, 3]");
        assert_eq!(error(b"text\n"), "no s3 file: its first line is not `s3`");
        let nan = s3_bytes(&[1, 1, 1], &[f32::NAN]);
        assert_eq!(error(&nan), "NaN or infinity as a value");
    }
}
