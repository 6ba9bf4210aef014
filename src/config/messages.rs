//! The messages of bad configs: `messages.txt`, one case after another.
//!
//! `BLESS=1 cargo test` writes the messages anew, to be read with `git diff`.

use std::path::Path;

use super::Diagnostics;
use super::tests::load;

/// The messages of a config: its errors, or else its warnings and notes.
fn messages(files: &[(&str, &str)], args: &[&str]) -> String {
    match load(files, args) {
        Ok(config) => {
            let text = Diagnostics(config.warnings).to_string();
            // The directory of the test's files has another name each time.
            text.split_inclusive(' ').map(strip_directory).collect()
        }
        Err(errors) => errors,
    }
}

fn strip_directory(word: &str) -> &str {
    match word.contains(".yaml") {
        true => word.rsplit_once('/').map_or(word, |(_, name)| name),
        false => word,
    }
}

#[test]
fn every_message() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/messages.txt");
    let text = std::fs::read_to_string(&path).expect("messages.txt");
    let mut blessed = String::new();
    let mut wrong = Vec::new();
    for (i, case) in text.split("\n==== ").enumerate() {
        if i == 0 {
            blessed.push_str(case);
            continue;
        }
        let (input, want) = case.split_once("\n----\n").expect("a case has ----");
        let mut lines = input.lines();
        let title = lines.next().expect("a case has a title");
        let (mut files, mut args) = (vec![("a.yaml", String::new())], Vec::new());
        for line in lines {
            if let Some(line) = line.strip_prefix("$ ") {
                args = shell_words::split(line).expect("quotes are closed");
            } else if let Some(name) = line.strip_prefix("file ") {
                files.push((name, String::new()));
            } else {
                let text = &mut files.last_mut().expect("never empty").1;
                text.push_str(&line.replace("<tab>", "\t"));
                text.push('\n');
            }
        }
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let got = messages(&files, &args);
        if got.trim_end() != want.trim_end() {
            wrong.push(format!("{title}\nwant:\n{}\ngot:\n{got}\n", want.trim_end()));
        }
        blessed.push_str(&format!("\n==== {input}\n----\n{}\n", got.trim_end()));
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, blessed).expect("messages.txt");
    } else {
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
