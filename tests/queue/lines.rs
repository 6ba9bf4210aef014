//! Command lines of recipes: what bash gets to see of them, and the logs.

use std::fs;

use crate::steps::Steps;

/// The words as bash hands them to the program, and what the job prints.
#[test]
fn words_mean_what_they_mean_to_run_pl() {
    let steps = Steps::new();
    steps.write("x y.txt", "one\ntwo\n");
    for (words, output) in [
        // `\|` and `\&\&` in a recipe: words of their own, not quoted.
        (&["cat", "x y.txt", "|", "wc", "-l", "&&", "echo", "done"][..], "2\ndone\n"),
        (&["echo", "a   b", ">", "out.txt", ";", "cat", "out.txt"], "a   b\n"),
        // With blanks: in double quotes, so variables are filled in.
        (&["X=5;", "echo", "$X is  five"], "5 is  five\n"),
        // With double quotes and blanks: in single quotes, so they are not.
        (&["awk", "{print \"<\" $1 \">\"}", "x y.txt"], "<one>\n<two>\n"),
        (&["printf", "%s,", "ark:gunzip -c x.gz|", "ark:-"], "ark:gunzip -c x.gz|,ark:-,"),
        (&["printf", "=%s=", "", "last"], "===last="),
        (&["echo", "'single", "pair'"], "single pair\n"),
        (&["echo", "to-stderr", ">&2"], "to-stderr\n"),
        (&["for", "i", "in", "1", "2;", "do", "echo", "$i;", "done"], "1\n2\n"),
        (&["cat"], ""),
        (&["echo", "# no comment", "#", "a", "comment"], "# no comment\n"),
    ] {
        steps.call(&[&["exp/log/x.log"], words].concat()).expect_code(0);
        let log = steps.read("exp/log/x.log");
        let lines: Vec<&str> = log.lines().collect();
        let body = log.split_once("\n#\n").expect("a head").1;
        let body = body.split_once("# Accounting: ").expect("a tail").0;
        assert_eq!(body, output, "{words:?}: {lines:?}");
    }
}

#[test]
fn the_number_stands_in_every_word_and_name() {
    let steps = Steps::new();
    let words = ["JOB=3:5", "exp/JOB/my log/x.JOB.log", "echo", "JOB.JOB", "xJOBx", "b JOB"];
    let ended = steps.call(&words).expect_code(0);
    assert_eq!((ended.out.as_str(), ended.err.as_str()), ("", ""));
    for number in 3..=5 {
        let log = format!("exp/{number}/my log/x.{number}.log");
        let text = steps.read(&log);
        let head = format!("# echo {number}.{number} x{number}x \"b {number}\"\n");
        assert!(text.starts_with(&head), "{text}");
        assert_eq!(steps.output(&log), format!("{number}.{number} x{number}x b {number}\n"));
    }
    // Another name, and one number.
    steps.call(&["nj=7", "x.nj.log", "echo", "nj", "JOB"]).expect_code(0);
    assert_eq!(steps.output("x.7.log"), "7 JOB\n");
}

/// The lines that Kaldi's scripts and people look for.
#[test]
fn a_log_has_the_head_and_tail_of_run_pl() {
    let steps = Steps::new();
    steps.call(&["--num-threads", "2", "x.log", "sleep", "1.1", ";", "exit", "3"]).expect_code(1);
    let text = steps.read("x.log");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert_eq!(lines[0], "# sleep 1.1 ; exit 3");
    assert!(lines[1].starts_with("# Running on "), "{text}");
    assert!(lines[2].starts_with("# Started at "), "{text}");
    assert_eq!(lines[3], "#");
    assert_eq!(lines[4], "# Accounting: time=1 threads=2");
    assert!(lines[5].starts_with("# Ended (code 3) at "), "{text}");
    assert!(lines[5].ends_with(", elapsed time 1 seconds"), "{text}");
    // The date is date(1)'s: it can read it.
    let date = lines[2].trim_start_matches("# Started at ");
    let read = std::process::Command::new("date").args(["-d", date]).status();
    assert!(read.expect("date starts").success(), "{date}");
}

/// As run.pl: the directory and the environment of the caller, nothing to read.
#[test]
fn a_job_has_the_callers_environment_and_no_more() {
    let steps = Steps::new();
    let call = steps.0.start_with(&["queue", "x.log", "pwd;", "env", "|", "sort"], |command| {
        command.env_clear().envs([("PATH", "/usr/bin:/bin"), ("WORLD_SIZE", "9"), ("A", "b c")]);
    });
    call.wait().expect_code(0);
    let output = steps.output("x.log");
    let mut lines: Vec<&str> = output.lines().collect();
    // bash's own.
    lines.retain(|line| {
        !["_=", "SHLVL=", "PWD=", "OLDPWD="].iter().any(|own| line.starts_with(own))
    });
    let here = fs::canonicalize(steps.path("")).expect("is there");
    assert_eq!(
        lines,
        [here.to_str().expect("UTF-8"), "A=b c", "PATH=/usr/bin:/bin", "WORLD_SIZE=9"]
    );
}

/// A command longer than Linux takes as one argument.
#[test]
fn a_long_command() {
    let steps = Steps::new();
    let words: Vec<String> = (0..40_000).map(|n| format!("w{n}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    steps.call(&[&["x.log", "echo"], &words[..], &["|", "wc", "-w"]].concat()).expect_code(0);
    assert_eq!(steps.output("x.log").trim(), "40000");
}
