//! The `${name:…}` functions: OmegaConf's, Hydra's and ESPnet3's that make sense here.

use std::path::PathBuf;

use jiff::Zoned;
use serde_json::Value;

use super::layers::Layers;
use super::yaml;
use crate::names;

/// What the functions may ask of the world; given, so that a config reads the same in a test.
pub(super) struct World<'a> {
    pub env: &'a [(String, String)],
    pub now: &'a Zoned,
    pub layers: &'a Layers,
}

const KNOWN: &[&str] = &["oc.env", "oc.decode", "now", "self_name", "config_path", "load_line"];

type Answer = Result<Value, (String, Option<String>)>;

/// What `${name:args}` is for the string at `path`.
pub(super) fn call(name: &str, args: &[Value], path: &[String], world: &World<'_>) -> Answer {
    let first = args.first().and_then(Value::as_str).unwrap_or_default();
    match name {
        "oc.env" => oc_env(first, args.get(1), world.env),
        "oc.decode" => match args.first() {
            Some(Value::String(text)) => yaml::parse(text)
                .map(|node| node.to_json())
                .map_err(|_| (format!("`${{oc.decode:…}}`: `{text}` is not a value"), None)),
            other => Ok(other.cloned().unwrap_or(Value::Null)),
        },
        "now" => jiff::fmt::strtime::format(first, world.now)
            .map(Value::from)
            .map_err(|error| (format!("`${{now:{first}}}`: {error}"), None)),
        "self_name" => {
            let file = world.layers.file(path).and_then(|file| file.file_stem());
            let name = file.map(|stem| stem.to_string_lossy().into_owned());
            name.map(Value::from).ok_or_else(|| {
                ("`${self_name:}` has a value only in a config file".to_owned(), None)
            })
        }
        "config_path" => Ok(beside(first, path, world).display().to_string().into()),
        "load_line" => {
            let file = beside(first, path, world);
            let text = std::fs::read_to_string(&file).map_err(|error| {
                (format!("`${{load_line:{first}}}`: cannot read {}: {error}", file.display()), None)
            })?;
            Ok(text.lines().map(|line| Value::from(line.trim())).collect())
        }
        _ => {
            let near = names::nearest(name, KNOWN.iter().copied());
            let hint = match near {
                Some(near) => format!("did you mean `${{{near}:…}}`?"),
                None => format!("the known ones are {}", names::listed(KNOWN.iter().copied())),
            };
            Err((format!("there is no function `{name}` for `${{{name}:…}}`"), Some(hint)))
        }
    }
}

fn oc_env(name: &str, default: Option<&Value>, env: &[(String, String)]) -> Answer {
    if let Some((_, value)) = env.iter().find(|(key, _)| key == name) {
        return Ok(value.as_str().into());
    }
    default.cloned().ok_or_else(|| {
        let hint = format!("`export {name}=…`, or give a default: `${{oc.env:{name},default}}`");
        (format!("the environment variable {name} is not set"), Some(hint))
    })
}

/// A path as seen from the file it is written in.
fn beside(relative: &str, path: &[String], world: &World<'_>) -> PathBuf {
    let directory = world.layers.file(path).and_then(|file| file.parent());
    directory.map_or_else(|| PathBuf::from(relative), |directory| directory.join(relative))
}

/// `value` inside a longer text, written as Python's `str` does; lists and mappings have no place
/// in one.
pub(super) fn python_str(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(n) if n.is_f64() => python_float(n.as_f64()?),
        Value::Number(n) => n.to_string(),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

fn python_float(n: f64) -> String {
    let scientific = format!("{n:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if n != 0.0 && !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{n:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_in_python() {
        for (n, want) in [
            (1.0, "1.0"),
            (0.5, "0.5"),
            (1e-3, "0.001"),
            (1e-5, "1e-05"),
            (-2.5e-7, "-2.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (0.0, "0.0"),
        ] {
            assert_eq!(python_float(n), want);
        }
    }
}
