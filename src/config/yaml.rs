//! YAML text to a tree with places.
//!
//! Built from the parser's events and not through serde: these still know whether a scalar was
//! quoted, where a key stands, and that a key came twice.

use std::collections::HashMap;

use serde_json::json;
use serde_yaml::granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput, Tag};

use super::tree::{Entries, Entry, Kind, Node, Pos};
use super::{scalar, syntax};

/// What is wrong with a YAML text.
#[derive(Debug)]
pub(super) struct Fault {
    pub pos: Pos,
    pub message: String,
    pub hint: Option<String>,
}

/// Far more than any config has: an alias of aliases of aliases grows without bound.
const MAX_NODES: usize = 1_000_000;
const MAX_DEPTH: usize = 128;

/// The one document of `text`; an empty text is null.
///
/// # Errors
/// All keys that are given twice, and the first fault of any other kind.
pub(super) fn parse(text: &str) -> Result<Node, Vec<Fault>> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut reader = Reader {
        text,
        events: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        nodes: 0,
        depth: 0,
        repeated: Vec::new(),
    };
    match reader.document() {
        Ok(node) if reader.repeated.is_empty() => Ok(node),
        Ok(_) => Err(reader.repeated),
        Err(fault) => {
            reader.repeated.push(fault);
            Err(reader.repeated)
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    events: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    depth: usize,
    repeated: Vec<Fault>,
}

type Read<T> = Result<T, Fault>;

impl<'t> Reader<'t> {
    fn next(&mut self) -> Read<(Event<'t>, Span)> {
        match self.events.next() {
            Some(event) => event.map_err(|error| syntax::explain(&error, self.text)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Read<Node> {
        let mut found = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if found.is_some() => {
                    return Err(fault(pos(&span), "a second YAML document starts here")
                        .hint("one file holds one document; remove the `---`"));
                }
                Event::DocumentStart(..) => {}
                event => found = Some(self.node(event, &span)?),
            }
        }
        Ok(found.unwrap_or(Node {
            pos: Pos { line: 1, column: 1, width: 1 },
            kind: Kind::Scalar { value: json!(null), doubt: None },
        }))
    }

    fn node(&mut self, event: Event<'t>, span: &Span) -> Read<Node> {
        let pos = pos(span);
        self.nodes += 1;
        self.depth += 1;
        if self.nodes > MAX_NODES || self.depth > MAX_DEPTH {
            return Err(fault(pos, "this YAML is too large or too deep for a config"));
        }
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (scalar_kind(&text, style, tag.as_deref(), pos)?, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                known_tag(tag.as_deref(), &["seq"], pos)?;
                (Kind::List(self.items()?), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                known_tag(tag.as_deref(), &["map"], pos)?;
                (Kind::Map(self.entries()?), anchor)
            }
            Event::Alias(id) => {
                let node = self.anchors.get(&id).cloned();
                let node =
                    node.ok_or_else(|| fault(pos, "this alias lies inside its own anchor"))?;
                self.nodes += size(&node);
                (node.kind, 0)
            }
            _ => return Err(fault(pos, "a value was expected here")),
        };
        self.depth -= 1;
        let node = Node { pos, kind };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self) -> Read<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(items);
            }
            items.push(self.node(event, &span)?);
        }
    }

    fn entries(&mut self) -> Read<Entries> {
        let mut entries = Entries::default();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let at = pos(&span);
            let (key, is_merge) = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, ..) => {
                    let is_merge = text == "<<" && style == ScalarStyle::Plain;
                    (text.into_owned(), is_merge)
                }
                _ => {
                    return Err(fault(at, "a key must be plain text")
                        .hint("if this is `{{ name }}` or `{name}`, put it in quotes"));
                }
            };
            let (event, span) = self.next()?;
            let node = self.node(event, &span)?;
            if is_merge {
                merged.extend(merge_sources(node)?);
            } else if let Some(first) = entries.get(&key) {
                let message = format!("`{key}` is given twice: first in line {}", first.pos.line);
                self.repeated.push(fault(at, &message).hint("remove one of the two"));
            } else {
                entries.add(Entry { key, pos: at, node });
            }
        }
        merged.into_iter().for_each(|entry| entries.add(entry));
        Ok(entries)
    }
}

/// What `<<` brings in: one mapping, or several of which the first wins.
fn merge_sources(node: Node) -> Read<Vec<Entry>> {
    match node.kind {
        Kind::Map(entries) => Ok(entries.iter().cloned().collect()),
        Kind::List(items) => {
            items.into_iter().map(merge_sources).collect::<Read<Vec<_>>>().map(|all| all.concat())
        }
        Kind::Scalar { .. } => Err(fault(node.pos, "`<<` takes a mapping, as in `<<: *name`")),
    }
}

fn scalar_kind(text: &str, style: ScalarStyle, tag: Option<&Tag>, pos: Pos) -> Read<Kind> {
    known_tag(tag, &["str", "int", "float", "bool", "null"], pos)?;
    let typed = tag.map_or(style == ScalarStyle::Plain, |tag| tag.suffix() != "str");
    let (value, doubt) = if typed { scalar::plain(text) } else { (json!(text), None) };
    Ok(Kind::Scalar { value, doubt })
}

fn known_tag(tag: Option<&Tag>, known: &[&str], pos: Pos) -> Read<()> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() || !known.contains(&tag.suffix()) => {
            Err(fault(pos, &format!("the YAML tag `{tag}` means nothing here"))
                .hint("remove the tag"))
        }
        _ => Ok(()),
    }
}

fn size(node: &Node) -> usize {
    match &node.kind {
        Kind::Scalar { .. } => 1,
        Kind::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Kind::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.node)).sum::<usize>(),
    }
}

fn pos(span: &Span) -> Pos {
    let one_line = span.start.line() == span.end.line();
    let width = if one_line { span.end.col().saturating_sub(span.start.col()) } else { 1 };
    Pos { line: span.start.line().max(1), column: span.start.col() + 1, width: width.max(1) }
}

fn fault(pos: Pos, message: &str) -> Fault {
    Fault { pos, message: message.to_owned(), hint: None }
}

impl Fault {
    fn hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match parse(text) {
            Ok(node) => node.to_json().to_string(),
            Err(faults) => faults
                .iter()
                .map(|fault| format!("{}:{} {}", fault.pos.line, fault.pos.column, fault.message))
                .collect::<Vec<_>>()
                .join("; "),
        }
    }

    #[test]
    fn documents() {
        for (text, want) in [
            ("", "null"),
            ("# nothing\n", "null"),
            ("---\na: 1\n", r#"{"a":1}"#),
            (
                "a: yes\nb: 'yes'\nc: !!str yes\nd: |\n  yes\n",
                r#"{"a":true,"b":"yes","c":"yes","d":"yes\n"}"#,
            ),
            ("1: a\ntrue: b\nnull: c\n1.5: d\n", r#"{"1":"a","true":"b","null":"c","1.5":"d"}"#),
            (
                "b: &x {p: 1, q: 2}\nc: {<<: *x, q: 3}\nd: *x\n",
                r#"{"b":{"p":1,"q":2},"c":{"q":3,"p":1},"d":{"p":1,"q":2}}"#,
            ),
            (
                "a:\n  b: 1\n  c: 2\n  b: 3\na: 4\n",
                "4:3 `b` is given twice: first in line 2; 5:1 `a` is given twice: first in line 1",
            ),
            ("a: 1\n---\nb: 2\n", "2:1 a second YAML document starts here"),
            ("a: !thing 1\n", "1:11 the YAML tag `!thing` means nothing here"),
            ("{a: 1}: 2\n", "1:1 a key must be plain text"),
        ] {
            assert_eq!(read(text), want, "{text}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..10 {
            let inner = vec![format!("*a{}", i - 1); 10].join(", ");
            text.push_str(&format!("a{i}: &a{i} [{inner}]\n"));
        }
        assert!(read(&text).contains("too large"), "{}", read(&text));
        assert!(read(&"[".repeat(5000)).contains("too"), "{}", read(&"[".repeat(5000)));
    }
}
