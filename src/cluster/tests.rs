//! Every dialect with every case: rendered scripts, recorded replies, hostile input.
//!
//! `tests/rendered/NAME.yaml` is a `parallel:` section; `tests/rendered/SCHEDULER/NAME.txt` is what
//! becomes of it. `tests/replies/SCHEDULER/NAME.txt` is a reply and what it means. `BLESS=1 cargo
//! test` writes both anew, to be read with `git diff`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Options, Order, Reply, SCHEDULERS, SCRIPT, Scheduler, State, Submission, Weight};
use serde_json::{Map, Value};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// A section of a config as the dialects get it.
struct Case {
    tasks: u32,
    max_running: Option<u32>,
    options: Options,
    findings: String,
}

fn case(scheduler: &dyn Scheduler, yaml: &str) -> Case {
    let section: Map<String, Value> = serde_yaml::from_str(yaml).expect("is YAML");
    let none = Map::new();
    let given = section.get("options").and_then(Value::as_object).unwrap_or(&none);
    let (options, found) = Options::read(scheduler, given);
    let findings = found
        .iter()
        .map(|one| {
            let hint = one.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{:?} at `{}`: {}{hint}\n", one.weight, one.key, one.message)
        })
        .collect();
    let number = |key: &str| section.get(key).and_then(Value::as_u64).map(|n| n as u32);
    let workers = number("n_workers").unwrap_or(1);
    let tasks = workers.div_ceil(options.processes.max(1));
    let findings = if found.iter().any(|one| one.weight == Weight::Error) {
        format!("{findings}(refused)\n")
    } else {
        findings
    };
    Case { tasks, max_running: number("max_running"), options, findings }
}

fn submission(
    scheduler: &dyn Scheduler,
    case: &Case,
    command: &[String],
    dir: &str,
    submit_dir: &str,
) -> Submission {
    let order = Order {
        name: case.options.job_name.as_deref().unwrap_or("espnet3-vad"),
        tasks: case.tasks,
        max_running: case.max_running,
        options: &case.options,
        recipe_dir: dir,
        command,
        threads_per_worker: case.options.cores / case.options.processes.max(1),
        folder: "../jobs/001",
        log: "job.001",
        submit_dir,
        unique: "3f9a1c",
    };
    scheduler.submission(&order)
}

fn yaml_cases() -> Vec<(String, String)> {
    let mut cases: Vec<_> = fs::read_dir(folder("rendered"))
        .expect("tests/rendered")
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let text = fs::read_to_string(entry.path()).ok()?;
            Some((name.strip_suffix(".yaml")?.to_owned(), text))
        })
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

/// Compares, or with `BLESS` writes.
fn compare(path: &Path, got: &str, wrong: &mut Vec<String>) {
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("has a folder")).expect("makes the folder");
        fs::write(path, got).expect("writes");
        return;
    }
    let wanted = fs::read_to_string(path).unwrap_or_default();
    if wanted != got {
        wrong.push(format!("{}\nwanted:\n{wanted}\ngot:\n{got}", path.display()));
    }
}

#[test]
fn what_is_rendered() {
    let mut wrong = Vec::new();
    let command = ["/opt/bin/espnet3-par", "espnet3-par-task", "/data/exp/vad", "--job", "1"];
    let command = command.map(String::from);
    for scheduler in SCHEDULERS {
        for (name, yaml) in yaml_cases() {
            let case = case(*scheduler, &yaml);
            let mut text = case.findings.clone();
            if !text.ends_with("(refused)\n") {
                let made = submission(
                    *scheduler,
                    &case,
                    &command,
                    "/home/ann/my recipe",
                    "/data/exp/vad/logs",
                );
                text += &format!("$ {}\n", shell_words::join(&made.argv));
                for (file, content) in &made.files {
                    text += &format!("---- {file}\n{content}");
                }
                if let Some(stdin) = &made.stdin
                    && made.files.iter().all(|(_, content)| content != stdin)
                {
                    text += &format!("---- stdin\n{stdin}");
                }
            }
            let path = folder("rendered").join(scheduler.name()).join(format!("{name}.txt"));
            compare(&path, &text, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A reply in a file: `exit N`, then the sections `---- stdout`, `---- stderr`, `---- means`.
fn read_reply(text: &str) -> (Reply, String) {
    let section = |name: &str| {
        let (_, rest) = format!("\n{text}")
            .split_once(&format!("\n---- {name}\n"))
            .map(|(a, b)| (a.to_owned(), format!("\n{b}")))?;
        // An empty section is followed by the next one at once.
        let own = rest.split_once("\n---- ").map_or(rest.clone(), |(own, _)| format!("{own}\n"));
        Some(own[1..].to_owned())
    };
    let code = text.lines().find_map(|line| line.strip_prefix("exit ")?.trim().parse().ok());
    let reply = Reply {
        code,
        stdout: section("stdout").unwrap_or_default(),
        stderr: section("stderr").unwrap_or_default(),
    };
    (reply, section("means").unwrap_or_default())
}

fn told(state: &State) -> String {
    match state {
        State::Queued(words) => format!("queued ({words})"),
        State::Running(words) => format!("running ({words})"),
        State::Ended(words) => format!("ended ({words})"),
        State::Unknown(words) => format!("unknown ({words})"),
    }
}

/// What a dialect makes of a reply: to a submission where the file's name begins with `submit`,
/// to the question for the array limit with `limit`, to a query else.
fn meaning(scheduler: &dyn Scheduler, name: &str, reply: &Reply) -> String {
    if name.starts_with("submit") {
        return format!("job id {:?}\n", scheduler.job_id(&reply.stdout));
    }
    if name.starts_with("limit") {
        let (_, read) = scheduler.array_limit().expect("it asks for a limit");
        return format!("limit {:?}\n", read(&reply.stdout));
    }
    match scheduler.states(reply) {
        Err(words) => format!("no answer: {words}\n"),
        Ok(states) => states
            .iter()
            .map(|one| {
                let task = one.task.map_or_else(String::new, |task| format!(" task {task}"));
                format!("job {}{task}: {}\n", one.job, told(&one.state))
            })
            .collect(),
    }
}

#[test]
fn what_replies_mean() {
    let mut wrong = Vec::new();
    for scheduler in SCHEDULERS {
        let folder = folder("replies").join(scheduler.name());
        let entries = fs::read_dir(&folder).unwrap_or_else(|_| panic!("{}", folder.display()));
        for entry in entries.flatten() {
            let name = entry.file_name().into_string().expect("UTF-8");
            let text = fs::read_to_string(entry.path()).expect("reads");
            let (reply, _) = read_reply(&text);
            let input = text.split_once("\n---- means\n").map_or(text.as_str(), |(input, _)| input);
            let got =
                format!("{}\n---- means\n{}", input.trim_end(), meaning(*scheduler, &name, &reply));
            compare(&entry.path(), &got, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn no_reply_is_too_odd_and_none_of_them_means_finished() {
    let banner = "*** Welcome to cluster 7! Maintenance on 2026-12-01 08:00 ***\n";
    let odd = [
        "",
        "\n\n",
        banner,
        "{",
        "[]",
        "null",
        "<xml",
        "\u{0}\u{1}",
        "123",
        "|||",
        "error 1\n",
        "a b c d e f",
    ];
    for scheduler in SCHEDULERS {
        for (stdout, stderr) in odd.iter().flat_map(|a| odd.iter().map(move |b| (a, b))) {
            for code in [Some(0), Some(1), Some(153), Some(255), None] {
                let reply =
                    Reply { code, stdout: (*stdout).to_owned(), stderr: (*stderr).to_owned() };
                let states = scheduler.states(&reply).unwrap_or_default();
                let ended = states.iter().any(|one| matches!(one.state, State::Ended(_)));
                assert!(!ended, "{}: {reply:?}", scheduler.name());
            }
        }
        for text in odd.iter().filter(|text| **text != "123") {
            assert_eq!(scheduler.job_id(text), None, "{}: {text:?}", scheduler.name());
        }
    }
}

#[test]
fn replies_cut_at_any_byte_are_survived() {
    for scheduler in SCHEDULERS {
        let folder = folder("replies").join(scheduler.name());
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (whole, _) = read_reply(&fs::read_to_string(entry.path()).expect("reads"));
            let ended = |reply: &Reply| {
                let states = scheduler.states(reply).unwrap_or_default();
                let ended = states.into_iter().filter(|one| matches!(one.state, State::Ended(_)));
                ended.map(|one| (one.job, one.task)).collect::<Vec<_>>()
            };
            let known = ended(&whole);
            let step = (whole.stdout.len() / 400).max(1);
            for end in (0..whole.stdout.len()).step_by(step) {
                let Some(stdout) = whole.stdout.get(..end) else { continue };
                let cut = Reply { stdout: stdout.to_owned(), ..whole.clone() };
                // What the whole reply does not call ended, no part of it does.
                for one in ended(&cut) {
                    assert!(known.contains(&one), "{} at {end}: {one:?}", entry.path().display());
                }
            }
        }
    }
}

/// A real bash runs each script, and what it calls gets the very words that were meant.
#[test]
fn no_name_breaks_a_script() {
    let names = [
        "plain",
        "two words",
        "it's \"so\"",
        "a$HOME;echo `id`",
        "new\nline\n#$ -q x",
        "naïve ü",
        "%A %a %J \\",
    ];
    for scheduler in SCHEDULERS {
        for name in names {
            let temp = tempfile::tempdir().expect("a temporary folder");
            let recipe = temp.path().join(name);
            fs::create_dir(&recipe).expect("makes the folder");
            let exe = recipe.join("task");
            fs::write(&exe, "#!/bin/bash\npwd >\"$0.pwd\"\nprintf '%s\\n' \"$@\" >\"$0.args\"\n")
                .expect("writes");
            let mut command = std::process::Command::new("chmod");
            assert!(command.arg("+x").arg(&exe).status().expect("chmod").success());
            let dir = recipe.to_str().expect("UTF-8");
            let command = [exe.to_str().expect("UTF-8"), "espnet3-par-task", dir, "--job", "1"];
            let command = command.map(String::from);
            let section = "n_workers: 3\noptions: {cores: 1, memory: 1GB, disk: 1GB, image: i, job_extra_directives: []}";
            let case = case(*scheduler, section);
            assert_eq!(case.findings.matches("Error").count(), 0, "{}", case.findings);
            let made = submission(*scheduler, &case, &command, dir, dir);
            let Some((_, script)) = made.files.iter().find(|(file, _)| *file == SCRIPT) else {
                continue;
            };
            let path = temp.path().join("job.sh");
            fs::write(&path, script).expect("writes");
            let done = std::process::Command::new("bash")
                .arg(&path)
                .current_dir(temp.path())
                .output()
                .expect("bash starts");
            assert!(done.status.success(), "{}: {done:?}\n{script}", scheduler.name());
            let read = |file: &str| {
                fs::read_to_string(format!("{}.{file}", command[0])).expect("was written")
            };
            assert_eq!(read("pwd"), format!("{dir}\n"), "{}", scheduler.name());
            let args = read("args");
            let wanted = format!("espnet3-par-task\n{dir}\n--job\n1\n--task\n");
            assert!(args.starts_with(&wanted), "{}: {args}", scheduler.name());
        }
    }
}
