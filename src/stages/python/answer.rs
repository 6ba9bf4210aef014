//! What a Python process answers: fates of items, long lists of floats beside them.

use anyhow::{Context, Result};
use serde::{Deserialize, Serializer as _};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::computer::Failure;
use crate::item_error::ErrorKind;
use crate::record::Record;

/// What it answers, to whatever it was asked.
#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    /// The fates of the next items.
    #[serde(borrow)]
    pub done: Option<Vec<&'a RawValue>>,
    /// In their texts, what stands for long lists of floats: this, and the list's number.
    #[serde(borrow)]
    pub word: Option<&'a str>,
    /// The length of each list; the numbers are behind the message's first line.
    #[serde(default)]
    pub floats: Vec<usize>,
    /// No more comes, though items are left: they are asked for again.
    #[serde(default)]
    pub paused: bool,
    /// The process cannot compute any more.
    #[serde(default)]
    pub spoilt: bool,
    /// The fate of the item whose writer failed.
    #[serde(borrow)]
    pub tainted: Option<&'a RawValue>,
    pub ok: Option<(Value,)>,
    pub failed: Option<String>,
}

impl<'a> Answer<'a> {
    /// An answer, and the numbers that came with it.
    pub(super) fn parse(message: &'a [u8]) -> Result<(Self, &'a [u8])> {
        let end = memchr::memchr(b'\n', message).unwrap_or(message.len());
        let (text, rest) = message.split_at(end);
        let answer =
            serde_json::from_slice(text).context("the Python process answered with no JSON")?;
        Ok((answer, rest.get(1..).unwrap_or_default()))
    }
}

/// The long lists of floats of an answer.
pub(super) struct Lists<'m> {
    word: Option<&'m str>,
    lists: Vec<&'m [u8]>,
}

impl<'m> Lists<'m> {
    pub(super) fn new(answer: &Answer<'m>, mut numbers: &'m [u8]) -> Result<Self> {
        let mut lists = Vec::with_capacity(answer.floats.len());
        for length in &answer.floats {
            let split = length.checked_mul(8).and_then(|bytes| numbers.split_at_checked(bytes));
            let (list, rest) = split.context("the Python process sent too few numbers")?;
            lists.push(list);
            numbers = rest;
        }
        Ok(Self { word: answer.word, lists })
    }

    /// An item's fate, as the process tells it: a record's fields, or a list that says how it failed.
    pub(super) fn read_fate(
        &self,
        fate: &RawValue,
    ) -> Result<std::result::Result<Record, Failure>> {
        if fate.get().starts_with('{') {
            return Ok(Ok(Record::of_object(self.put_in(fate.get())?)));
        }
        let (_, error, item): (String, String, Option<String>) =
            serde_json::from_str(fate.get()).context("the Python process sent an odd result")?;
        Ok(Err(Failure { item, ..Failure::new(ErrorKind::Error, error) }))
    }

    /// A text with its lists of floats in their places. NaN and infinity are null.
    fn put_in(&self, text: &str) -> Result<String> {
        let Some(word) = self.word else { return Ok(text.to_owned()) };
        let mut whole =
            Vec::with_capacity(text.len() + 20 * self.lists.first().map_or(0, |one| one.len() / 8));
        let mut rest = text;
        while let Some(at) = rest.find(word) {
            // Its quotes go, too.
            whole.extend_from_slice(&rest.as_bytes()[..at.saturating_sub(1)]);
            let (number, after) = rest[at + word.len()..]
                .split_once('"')
                .context("a list of floats has no number")?;
            let list =
                self.lists.get(number.parse::<usize>()?).context("a list of floats is missing")?;
            let (numbers, _) = list.as_chunks::<8>();
            let numbers = numbers.iter().map(|bytes| f64::from_ne_bytes(*bytes));
            serde_json::Serializer::new(&mut whole).collect_seq(numbers)?;
            rest = after;
        }
        whole.extend_from_slice(rest.as_bytes());
        String::from_utf8(whole).context("a record is not UTF-8")
    }
}
