//! Interpolation, on random configs.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::template::{self, Part};
use super::tests::load;

/// Text that is about what means something in a template.
fn tricky() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            Just("${"),
            Just("}"),
            Just("\\"),
            Just("$"),
            Just(":"),
            Just("é\n"),
            Just("a")
        ],
        0..8,
    )
    .prop_map(|pieces| pieces.concat())
}

/// A value: texts, and which of the values before it stand between them.
type Pieces = Vec<(String, usize)>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn escaped_text_is_text(text in tricky()) {
        let parts = template::parse(&template::escaped(&text)).expect("no hole");
        let wanted = if text.is_empty() { vec![] } else { vec![Part::Text(text)] };
        prop_assert_eq!(parts, wanted);
    }

    #[test]
    fn any_text_is_read_or_refused(text in tricky()) {
        let _ = template::parse(&text);
    }

    /// `k2: a${k0}b${k1}c` is what putting the texts together gives.
    #[test]
    fn references_are_put_in(values in prop::collection::vec(
        prop::collection::vec(("[a-z /.]{1,3}", any::<usize>()), 1..4), 1..8)
    ) {
        let (mut config, mut wanted) = (serde_json::Map::new(), BTreeMap::new());
        for (nth, pieces) in values.iter().enumerate() {
            let pieces: &Pieces = pieces;
            let (mut template, mut text) = (String::from("<"), String::from("<"));
            for (piece, other) in pieces {
                template += &template::escaped(piece);
                text += piece;
                if nth > 0 {
                    let other = other % nth;
                    template += &format!("${{mine.k{other}}}");
                    let filled: &String = &wanted[&format!("k{other}")];
                    text += filled;
                }
            }
            config.insert(format!("k{nth}"), template.into());
            wanted.insert(format!("k{nth}"), text);
        }
        let config = json!({"stage": "vad", "output_dir": "exp", "vad": {"audio": "x"}, "mine": config});
        let loaded = load(&[("a.yaml", &config.to_string())], &[]).expect("a good config");
        prop_assert_eq!(&loaded.resolved["mine"], &Value::from_iter(wanted));
    }
}

/// The stack has an end.
#[test]
fn a_long_chain_of_references_is_refused() {
    let mut chain: String = (0..20_000).map(|n| format!("k{n}: ${{k{}}}\n", n + 1)).collect();
    chain += "k20000: exp\nstage: vad\nvad: {audio: x}\noutput_dir: ${k0}\n";
    let message = load(&[("a.yaml", &chain)], &[]).expect_err("too long");
    assert!(message.contains("this is a chain of over 200 references"), "{message}");
}
