//! What `forward` returns, in the records; and what it says, which is not to be there.

use serde_json::Value;

use crate::common::disk::errors;
use crate::recipe::{recipe, squares};

const ONE: &str = "parallel: {env: local, n_workers: 1, shards: 1}";

#[test]
fn of_all_kinds_that_json_has() {
    let config = format!("cases: good\n{ONE}");
    let Some(recipe) = recipe("results.Provider", "results.Runner", &config) else { return };
    recipe.run(&[]).expect_code(0);
    let expected = [
        r#""text":"a","n":1"#,
        r#""value":3"#,
        r#""value":[1,"two",null,true]"#,
        r#""value":null"#,
        r#""value":[1,[2,3]]"#,
        r#""deep":{"er":[{"x":[1.5]}]}"#,
        "\"text\":\"Grüße, 東京 \u{1f600} \u{2028} \\\"\\\\\\n\\t\\u0000\"",
        r#""value":null"#,
        r#""scores":[1.0,null,null,null],"mean":null"#,
        r#""value":9007199254740993"#,
        r#""value":[-9223372036854775808,18446744073709551616,1180591620717411303424]"#,
        r#""path":"exp/a.wav","paths":["b"]"#,
        r#""array":[[1.5,2.0],[3.0,null]],"scalar":7"#,
        r#""value":[1,2]"#,
        r#""value":0.1"#,
        r#""b":1,"a":2"#,
        "",
        r#""1":"yes","null":"no""#,
        r#""value":"value""#,
        r#""value":[]"#,
    ];
    let line = |(idx, fields): (usize, &&str)| match *fields {
        "" => format!("{{\"idx\":{idx}}}\n"),
        fields => format!("{{\"idx\":{idx},{fields}}}\n"),
    };
    assert_eq!(recipe.results(), expected.iter().enumerate().map(line).collect::<String>());
}

#[test]
fn what_json_has_no_form_for_fails_its_item() {
    for runner in ["results.Runner", "results.OddNames"] {
        let config = format!("cases: bad\n{ONE}");
        let Some(recipe) = recipe("results.Provider", runner, &config) else { return };
        recipe.run(&[]).expect_code(1);
        assert_eq!(recipe.results(), "");
        let fix = "return numbers, texts, lists and dicts, or write files in `write_record`";
        let expected = [
            format!("TypeError: `forward` returned a set, which JSON has no form for; {fix}"),
            format!("TypeError: `forward` returned a bytes, which JSON has no form for; {fix}"),
            "UnicodeEncodeError: 'utf-8' codec can't encode character '\\udc80'".to_owned(),
            "TypeError: keys must be str, int, float, bool or None, not tuple".to_owned(),
            "RecursionError: ".to_owned(),
            format!("TypeError: `forward` returned a object, which JSON has no form for; {fix}"),
            format!("TypeError: `forward` returned a complex, which JSON has no form for; {fix}"),
            "ValueError: Argument conflict: {'test_set'}".to_owned(),
        ];
        let errors = errors(&recipe.root);
        assert_eq!(errors.len(), expected.len(), "{errors:?}");
        for (idx, (error, expected)) in errors.iter().zip(&expected).enumerate() {
            assert_eq!(error["idx"], idx, "{error}");
            assert_eq!(error["kind"], "error", "{error}");
            assert!(error["error"].as_str().expect("a text").starts_with(expected), "{error}");
            if runner == "results.OddNames" {
                assert_eq!(error["item"], format!("file?{idx}"), "{error}");
            }
        }
        // The process lives through all of it.
        assert_eq!(recipe.noted("env built here"), 1);
    }
}

/// What happens while a result is made JSON is the item's, too.
#[test]
fn a_result_that_kills_or_hangs_while_it_is_read() {
    for (cases, kind, words) in
        [("deadly", "died", "exit code 9"), ("endless", "timeout", "item_timeout, 2 s")]
    {
        let config = format!("cases: {cases}\nitem_timeout: 2\n{ONE}");
        let Some(recipe) = recipe("results.Provider", "results.Runner", &config) else { return };
        recipe.run(&[]).expect_code(1);
        let value = |idx| format!("{{\"idx\":{idx},\"value\":{idx}}}\n");
        assert_eq!(recipe.results(), [0, 1, 3, 4].map(value).concat());
        let errors = errors(&recipe.root);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(
            (&errors[0]["idx"], &errors[0]["kind"]),
            (&2.into(), &kind.into()),
            "{errors:?}"
        );
        assert!(errors[0]["error"].as_str().expect("a text").contains(words), "{errors:?}");
    }
}

#[test]
fn long_lists_of_floats_to_the_bit() {
    let config = format!("n: 60\n{ONE}");
    let Some(recipe) = recipe("results.Provider", "results.Floats", &config) else { return };
    recipe.run(&[]).expect_code(0);
    assert_eq!(recipe.records().len(), 60);
    for (idx, record) in recipe.records().iter().enumerate() {
        let texts = record["texts"].as_array().expect("a list");
        assert_eq!(texts.len(), [31, 32, 33, 1000][idx % 4]);
        // Half of the doubles of any bits would be a test of chance: that some are finite.
        assert!(texts.iter().filter(|text| text.is_string()).count() > 20, "{texts:?}");
        let mut lists = vec![&record["floats"]];
        match idx % 3 {
            1 => lists.push(&record["again"]),
            2 => lists.push(&record["deep"]["floats"]),
            _ => {}
        }
        for list in lists {
            let list = list.as_array().expect("a list");
            assert_eq!(list.len(), texts.len(), "{idx}");
            for (value, text) in list.iter().zip(texts) {
                let ours = value.as_f64().map(f64::to_bits);
                let theirs = text.as_str().map(|text| text.parse::<f64>().expect("a float"));
                assert_eq!(ours, theirs.map(f64::to_bits), "{idx}: {value} {text}");
            }
        }
        if idx % 3 == 1 {
            assert_eq!(record["after"], Value::from(vec![1.0; 40]));
        }
    }
}

#[test]
fn large() {
    let config = format!("n: 6\n{ONE}");
    let Some(recipe) = recipe("results.Provider", "results.Large", &config) else { return };
    recipe.run(&[]).expect_code(0);
    let line = |idx: u8| match idx % 3 {
        1 => {
            let letter = char::from(b'a' + idx);
            format!("{{\"idx\":{idx},\"text\":\"{}\"}}\n", letter.to_string().repeat(20_000_000))
        }
        _ => format!("{{\"idx\":{idx},\"value\":{idx}}}\n"),
    };
    assert!(recipe.results() == (0..6).map(line).collect::<String>(), "other bytes");
}

#[test]
fn what_is_said_goes_to_the_log() {
    let config = format!("n: 8\n{ONE}");
    let Some(recipe) = recipe("results.Provider", "results.Loud", &config) else { return };
    recipe.run(&[]).expect_code(0);
    assert_eq!(recipe.results(), squares(0..8));
    let log = recipe.log();
    for idx in 0..8 {
        for word in ["print", "to stderr", "fd one", "fd two", "echo", "from C"] {
            let lines = log.lines().filter(|line| *line == format!("{word} {idx}")).count();
            assert_eq!(lines, 1, "{word} {idx}: {log}");
        }
    }
}

/// In a child that was forked no item is computed.
#[test]
fn children_that_leave_forward() {
    let config = format!("n: 16\n{ONE}");
    let Some(recipe) = recipe("results.Provider", "results.Forks", &config) else { return };
    recipe.run(&[]).expect_code(0);
    let line = |idx: u64| match idx % 8 {
        1 => format!("{{\"idx\":{idx},\"square\":{},\"child\":3}}\n", idx * idx),
        5 => format!("{{\"idx\":{idx},\"square\":{},\"child\":1}}\n", idx * idx),
        _ => format!("{{\"idx\":{idx},\"square\":{}}}\n", idx * idx),
    };
    assert_eq!(recipe.results(), (0..16).map(line).collect::<String>());
    assert!(recipe.computed().values().all(|times| *times == 1), "{:?}", recipe.computed());
    assert!(recipe.log().contains("ValueError: in the child of 5"), "{}", recipe.log());
}
