//! What files say is not to do anything to the terminal that shows it.

use std::fs;
use std::process::Command;

use crate::common::recipe::toy;
use crate::place::Place;

/// Sets the window's title, clears the screen, and one in eight bits.
const EVIL: &str = "\u{1b}]0;gotcha\u{7}\u{1b}[2J\u{9b}2J";

#[test]
fn words_of_a_run_are_shown_as_they_are() {
    let (place, _) = Place::with_work_to_do();
    let path = place.file("workers/*.json");
    let text = fs::read_to_string(&path).expect("is there");
    let evil = serde_json::to_string(EVIL).expect("is text");
    let failed = format!("{{\"how\":\"failed\",\"error\":{evil}}}");
    fs::write(&path, text.replace("{\"how\":\"finished\"}", &failed)).expect("writes");
    let ended = place.call(&["status", place.recipe.root_text()]).expect_code(3);
    assert!(ended.out.contains(r"1 worker: \u{1b}]0;gotcha\u{7}\u{1b}[2J\u{9b}2J"), "{ended:?}");
    assert!(!ended.out.chars().any(|c| c.is_control() && c != '\n'), "{ended:?}");
}

#[test]
fn logs_on_a_terminal_and_elsewhere() {
    let place = Place::with_a_run();
    fs::write(place.file("logs/*.log"), format!("{EVIL}\n")).expect("writes");
    let args = ["logs", place.recipe.root_text()];
    // Whoever reads them from a pipe wants the bytes.
    assert!(place.call(&args).expect_code(0).out.contains(EVIL));
    let call = shell_words::join([&[toy().to_str().expect("is UTF-8")], &args[..]].concat());
    let Ok(output) = Command::new("script").args(["-qec", &call, "/dev/null"]).output() else {
        eprintln!("skipped: there is no script(1)");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(r"\u{1b}]0;gotcha\u{7}\u{1b}[2J\u{9b}2J"), "{output:?}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{9b}'), "{output:?}");
}
