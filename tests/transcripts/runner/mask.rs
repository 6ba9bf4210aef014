//! What differs from run to run, made the same.

use std::path::Path;

/// Patterns and what is written in their place: `9` is a digit, `?` a hexadecimal one, `*` as many
/// digits as there are, `~` a word.
const MASKS: &[(&str, &str)] = &[
    ("9999-99-99T99:99:99.*Z", "[TIME]"),
    ("9999-99-99 99:99:99", "[TIME]"),
    ("w????????", "[WORKER]"),
    ("env built in *.* s", "env built in [SECONDS] s"),
    (" on ~ pid *", " on [HOST] pid [PID]"),
    ("\"pid\": *", "\"pid\": [PID]"),
    ("\"host\": \"~\"", "\"host\": \"[HOST]\""),
    ("\"pid\":*", "\"pid\":[PID]"),
    ("\"start\":*", "\"start\":[START]"),
    ("\"host\":\"~\"", "\"host\":\"[HOST]\""),
    ("\"boot\":\"~ pid:[*]\"", "\"boot\":\"[BOOT]\""),
    ("\"run\":*", "\"run\":[INODE]"),
    (", seen * s ago", ", seen [N] s ago"),
    ("  running, *.*/s", "  running, [RATE]/s"),
    ("\"seen\": *", "\"seen\": [SECONDS]"),
    ("\"rate\": *.*", "\"rate\": [RATE]"),
    ("\"unique\": \"????????\"", "\"unique\": \"[UNIQUE]\""),
];

/// `text` without what differs from run to run.
pub(crate) fn mask(text: &str, folder: &Path, bin: &Path) -> String {
    let toy = std::fs::canonicalize(bin.join("espnet3-par")).expect("the link has a target");
    let mut text = text
        .replace(&toy.display().to_string(), "[PROGRAM]")
        .replace(&folder.display().to_string(), "[HERE]");
    for (pattern, instead) in MASKS {
        text = replace(&text, pattern, instead);
    }
    text
}

fn replace(text: &str, pattern: &str, instead: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(length) = matched(rest, pattern) {
            out += instead;
            rest = &rest[length..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// How much of `text` starts with `pattern`.
fn matched(text: &str, pattern: &str) -> Option<usize> {
    let mut at = 0;
    for mark in pattern.chars() {
        let rest = &text[at..];
        at += match mark {
            '*' => run(rest, |c| c.is_ascii_digit())?,
            '~' => run(rest, |c| c.is_alphanumeric() || "-_.".contains(c))?,
            '9' => rest.starts_with(|c: char| c.is_ascii_digit()).then_some(1)?,
            '?' => rest.starts_with(|c: char| c.is_ascii_hexdigit()).then_some(1)?,
            other => rest.starts_with(other).then_some(other.len_utf8())?,
        };
    }
    Some(at)
}

fn run(text: &str, wanted: impl Fn(char) -> bool) -> Option<usize> {
    let length = text.find(|c| !wanted(c)).unwrap_or(text.len());
    (length > 0).then_some(length)
}

/// The first line where two texts differ, with a few around it.
pub(crate) fn difference(file: &Path, want: &str, got: &str) -> String {
    let (want, got): (Vec<_>, Vec<_>) = (want.lines().collect(), got.lines().collect());
    let same = want.iter().zip(&got).take_while(|(want, got)| want == got).count();
    let some = |lines: &[&str], sign: char| -> String {
        lines.iter().skip(same).take(6).map(|line| format!("{sign} {line}\n")).collect()
    };
    format!("{}:{}\n{}{}", file.display(), same + 1, some(&want, '-'), some(&got, '+'))
}
