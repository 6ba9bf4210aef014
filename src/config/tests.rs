//! Whole configs and what they become. Bad ones are in `messages.txt`.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Config, OnItemError, Request, Severity};
use crate::{EnvironmentProvider, Items, Record, Result, Runner, Stage};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only their types matter")]
struct Vad {
    audio: String,
    #[serde(default)]
    threshold: f64,
    #[serde(default)]
    frames: Vec<u32>,
    model: Option<Model>,
    mode: Option<Mode>,
    #[serde(default)]
    limits: std::collections::BTreeMap<String, u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Fast,
    Exact,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only their types matter")]
struct Model {
    path: String,
    layers: u64,
    #[serde(default)]
    half: bool,
}

impl EnvironmentProvider for Vad {
    type Env = ();
    fn items(&self) -> Result<Items> {
        Ok(Items::new(1))
    }
    fn build_env_local(&self) -> Result<()> {
        Ok(())
    }
}

struct Detect;

impl Runner for Detect {
    type Provider = Vad;
    fn forward(idx: u64, _env: &()) -> Result<Record> {
        Record::new(idx)
    }
}

const STAGES: &[Stage] =
    &[Stage::new::<Detect>("vad", "speech or not"), Stage::new::<Detect>("segment", "cuts")];

/// Files by name, and arguments as on a command line with `NAME=value` for the environment.
pub(super) fn load(files: &[(&str, &str)], args: &[&str]) -> std::result::Result<Config, String> {
    let dir = tempfile::tempdir().expect("a directory");
    let mut paths = Vec::new();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("in dir")).expect("a directory");
        std::fs::write(&path, text).expect("a file");
        paths.push(path);
    }
    let mut set = Vec::new();
    let (mut stage, mut parallel, mut env) = (None, None, Vec::new());
    let mut args = args.iter().copied();
    while let Some(arg) = args.next() {
        let mut value = || args.next().expect("a value for the option");
        match arg {
            "--set" => set.push(value().to_owned()),
            "--stage" => stage = Some(value()),
            "--parallel" => parallel = Some(value()),
            "--file" => paths.push(dir.path().join(value())),
            _ => {
                let (name, value) = arg.split_once('=').expect("NAME=value");
                env.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    let now = jiff::civil::date(2026, 11, 22).at(12, 34, 56, 0);
    let now = now.to_zoned(jiff::tz::TimeZone::UTC).expect("a time");
    let request =
        Request { files: &paths, set: &set, stage, indices: None, parallel, flags: &[], env, now };
    let here = format!("{}/", dir.path().display());
    Config::load(&request, STAGES).map_err(|errors| errors.to_string().replace(&here, ""))
}

fn good(text: &str, args: &[&str]) -> Config {
    load(&[("a.yaml", text)], args).unwrap_or_else(|errors| panic!("{errors}\n\n{text}"))
}

const BASE: &str = "stage: vad\noutput_dir: exp\nvad: {audio: x}\n";

#[test]
fn layers() {
    let files = [
        (
            "a.yaml",
            "stage: vad\noutput_dir: exp\nvad:\n  audio: x\n  frames: [1, 2]\n  limits: {a: 1, b: 2}\n",
        ),
        ("b.yaml", "vad:\n  frames: [3]\n  limits:\n    b: 3\n    c: 4\n  audio: ???\n"),
    ];
    let args = [
        "ESPNET3_PAR__VAD__LIMITS__C=5",
        "ESPNET3_PAR__BATCH_SIZE=7",
        "OTHER__BATCH_SIZE=9",
        "--set",
        "batch_size=8",
        "--set",
        "vad.audio=[] of x",
        "--set",
        "vad.audio='y'",
    ];
    let config = load(&files, &args[..5]).expect("a good config");
    let want = json!({"audio": "x", "frames": [3], "limits": {"a": 1, "b": 3, "c": 5}});
    assert_eq!(config.params, want);
    assert_eq!(config.batch_size, Some(8));
    let origins: Vec<_> = config
        .origins()
        .into_iter()
        .map(|(path, value, from)| {
            let from = from.rsplit('/').next().expect("never empty").to_owned();
            format!("{path} = {value} <- {from}")
        })
        .collect();
    assert_eq!(
        origins,
        [
            "stage = vad <- a.yaml:1",
            "output_dir = exp <- a.yaml:2",
            "vad.audio = x <- a.yaml:4",
            "vad.frames = [3] <- b.yaml:2",
            "vad.limits.a = 1 <- a.yaml:6",
            "vad.limits.b = 3 <- b.yaml:4",
            "vad.limits.c = 5 <- environment variable ESPNET3_PAR__VAD__LIMITS__C",
            "batch_size = 8 <- --set batch_size=8",
        ]
    );
    assert!(load(&files, &args[..7]).is_err(), "`[] of x` is not YAML");
    let quoted = load(&files, &args[7..]).expect("a good config");
    assert_eq!(quoted.params["audio"], "y");
}

#[test]
fn a_mapping_over_a_reference_joins_what_is_referred_to() {
    let base =
        ("a.yaml", "cluster: {env: slurm, options: {queue: q, cores: 1}}\nparallel: ${cluster}\n");
    let more = ("b.yaml", BASE);
    let config = load(&[base, more], &["--set", "parallel.options.memory=2GB"]);
    let config = config.expect("a good config");
    assert_eq!(config.parallel.env, "slurm");
    assert_eq!(
        config.parallel.options,
        *json!({"queue": "q", "cores": 1, "memory": "2GB"}).as_object().expect("a mapping")
    );
    assert_eq!(config.resolved["cluster"]["options"], json!({"queue": "q", "cores": 1}));
    let queue = config.origins().into_iter().find(|(path, ..)| path == "parallel.options.queue");
    assert!(queue.expect("a leaf").2.ends_with("a.yaml:1"));
}

#[test]
fn as_omegaconf_merges() {
    for (below, above, want) in [
        ("1", "???", json!(1)),
        ("{b: 1}", "null", json!(null)),
        ("{b: 1}", "???", json!({"b": 1})),
        ("null", "{b: 1}", json!({"b": 1})),
        ("[1, 2]", "[3]", json!([3])),
        ("{b: {c: 1}}", "{b: 3}", json!({"b": 3})),
        ("{q: 2}", "'${x}'", json!({"p": 1})),
        ("'${x}'", "{q: 2}", json!({"p": 1, "q": 2})),
    ] {
        let below = format!("{BASE}x: {{p: 1}}\na: {below}\n");
        let config = load(&[("a.yaml", &below), ("b.yaml", &format!("a: {above}\n"))], &[]);
        assert_eq!(config.expect("a good config").resolved["a"], want, "{below} {above}");
    }
}

#[test]
fn interpolations() {
    let tail = "\na: {b: 3, c: [x, y], n: null, f: 1e-5, t: true, me: '${.b}', up: '${..word}', lit: '\\${x}'}\nword: hello\nkey: b\nwhole: ${a}\nthrough: ${whole.c}\nl: ['${..word}', '${.0}x', '${..through[0]}']\n";
    for (text, want) in [
        ("${a.b}", json!(3)),
        ("${a[b]}", json!(3)),
        ("${a.c}", json!(["x", "y"])),
        ("${a.c[1]}", json!("y")),
        ("${a.c.0}", json!("x")),
        ("${through[0]}", json!("x")),
        ("${whole.me}", json!(3)),
        ("${a.n}", json!(null)),
        ("${a.t}", json!(true)),
        ("${a.me}", json!(3)),
        ("${a.up}", json!("hello")),
        ("${a.lit}", json!("${x}")),
        ("${.a.b}", json!(3)),
        ("${ a.b }", json!(3)),
        ("${l}", json!(["hello", "hellox", "x"])),
        ("$${a.b}}", json!("$3}")),
        ("n=${a.b} ${word}!", json!("n=3 hello!")),
        ("${a.t}/${a.n}/${a.f}", json!("True/None/1e-05")),
        ("${a.${key}}", json!(3)),
        ("${oc.env:NAME}", json!("value")),
        ("${oc.env:NONE,abc}", json!("abc")),
        ("${oc.env:NONE,null}", json!(null)),
        ("${oc.env:NONE,'null'}", json!("null")),
        ("${oc.env:NONE,12}", json!("12")),
        ("${oc.env:NONE,${word}/x}", json!("hello/x")),
        ("${oc.env:NONE,${oc.env:NAME}}", json!("value")),
        ("${oc.decode:${oc.env:NONE,12}}", json!(12)),
        ("${now:%Y-%m-%d_%H:%M}", json!("2026-11-22_12:34")),
        ("${self_name:}", json!("a")),
        (r"\${a.b}", json!("${a.b}")),
        (r"\\${a.b}", json!(r"\3")),
        ("no $holes {here}", json!("no $holes {here}")),
    ] {
        let text = format!("{BASE}mine: {}{tail}", json!(text));
        let config = good(&text, &["NAME=value"]);
        assert_eq!(config.resolved["mine"], want, "{text}");
    }
    let config = good(&format!("{BASE}{tail}"), &[]);
    assert_eq!(config.resolved["whole"], config.resolved["a"]);
}

#[test]
fn values() {
    let config = good(BASE, &[]);
    assert_eq!((config.batch_size, config.detach, config.max_failed_items), (None, false, None));
    assert_eq!((config.on_item_error, config.indices), (OnItemError::Skip, None));
    assert_eq!(config.parallel, super::Parallel::default());
    assert_eq!(config.output_dir, PathBuf::from("exp"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);

    let text = "async_result_dir: exp/x\nasync_mode: on\nasync_num_workers: 5\nindices: [3, 1, 2, 9]\n\
        batch_size: 16\non_item_error: stop\nmax_failed_items: 0\n\
        base: {env: local, options: {threads_per_worker: 2, processes: true}}\nparallel: ${base}\n\
        segment: {audio: x}\n";
    let config = good(text, &["--stage", "segment"]);
    assert_eq!(config.stage.name, "segment");
    assert_eq!(config.resolved["stage"], "segment");
    assert_eq!(
        (config.batch_size, config.detach, config.max_failed_items),
        (Some(16), true, Some(0))
    );
    assert_eq!(config.on_item_error, OnItemError::Stop);
    assert_eq!(json!(config.indices), json!([[1, 4], [9, 10]]));
    assert_eq!((config.parallel.n_workers, config.parallel.threads_per_worker), (5, 2));
    assert_eq!(Value::Object(config.parallel.options), json!({"threads_per_worker": 2}));

    let text = format!(
        "{BASE}parallel_gpu: {{env: slurm, options: {{queue: a, cores: 1, memory: 1GB}}}}\nparallel_cpu: {{}}\n"
    );
    for wanted in ["gpu", "parallel_gpu"] {
        let config = good(&text, &["--parallel", wanted]);
        assert_eq!(
            (config.parallel.section.as_str(), config.parallel.env.as_str()),
            ("parallel_gpu", "slurm")
        );
        assert_eq!(
            Value::Object(config.parallel.options),
            json!({"queue": "a", "cores": 1, "memory": "1GB"})
        );
    }
}

#[test]
fn what_the_run_does_not_need_may_be_unresolved() {
    let text =
        format!("{BASE}trainer: {{lr: 1e3, dir: '${{nowhere}}', x: ???, y: '${{no.such:1}}'}}\n");
    let config = good(&text, &[]);
    assert_eq!(
        config.resolved["trainer"],
        json!({"lr": 1000.0, "dir": "${nowhere}", "x": "???", "y": "${no.such:1}"})
    );
    assert!(
        config.warnings.iter().all(|one| one.severity == Severity::Note),
        "{:?}",
        config.warnings
    );
    assert_eq!(config.warnings.len(), 3);
}

#[test]
fn yaml_again() {
    let texts = [
        "1",
        "no",
        "y",
        "On",
        "0640",
        "08",
        "0o17",
        "0b1",
        "0x1F",
        "1_000",
        "1e3",
        "-.5",
        "1.",
        ".inf",
        ".nan",
        "1:30",
        "null",
        "~",
        "",
        "???",
        "\\${x}",
        "-",
        "a: b",
        "# c",
        " x ",
        "two\nlines\n",
        "\ttab",
        "'",
        "\"",
        "é漢",
        "@at",
        "*x",
        "&x",
        "!x",
        "[a",
        "{a",
        "%a",
        "2026-11-22",
        "=",
        "<<",
    ];
    let config = good(
        &format!("{BASE}z: 1\na: [no, {{b: 1.5, c: 1e30}}]\nt: {}\n", json!(texts.as_slice())),
        &[],
    );
    let yaml = config.to_yaml();
    let node = super::yaml::parse(&yaml).unwrap_or_else(|faults| panic!("{faults:?}\n{yaml}"));
    let (again, resolved) = (node.to_json(), &config.resolved);
    for (again, text) in
        again["t"].as_array().expect("a list").iter().zip(resolved["t"].as_array().expect("a list"))
    {
        assert_eq!(again, text, "{yaml}");
    }
    assert_eq!(&again, resolved);
    assert!(yaml.starts_with("stage: vad\noutput_dir: exp\nvad:\n"));
}
