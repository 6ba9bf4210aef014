//! Words come out of a shell as they went in.

use std::process::Command;

use proptest::prelude::*;

use crate::cluster::quote;
use crate::launch::remote_command;

/// What a shell makes of a command that prints its words.
fn said(shell: &str, command: &str) -> Vec<u8> {
    let done = Command::new(shell).args(["-c", command]).output().expect("the shell starts");
    assert!(done.status.success(), "{command}: {done:?}");
    done.stdout
}

fn words() -> impl Strategy<Value = Vec<String>> {
    let word = prop_oneof![
        "[^\\x00]{0,8}",
        "[ '\"\\\\$`!*?~#&;|<>(){}\\[\\]=%^\n\r\t-]{0,8}",
        "[a'\\\\\x01-\x1f\x7fé0-9]{0,8}"
    ];
    prop::collection::vec(word, 1..12)
}

/// With a NUL behind each: no word has one.
fn ended(words: &[String]) -> Vec<u8> {
    words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_a_job_script(words in words()) {
        let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
        prop_assert!(quoted.iter().all(|word| !word.contains('\n')), "one line");
        let command = format!("printf '%s\\0' {}", quoted.join(" "));
        prop_assert_eq!(said("bash", &command), ended(&words));
    }

    /// ssh hands the command to the shell that the user has there.
    #[test]
    fn over_ssh(words in words()) {
        let argv: Vec<String> =
            ["printf", "%s\\0"].map(String::from).into_iter().chain(words.iter().cloned()).collect();
        let command = remote_command("/".as_ref(), &argv, None).expect("is UTF-8");
        for shell in ["sh", "bash"] {
            prop_assert_eq!(said(shell, &command), ended(&words));
        }
    }
}
