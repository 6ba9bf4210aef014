//! The completion script for bash completes, in a bash that sources it.

use std::process::Command;

/// What bash offers for the last of `words`.
fn offered(words: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_espnet3-par");
    let list = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let last = words.len() - 1;
    let script = format!(
        "source <('{program}' completions bash)\n\
         COMP_WORDS=({list}) COMP_CWORD={last}\n\
         _espnet3__par espnet3-par '{}' '{}'\n\
         echo \"${{COMPREPLY[*]}}\"",
        words[last],
        words[last - 1]
    );
    let output = Command::new("bash").args(["-c", &script]).output().expect("bash is there");
    String::from_utf8(output.stdout).expect("is UTF-8").trim().to_owned()
}

#[test]
fn commands_options_and_values() {
    assert_eq!(offered(&["espnet3-par", "coll"]), "collect");
    assert_eq!(offered(&["espnet3-par", "run", "a.yaml", "--sta"]), "--stage");
    assert_eq!(offered(&["espnet3-par", "collect", "exp", "--format", ""]), "jsonl scp");
}
