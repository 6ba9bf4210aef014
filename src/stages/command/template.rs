//! Texts with `{name}` in them, which is filled in for each item.

use anyhow::{Result, bail};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor};

/// A text with places to fill in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Name(String),
}

impl Template {
    /// `{name}` is a place, `{{` and `}}` are braces.
    ///
    /// # Errors
    /// A brace that is neither.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (mut parts, mut literal) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal += &rest[..at];
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal += brace;
                rest = after;
                continue;
            }
            let Some((name, after)) = rest.split_once('}').filter(|_| brace == "{") else {
                bail!("`{brace}` has no partner in `{text}`; for a brace write `{brace}{brace}`");
            };
            parts.push(Part::Text(std::mem::take(&mut literal)));
            parts.push(Part::Name(name.to_owned()));
            rest = after;
        }
        parts.push(Part::Text(literal + rest));
        Ok(Self { text: text.to_owned(), parts })
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The names of its places.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text with every place filled in.
    ///
    /// # Errors
    /// Those of `value_of`.
    pub(super) fn fill(&self, value_of: impl Fn(&str) -> Result<String>) -> Result<String> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled += text,
                Part::Name(name) => filled += &value_of(name)?,
            }
        }
        Ok(filled)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = Template;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text (in quotes: \"{wav}\")")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Template, E> {
                Template::parse(text).map_err(E::custom)
            }

            // `-r, 16000` needs no quotes; what has more than one spelling does.
            fn visit_u64<E: Error>(self, n: u64) -> Result<Template, E> {
                self.visit_str(&n.to_string())
            }

            fn visit_i64<E: Error>(self, n: i64) -> Result<Template, E> {
                self.visit_str(&n.to_string())
            }
        }
        deserializer.deserialize_any(Word)
    }
}

/// A program and its arguments.
#[derive(Debug, Clone)]
pub(super) struct Argv(pub Vec<Template>);

impl<'de> Deserialize<'de> for Argv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Argv;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "a list, one text an argument (no shell reads it; for one: [bash, -c, \"…\"])",
                )
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Argv, E> {
                Err(E::invalid_type(Unexpected::Str(text), &self))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<Argv, A::Error> {
                let mut argv = Vec::new();
                while let Some(word) = words.next_element()? {
                    argv.push(word);
                }
                Ok(Argv(argv))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        let template = Template::parse(text).expect(text);
        template.fill(|name| Ok(format!("<{name}>"))).expect("fills")
    }

    #[test]
    fn places_are_filled_and_double_braces_are_braces() {
        for (text, wanted) in [
            ("", ""),
            ("plain", "plain"),
            ("{wav}", "<wav>"),
            ("{out}/{utt_id}.wav", "<out>/<utt_id>.wav"),
            ("{{wav}}", "{wav}"),
            ("{{{wav}}}", "{<wav>}"),
            ("{{}}{a}{b}", "{}<a><b>"),
            ("ü{ä}ö", "ü<ä>ö"),
            ("{a b}", "<a b>"),
        ] {
            assert_eq!(filled(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_value_is_not_read_again() {
        let template = Template::parse("{a}").expect("parses");
        let value = template.fill(|_| Ok("{b} }} $(x)".to_owned())).expect("fills");
        assert_eq!(value, "{b} }} $(x)");
    }

    #[test]
    fn a_brace_alone_is_an_error() {
        for text in ["{", "}", "a}b", "{wav", "{{{", "{a}}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
