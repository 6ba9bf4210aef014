//! What a plain (unquoted) YAML scalar means: as OmegaConf reads it, which reads ESPnet's configs.
//!
//! That is YAML 1.1 as in PyYAML, with `1e3` and `-.5` numbers and dates text. So `yes`, `no`, `on`, `off`
//! are booleans, `0640` is octal, `1_000` is a thousand; `y`, `n` and `0o17` are text. The one
//! difference: base 60 (`1:30`, 90 in YAML 1.1) stays text, for people who write it mean a time.
//! `.inf` and `.nan` stay text too, as JSON has no such numbers.
//! Wherever YAML 1.1, YAML 1.2 and OmegaConf do not all agree, the value carries a doubt.

use serde_json::{Value, json};

/// The value of a plain scalar, and a warning if YAML versions differ over it.
pub(super) fn plain(text: &str) -> (Value, Option<String>) {
    let value = typed(text);
    let doubt = doubt(text, &value);
    (value, doubt)
}

fn typed(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => json!(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => json!(false),
        _ => integer(text).or_else(|| float(text)).unwrap_or_else(|| json!(text)),
    }
}

fn integer(text: &str) -> Option<Value> {
    let (negative, digits) = sign(text);
    let (radix, digits) = if let Some(hex) = digits.strip_prefix("0x") {
        (16, hex)
    } else if let Some(binary) = digits.strip_prefix("0b") {
        (2, binary)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, digits)
    } else if digits.starts_with(|c: char| c.is_ascii_digit()) {
        (10, digits)
    } else {
        return None;
    };
    let digits: String = digits.chars().filter(|&c| c != '_').collect();
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    match u64::from_str_radix(&digits, radix) {
        Ok(n) if !negative => Some(json!(n)),
        Ok(n) => match 0i64.checked_sub_unsigned(n) {
            Some(n) => Some(json!(n)),
            None => digits.parse::<f64>().ok().map(|n| json!(-n)),
        },
        Err(_) if radix == 10 => float_of(negative, &digits),
        Err(_) => None,
    }
}

fn float(text: &str) -> Option<Value> {
    let (negative, digits) = sign(text);
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let exponent_ok = exponent.is_none_or(|exponent| {
        let (_, digits) = sign(exponent);
        !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
    });
    let first = mantissa.strip_prefix('.').unwrap_or(mantissa);
    let starts_ok = first.starts_with(|c: char| c.is_ascii_digit());
    let chars_ok = mantissa.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '_');
    let dots = mantissa.matches('.').count();
    if !(exponent_ok && starts_ok && chars_ok) || dots > 1 || (dots == 0 && exponent.is_none()) {
        return None;
    }
    float_of(negative, &digits.replace('_', ""))
}

fn float_of(negative: bool, digits: &str) -> Option<Value> {
    let n: f64 = digits.parse().ok()?;
    n.is_finite().then(|| json!(if negative { -n } else { n }))
}

fn sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn doubt(text: &str, ours: &Value) -> Option<String> {
    let other = match text {
        "y" | "Y" => "true in YAML 1.1".to_owned(),
        "n" | "N" => "false in YAML 1.1".to_owned(),
        _ if ours.is_boolean() && !text.eq_ignore_ascii_case(&ours.to_string()) => {
            "text in YAML 1.2".to_owned()
        }
        _ => number_doubt(text, ours)?,
    };
    let here = match ours {
        Value::String(_) => "text".to_owned(),
        value => value.to_string(),
    };
    let how = match ours {
        Value::String(text) => format!("write \"{text}\" if that is meant"),
        value => format!("write {value}, or \"{text}\" for text"),
    };
    Some(format!("`{text}` is read as {here}, but is {other}; {how}"))
}

fn number_doubt(text: &str, ours: &Value) -> Option<String> {
    let (negative, digits) = sign(text);
    let minus = if negative { "-" } else { "" };
    let all_digits = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    if let Some(seconds) = base_60(digits) {
        return Some(format!("{minus}{seconds} (base 60) in YAML 1.1"));
    }
    if let Some(octal) = digits.strip_prefix("0o") {
        let n = u64::from_str_radix(octal, 8).ok()?;
        return Some(format!("{minus}{n} in YAML 1.2"));
    }
    if all_digits && digits.len() > 1 && digits.starts_with('0') {
        let n = digits.trim_start_matches('0');
        let n = if n.is_empty() { "0" } else { n };
        // `00` is nought either way.
        return (*ours != typed(&format!("{minus}{n}"))).then(|| format!("{minus}{n} in YAML 1.2"));
    }
    if !ours.is_number() {
        return None;
    }
    if text.contains('_') || digits.starts_with("0b") {
        return Some("text in YAML 1.2".to_owned());
    }
    // PyYAML's float takes no sign before a leading dot,
    if digits.len() < text.len() && digits.starts_with('.') {
        return Some("text in YAML 1.1".to_owned());
    }
    // and wants a dot before, and a sign after, the `e`.
    let (mantissa, exponent) = digits.split_once(['e', 'E'])?;
    (!digits.starts_with("0x") && (!mantissa.contains('.') || !exponent.starts_with(['+', '-'])))
        .then(|| "text in YAML 1.1".to_owned())
}

fn base_60(digits: &str) -> Option<u64> {
    let (first, rest) = digits.split_once(':')?;
    if !first.starts_with(|c: char| ('1'..='9').contains(&c)) {
        return None;
    }
    rest.split(':').try_fold(first.parse::<u64>().ok()?, |sum, piece| {
        let n: u64 = piece.parse().ok().filter(|&n| n < 60 && piece.len() <= 2)?;
        sum.checked_mul(60)?.checked_add(n)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_as_omegaconf_does() {
        for (text, want) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("true", json!(true)),
            ("NO", json!(false)),
            ("y", json!("y")),
            ("0", json!(0)),
            ("-3", json!(-3)),
            ("+3", json!(3)),
            ("012", json!(10)),
            ("08", json!("08")),
            ("0o17", json!("0o17")),
            ("0x1F", json!(31)),
            ("0b11", json!(3)),
            ("1_000", json!(1000)),
            ("_1", json!("_1")),
            ("1.", json!(1.0)),
            (".5", json!(0.5)),
            ("-.5", json!(-0.5)),
            (".", json!(".")),
            ("._5", json!("._5")),
            ("0_", json!(0)),
            ("1e3", json!(1000.0)),
            ("1e-3", json!(0.001)),
            ("e3", json!("e3")),
            ("1.2.3", json!("1.2.3")),
            ("1:30", json!("1:30")),
            ("2026-11-22", json!("2026-11-22")),
            (".inf", json!(".inf")),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("0-99", json!("0-99")),
            ("inf", json!("inf")),
            ("nan", json!("nan")),
        ] {
            assert_eq!(typed(text), want, "{text}");
        }
    }

    #[test]
    fn doubts() {
        let doubt = |text| plain(text).1;
        for text in ["true", "False", "1", "0", "00", "1.5", "1.5e-3", "0x1F", "abc", "0-99", "a:1"]
        {
            assert_eq!(doubt(text), None, "{text}");
        }
        for (text, want) in [
            (
                "no",
                "`no` is read as false, but is text in YAML 1.2; write false, or \"no\" for text",
            ),
            ("y", "`y` is read as text, but is true in YAML 1.1; write \"y\" if that is meant"),
            (
                "0640",
                "`0640` is read as 416, but is 640 in YAML 1.2; write 416, or \"0640\" for text",
            ),
            ("08", "`08` is read as text, but is 8 in YAML 1.2; write \"08\" if that is meant"),
            (
                "0o17",
                "`0o17` is read as text, but is 15 in YAML 1.2; write \"0o17\" if that is meant",
            ),
            (
                "30:00",
                "`30:00` is read as text, but is 1800 (base 60) in YAML 1.1; write \"30:00\" if that is meant",
            ),
            (
                "1:30:00",
                "`1:30:00` is read as text, but is 5400 (base 60) in YAML 1.1; write \"1:30:00\" if that is meant",
            ),
            (
                "1e3",
                "`1e3` is read as 1000.0, but is text in YAML 1.1; write 1000.0, or \"1e3\" for text",
            ),
            (
                "1_000",
                "`1_000` is read as 1000, but is text in YAML 1.2; write 1000, or \"1_000\" for text",
            ),
        ] {
            assert_eq!(doubt(text).as_deref(), Some(want));
        }
    }
}
