//! Tests of the manifest formats.

use std::fs;
use std::path::Path;

use super::audio::Span;
use super::manifest::{self, Ids, Utterance};
use super::testing::write;

fn read(path: &Path, segments: Option<&Path>) -> anyhow::Result<Vec<Utterance>> {
    Ok(manifest::read(path, segments, Ids::Any)?.0)
}

/// Id, path, start, end and duration of an utterance.
type Summary<'a> = (&'a str, &'a str, f64, Option<f64>, Option<f64>);

fn summary(utterances: &[Utterance]) -> Vec<Summary<'_>> {
    let fields = utterances.iter().map(|utterance| {
        let Utterance { id, path, span: Span { start, end }, duration } = utterance;
        (id.as_str(), path.to_str().expect("UTF-8"), *start, *end, *duration)
    });
    fields.collect()
}

fn error(name: &str, text: &str) -> String {
    let (dir, path) = write(name, text.as_bytes());
    let error = format!("{:#}", read(&path, None).expect_err("a bad manifest"));
    error.replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn wav_scp() {
    let (_dir, path) = write("wav.scp", b"utt1 a b.wav\n\nutt2\t/c.flac \n");
    let found = read(&path, None).expect("a manifest");
    let expected = [("utt1", "a b.wav", 0.0, None, None), ("utt2", "/c.flac", 0.0, None, None)];
    assert_eq!(summary(&found), expected);
}

#[test]
fn segments_beside_a_wav_scp_cut_it() {
    let (dir, path) = write("wav.scp", b"rec1 a.wav\nrec2 b.wav\n");
    let segments = "utt1 rec2 0.5 1.25\nutt2 rec2 2 -1\nutt3 rec1 0 1\n";
    fs::write(dir.path().join("segments"), segments).expect("a file");
    let expected = [
        ("utt1", "b.wav", 0.5, Some(1.25), Some(0.75)),
        ("utt2", "b.wav", 2.0, None, None),
        ("utt3", "a.wav", 0.0, Some(1.0), Some(1.0)),
    ];
    assert_eq!(summary(&read(&path, None).expect("a manifest")), expected);

    fs::write(dir.path().join("segments"), "utt1 rec3 0 1\n").expect("a file");
    let error = format!("{:#}", read(&path, None).expect_err("an unknown recording"));
    assert!(error.contains("segments:1: no recording `rec3` in "), "{error}");
}

#[test]
fn durations_come_from_utt2dur() {
    let (dir, path) = write("wav.scp", b"utt1 a.wav\nutt2 b.wav\n");
    fs::write(dir.path().join("utt2dur"), "utt2 2.5\nutt1 1.5\n").expect("a file");
    let found = read(&path, None).expect("a manifest");
    assert_eq!(found.iter().map(|u| u.duration).collect::<Vec<_>>(), [Some(1.5), Some(2.5)]);
}

#[test]
fn tsv_with_and_without_a_header() {
    let text = "text\twav\tutt_id\tstart\tend\nhi\ta.wav\tutt1\t1\t3\nho\ta.wav\tutt2\t\t\n";
    let (_dir, path) = write("a.tsv", text.as_bytes());
    let expected =
        [("utt1", "a.wav", 1.0, Some(3.0), Some(2.0)), ("utt2", "a.wav", 0.0, None, None)];
    assert_eq!(summary(&read(&path, None).expect("a manifest")), expected);

    let (_dir, path) = write("b.tsv", b"utt1\ta.wav\tHELLO\nutt2\tb.wav\tWORLD\n");
    let expected = [("utt1", "a.wav", 0.0, None, None), ("utt2", "b.wav", 0.0, None, None)];
    assert_eq!(summary(&read(&path, None).expect("a manifest")), expected);
}

#[test]
fn json_lines_of_several_toolkits() {
    let text = r#"{"utt_id": "utt1", "path": "a.wav", "duration": 4}
{"audio_filepath": "x/b.wav", "offset": 1.5, "duration": 2, "text": "nemo"}
{"key": "utt3", "wav": "c.wav", "start": 1, "end": 2}
"#;
    let (_dir, path) = write("a.jsonl", text.as_bytes());
    let expected = [
        ("utt1", "a.wav", 0.0, None, Some(4.0)),
        ("b", "x/b.wav", 1.5, Some(3.5), Some(2.0)),
        ("utt3", "c.wav", 1.0, Some(2.0), Some(1.0)),
    ];
    assert_eq!(summary(&read(&path, None).expect("a manifest")), expected);
}

#[test]
fn errors_name_the_line() {
    let cases = [
        (
            "wav.scp",
            "a x.wav\nb y.wav\na z.wav\n",
            "wav.scp:3: utterance `a` was already on line 1",
        ),
        ("wav.scp", "a x.wav\nb\n", "wav.scp:2: expected `UTT_ID PATH`, found `b`"),
        ("wav.scp", "a sph2pipe -f wav x.sph |\n", "wav.scp:1: `a` is a command"),
        ("wav.scp", "\n", "wav.scp: no utterances"),
        ("a.tsv", "utt_id\twav\nutt1\n", "a.tsv:2: expected 2 columns, found 1"),
        ("a.tsv", "utt_id\tfile\nutt1\tx\n", "a.tsv:1: the header needs `utt_id` and one of"),
        ("a.tsv", "id\twav\tstart\na\tb\tsoon\n", "a.tsv:2: `soon` is no time in seconds"),
        ("a.jsonl", "{\"id\": \"a\"}\n", "a.jsonl:1: missing field `path`"),
        ("a.jsonl", "{\"id\": \"a\"\n", "a.jsonl:1: EOF"),
    ];
    for (name, text, expected) in cases {
        let error = error(name, text);
        assert!(error.starts_with(expected), "{error}");
    }
    let missing = read(Path::new("no/wav.scp"), None).expect_err("no such file");
    assert!(format!("{missing:#}").starts_with("failed to read `no/wav.scp`: No such file"));
}

#[test]
fn ids_that_end_before_their_end() {
    for id in ["a b", "a\tb", "a\nb", " a", "", "a\u{1c}b", "a\u{a0}b", "a\u{3000}", "a\0b"] {
        let lines = format!(
            "{}\n{}\n",
            r#"{"utt_id": "é/-%*", "path": "x"}"#,
            serde_json::json!({"utt_id": id, "path": "x"})
        );
        let (_dir, path) = write("a.jsonl", lines.as_bytes());
        assert_eq!(read(&path, None).expect("any id").len(), 2);
        let error = manifest::read(&path, None, Ids::Words).expect_err(id).to_string();
        let expected = format!("a.jsonl:2: the utterance id {id:?} is not one word");
        assert!(error.contains(&expected), "{error}");
    }
    // The id is the file's name, where there is none.
    let (_dir, path) = write("b.jsonl", br#"{"path": "my recording.wav"}"#);
    let error = manifest::read(&path, None, Ids::Words).expect_err("a blank").to_string();
    assert!(error.contains("b.jsonl:1: the utterance id \"my recording\" is not"), "{error}");
}
