//! The YAML parser's complaints in the words of someone who writes configs.

use serde_yaml::granit_parser::{ErrorKind, ScanError};

use super::tree::Pos;
use super::yaml::Fault;

/// What `error` in `text` means, where it really is, and what to do.
pub(super) fn explain(error: &ScanError, text: &str) -> Fault {
    let mark = error.marker();
    let lines: Vec<&str> = text.lines().collect();
    let line = mark.line().clamp(1, lines.len().max(1));
    let shown = lines.get(line - 1).copied().unwrap_or_default();
    let column = if mark.line() > line { shown.chars().count() } else { mark.col() + 1 };
    let pos = Pos { line, column: column.max(1), width: 1 };
    let before: String = shown.chars().take(pos.column - 1).collect();
    let at = |pos, message: &str, hint: &str| Fault {
        pos,
        message: message.to_owned(),
        hint: Some(hint.to_owned()).filter(|hint| !hint.is_empty()),
    };
    match error.kind() {
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => {
            at(open_quote(&lines, line).unwrap_or(pos), "this quote is not closed", "")
        }
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            at(pos, "text after the closing quote", "put the whole value into one pair of quotes")
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation => {
            let column = shown.find('\t').map_or(pos.column, |i| shown[..i].chars().count() + 1);
            at(Pos { column, ..pos }, "a tab in the indentation", "YAML indents with spaces only")
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            if before.contains(": ") {
                at(pos, "a value with `: ` in it needs quotes", "")
            } else {
                let hint = "align it with the key it belongs beside";
                at(pos, "this key is indented deeper than its place allows", hint)
            }
        }
        ErrorKind::ExpectedFlowMappingSeparator => {
            at(pos, "a `,` or `}` is missing before this", flow_hint(shown))
        }
        ErrorKind::ExpectedFlowSequenceSeparator => {
            at(pos, "a `,` or `]` is missing before this", flow_hint(shown))
        }
        ErrorKind::UnclosedFlowCollection { open } => {
            at(pos, &format!("this `{open}` is not closed"), flow_hint(shown))
        }
        ErrorKind::UnknownAnchor => {
            at(pos, "there is no anchor of this name above", "an anchor is made with `&name`")
        }
        ErrorKind::UnexpectedCharacter { character } => {
            at(pos, &format!("a text cannot start with `{character}`"), "put it in quotes")
        }
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::SimpleKeyExpected => {
            at(pos, "a `key: value` line was expected here", "")
        }
        ErrorKind::RecursionLimitExceeded => at(pos, "this YAML is too deep for a config", ""),
        _ => at(pos, &format!("not valid YAML: {}", error.info()), ""),
    }
}

/// Inside braces and brackets a `}` or a `,` of an interpolation would end the value.
fn flow_hint(line: &str) -> &'static str {
    if line.contains("${") { "inside `{ }` or `[ ]`, `${…}` needs quotes" } else { "" }
}

/// The quote that a value starts with and does not end with, at or before `line`.
fn open_quote(lines: &[&str], line: usize) -> Option<Pos> {
    (1..=line).rev().find_map(|number| {
        let text = lines.get(number - 1)?;
        let start = text.find(['"', '\''])?;
        let quote = text[start..].chars().next()?;
        (text.matches(quote).count() % 2 == 1).then(|| Pos {
            line: number,
            column: text[..start].chars().count() + 1,
            width: 1,
        })
    })
}
