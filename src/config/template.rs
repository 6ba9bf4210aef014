//! The grammar of OmegaConf's interpolations: `${a.b}`, `${name:arg,arg}`, text around them,
//! one inside another, and `\${` for a literal `${`.

/// A string with holes.
pub(super) type Template = Vec<Part>;

#[derive(Debug, PartialEq)]
pub(super) enum Part {
    Text(String),
    /// `${…}`: the words inside spell a key, once their own holes are filled.
    Key(Template),
    /// `${name:…}`.
    Call {
        name: String,
        args: Vec<Arg>,
    },
}

#[derive(Debug, PartialEq)]
pub(super) struct Arg {
    pub parts: Template,
    pub quoted: bool,
}

/// Whether `text` needs filling in; a text without `${` never does.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("${")
}

/// The template that is filled in to `text`.
pub(super) fn escaped(text: &str) -> String {
    let mut pieces = text.split("${").peekable();
    let mut escaped = String::new();
    while let Some(piece) = pieces.next() {
        escaped += piece;
        if pieces.peek().is_some() {
            let backslashes = piece.len() - piece.trim_end_matches('\\').len();
            escaped += &"\\".repeat(backslashes + 1);
            escaped += "${";
        }
    }
    escaped
}

/// Splits `text` into its parts.
///
/// # Errors
/// What is wrong with the first bad interpolation.
pub(super) fn parse(text: &str) -> Result<Template, String> {
    let mut cursor = Cursor { rest: text, depth: 0 };
    cursor.template(&[])
}

/// Nobody writes so many one inside another, and the stack has an end.
const DEEPEST: usize = 32;

struct Cursor<'t> {
    rest: &'t str,
    depth: usize,
}

impl Cursor<'_> {
    fn take(&mut self) -> Option<char> {
        let first = self.rest.chars().next()?;
        self.rest = &self.rest[first.len_utf8()..];
        Some(first)
    }

    fn skip(&mut self, expected: &str) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Everything up to one of `stops`, or to the end if there are none.
    fn template(&mut self, stops: &[char]) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        loop {
            if self.rest.is_empty() || self.rest.starts_with(stops) {
                break;
            }
            // Backslashes mean something only before `${`: each two of them are one.
            let after = self.rest.trim_start_matches('\\');
            let backslashes = self.rest.len() - after.len();
            if backslashes > 0 && after.starts_with("${") {
                text.push_str(&"\\".repeat(backslashes / 2));
                self.rest = after;
                if backslashes % 2 == 1 {
                    self.skip("${");
                    text.push_str("${");
                    continue;
                }
            }
            if self.skip("${") {
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                self.depth += 1;
                if self.depth > DEEPEST {
                    return Err(format!("more than {DEEPEST} of them one inside another"));
                }
                parts.push(self.hole()?);
                self.depth -= 1;
            } else if let Some(c) = self.take() {
                text.push(c);
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(parts)
    }

    fn hole(&mut self) -> Result<Part, String> {
        let inner = self.template(&['}', ':'])?;
        if self.skip("}") {
            return match inner.is_empty() {
                true => Err("`${}` names nothing".to_owned()),
                false => Ok(Part::Key(inner)),
            };
        }
        if !self.skip(":") {
            return Err("`${` without its `}`".to_owned());
        }
        let name = match inner.as_slice() {
            [Part::Text(name)] => name.trim().to_owned(),
            _ => return Err("`${…:` needs a plain name before its `:`".to_owned()),
        };
        let mut args = Vec::new();
        loop {
            args.push(self.arg()?);
            if self.skip("}") {
                return Ok(Part::Call { name, args });
            }
            if !self.skip(",") {
                return Err(format!("`${{{name}:` without its `}}`"));
            }
        }
    }

    fn arg(&mut self) -> Result<Arg, String> {
        self.rest = self.rest.trim_start();
        for quote in ['"', '\''] {
            if self.rest.starts_with(quote) {
                self.take();
                let parts = self.template(&[quote])?;
                if self.take().is_none() {
                    return Err(format!("a {quote} is not closed"));
                }
                self.rest = self.rest.trim_start();
                return Ok(Arg { parts, quoted: true });
            }
        }
        let mut parts = self.template(&['}', ','])?;
        if let Some(Part::Text(last)) = parts.last_mut() {
            last.truncate(last.trim_end().len());
        }
        Ok(Arg { parts, quoted: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(parts: &[Part]) -> String {
        parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => format!("<{text}>"),
                Part::Key(key) => format!("K({})", show(key)),
                Part::Call { name, args } => {
                    let args: Vec<_> = args
                        .iter()
                        .map(|arg| if arg.quoted { "q" } else { "" }.to_owned() + &show(&arg.parts))
                        .collect();
                    format!("{name}({})", args.join(","))
                }
            })
            .collect()
    }

    #[test]
    fn grammar() {
        for (text, want) in [
            ("plain $x {y}", "<plain $x {y}>"),
            ("${a.b}", "K(<a.b>)"),
            ("x/${a}/y${b[0]}", "<x/>K(<a>)</y>K(<b[0]>)"),
            ("${a.${b}}", "K(<a.>K(<b>))"),
            ("${..x}", "K(<..x>)"),
            (r"\${a} ${b}", "<${a} >K(<b>)"),
            (r"\\${a}", r"<\>K(<a>)"),
            (r"\\\${a}", r"<\${a}>"),
            (r"a\b", r"<a\b>"),
            ("${oc.env:HOME}", "oc.env(<HOME>)"),
            ("${oc.env:X, a b }", "oc.env(<X>,<a b>)"),
            ("${oc.env:X,'a,} '}", "oc.env(<X>,q<a,} >)"),
            ("${oc.env:X,${oc.env:Y,${z}}}", "oc.env(<X>,oc.env(<Y>,K(<z>)))"),
            ("${oc.env:X,}", "oc.env(<X>,)"),
            ("${now:%H:%M}", "now(<%H:%M>)"),
            ("${self_name:}", "self_name()"),
        ] {
            assert_eq!(show(&parse(text).expect(text)), want, "{text}");
        }
        for text in ["plain", "${a}", r"\${a}", r"x\\${a}${b", "$"] {
            assert_eq!(show(&parse(&escaped(text)).expect(text)), format!("<{text}>"));
        }
        for (text, want) in [
            ("${a", "`${` without its `}`"),
            ("${}", "`${}` names nothing"),
            ("${oc.env:X", "`${oc.env:` without its `}`"),
            ("${oc.env:'X}", "a ' is not closed"),
            ("${${a}:x}", "`${…:` needs a plain name before its `:`"),
        ] {
            assert_eq!(parse(text).expect_err(text), want, "{text}");
        }
        let deep = "${".repeat(100_000);
        assert_eq!(parse(&deep).expect_err("deep"), "more than 32 of them one inside another");
    }
}
