//! Which items to compute: `0-99,200` on the command line or in a config.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A set of item indices as ranges: in order, not empty, with gaps between them.
///
/// It is written as a list of `[start, end)` pairs.
///
/// ```
/// use espnet3_par::Indices;
///
/// // As on the command line: both ends of a range belong to it.
/// let indices: Indices = "0-99,200".parse()?;
/// assert_eq!(indices, Indices::new(vec![200..201, 50..100, 0..60]));
/// assert_eq!((indices.len(), indices.last()), (101, Some(200)));
/// assert!(indices.contains(99) && !indices.contains(100));
/// assert_eq!(indices.ranges().collect::<Vec<_>>(), [0..100, 200..201]);
/// assert_eq!(Indices::all(3).into_iter().collect::<Vec<_>>(), [0, 1, 2]);
/// assert!(Indices::all(0).is_empty());
/// assert_eq!(serde_json::to_string(&indices)?, "[[0,100],[200,201]]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indices(Vec<Range<u64>>);

impl Indices {
    /// The set of everything in `ranges`, which may overlap and come in any order.
    #[must_use]
    pub fn new(mut ranges: Vec<Range<u64>>) -> Self {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_by_key(|range| range.start);
        let mut joined: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        Self(joined)
    }

    /// All of `0..n`.
    #[must_use]
    pub fn all(n: u64) -> Self {
        Self::new(std::iter::once(0..n).collect())
    }

    /// The indices at positions `start..end`, counted from the lowest one.
    #[must_use]
    pub(crate) fn slice(&self, start: u64, end: u64) -> Self {
        let mut before = 0;
        let mut ranges = Vec::new();
        for range in &self.0 {
            let len = range.end - range.start;
            let from = start.clamp(before, before + len) - before;
            let to = end.clamp(before, before + len) - before;
            ranges.push(range.start + from..range.start + to);
            before += len;
        }
        Self::new(ranges)
    }

    /// Whether `idx` is one of them.
    #[must_use]
    pub fn contains(&self, idx: u64) -> bool {
        let after = self.0.partition_point(|range| range.start <= idx);
        after > 0 && idx < self.0[after - 1].end
    }

    /// The highest one.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.0.last().map(|range| range.end - 1)
    }

    /// How many indices there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// Whether there is no index.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, from low to high.
    #[must_use]
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range<u64>> + '_ {
        self.0.iter().cloned()
    }
}

impl IntoIterator for Indices {
    type Item = u64;
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<Range<u64>>>;

    /// From low to high.
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}

/// A piece of a list of indices that is none.
///
/// ```
/// use espnet3_par::{Indices, IndicesError};
///
/// let error: IndicesError = "0-99,9-3".parse::<Indices>().expect_err("from 9 down to 3");
/// let words = "`9-3` runs backwards; write indices and ranges, as in `0-99,200`";
/// assert_eq!(error.to_string(), words);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndicesError {
    piece: String,
    what: &'static str,
}

impl fmt::Display for IndicesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}; write indices and ranges, as in `0-99,200`", self.piece, self.what)
    }
}

impl std::error::Error for IndicesError {}

impl FromStr for Indices {
    type Err = IndicesError;

    /// Reads `0-99,200`; both ends of a range belong to it.
    fn from_str(text: &str) -> Result<Self, IndicesError> {
        text.split(',').map(piece).collect::<Result<_, _>>().map(Self::new)
    }
}

fn piece(text: &str) -> Result<Range<u64>, IndicesError> {
    let error = |what| IndicesError { piece: text.trim().to_owned(), what };
    let number = |text: &str| {
        let text = text.trim();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // The largest of all has no index after it to end a range at.
        let n = text.parse::<u64>().ok().filter(|&n| digits && n < u64::MAX);
        n.ok_or_else(|| error("is not an index"))
    };
    let (first, last) = match text.split_once('-') {
        Some((first, _)) if first.trim().is_empty() => return Err(error("is not an index")),
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    if first > last {
        return Err(error("runs backwards"));
    }
    Ok(first..last + 1)
}

impl Serialize for Indices {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|range| (range.start, range.end)))
    }
}

impl<'de> Deserialize<'de> for Indices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(u64, u64)>::deserialize(deserializer)?;
        if let Some((start, end)) = pairs.iter().find(|(start, end)| start >= end) {
            return Err(D::Error::custom(format!("[{start}, {end}) is not a range")));
        }
        Ok(Self::new(pairs.into_iter().map(|(start, end)| start..end).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices() {
        let indices: Indices = "0-4,10,20-29".parse().expect("reads");
        assert_eq!(indices.slice(3, 8).into_iter().collect::<Vec<_>>(), [3, 4, 10, 20, 21]);
        assert_eq!(indices.slice(0, 16), indices);
        assert!(indices.slice(5, 5).is_empty());
        let within: Vec<u64> = (0..40).filter(|idx| indices.contains(*idx)).collect();
        assert_eq!(within, indices.clone().into_iter().collect::<Vec<_>>());
        assert_eq!((indices.last(), Indices::all(0).last()), (Some(29), None));
    }

    #[test]
    fn reading() {
        for (text, want, len) in [
            ("0", "[[0,1]]", 1),
            ("0-99,200", "[[0,100],[200,201]]", 101),
            (" 5 , 1 - 2 ", "[[1,3],[5,6]]", 3),
            ("3,3,3", "[[3,4]]", 1),
            ("4-6,0-4", "[[0,7]]", 7),
            ("0-1,2-3", "[[0,4]]", 4),
            ("0-9,2-3", "[[0,10]]", 10),
        ] {
            let indices: Indices = text.parse().expect(text);
            let json = serde_json::to_string(&indices).expect("plain numbers");
            assert_eq!((json.as_str(), indices.len()), (want, len), "{text}");
            assert_eq!(serde_json::from_str::<Indices>(&json).expect("its own words"), indices);
        }
    }

    #[test]
    fn refusing() {
        for (text, want) in [
            ("9-3", "`9-3` runs backwards"),
            ("-1", "`-1` is not an index"),
            ("a", "`a` is not an index"),
            ("1,x-2,3", "`x-2` is not an index"),
            ("1-2-3", "`1-2-3` is not an index"),
            ("", "`` is not an index"),
            ("1,", "`` is not an index"),
            ("+1", "`+1` is not an index"),
            ("18446744073709551615", "`18446744073709551615` is not an index"),
        ] {
            let error = text.parse::<Indices>().expect_err(text).to_string();
            assert_eq!(error, format!("{want}; write indices and ranges, as in `0-99,200`"));
        }
        assert!(serde_json::from_str::<Indices>("[[3,3]]").is_err());
    }
}
