//! Real speech by one config: with another `parallel.env` and nothing else changed, the same words, scores and
//! errors to the byte, waiting and detached. On Slurm every worker is seen with one GPU, its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::disk::logs;
use crate::common::processes::workers;
use crate::common::recipe::{Recipe, assert_same};
use crate::common::until::until_within;

/// A scheduler that was just started takes its time for the first job.
const LONG: Duration = Duration::from_secs(150);

const N_WORKERS: usize = 4;

/// `directives` has the lines that only one cluster understands; what else one of them has no use for it
/// passes by.
const CONFIG: &str = "\
asr:
  manifest: data/cuts.tsv
  model: downloads/an4_ci_cont
  dict: downloads/an4/etc/an4.dic
  lm: downloads/an4/etc/an4.ug.lm
directives:
  local: []
  ssh: []
  slurm: [\"--gres=gpu:2\"]
  sge: [\"-pe smp 2\"]
parallel:
  env: local
  n_workers: 4
  options:
    cores: 2
    processes: 2
    memory: 100MB
    walltime: \"00:10:00\"
    job_extra_directives: ${directives.${parallel.env}}
    hosts: [h1, h2]
    connect_options: {config: \"${oc.env:PAR_SSH_CONFIG,none}\"}
";

/// Twelve utterances from each of AN4's eight recordings, each with another start; and two whose recordings
/// are a half one and none.
fn recipe() -> Recipe {
    let an4 = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/mini_an4");
    let recipe = Recipe::of_product("asr", CONFIG);
    symlink(an4.join("downloads"), recipe.path("downloads")).expect("links");
    for script in ["local/fetch.sh", "local/prepare.py"] {
        let output = Command::new(an4.join(script)).current_dir(recipe.path("")).output();
        let output = output.expect("starts");
        assert!(output.status.success(), "{script}: {output:?}");
    }
    let scp = fs::read_to_string(recipe.path("data/all/wav.scp")).expect("was prepared");
    let recordings: Vec<_> = scp.lines().filter_map(|line| line.split_once(' ')).collect();
    assert_eq!(recordings.len(), 8);
    let whole = fs::read(recipe.path(recordings[0].1)).expect("reads");
    fs::write(recipe.path("data/half.sph"), &whole[..whole.len() / 2]).expect("writes");
    let mut tsv =
        "utt_id\tpath\tstart\nhalf\tdata/half.sph\t0\nnone\tdata/none.sph\t0\n".to_owned();
    for (utt_id, path) in recordings {
        tsv.extend((0..12).map(|cut| format!("{utt_id}-{cut}\t{path}\t0.{cut:02}\n")));
    }
    fs::write(recipe.path("data/cuts.tsv"), tsv).expect("writes");
    recipe
}

/// What the run says of the utterances.
fn outcome(recipe: &Recipe) -> [String; 3] {
    ["results.jsonl", "text", "errors.jsonl"].map(|name| {
        fs::read_to_string(recipe.root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    })
}

fn compare(recipe: &Recipe, wanted: &[String]) {
    for (ours, wanted) in outcome(recipe).iter().zip(wanted) {
        assert_same(ours, wanted);
    }
}

/// The node and the GPUs of the workers that live at one moment, by their names.
type Look = BTreeMap<String, [Option<String>; 2]>;

fn look(recipe: &Recipe) -> Look {
    let environment = |pid: u32| {
        let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let find = |name: &str| {
            let values =
                text.split('\0').find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            values.map(str::to_owned)
        };
        // Empty: it has ended.
        (!text.is_empty()).then(|| ["SLURMD_NODENAME", "CUDA_VISIBLE_DEVICES"].map(find))
    };
    let all = workers(&recipe.root).into_iter();
    all.filter_map(|worker| Some((worker.name, environment(worker.pid)?))).collect()
}

fn one_gpu_each(recipe: &Recipe, looks: &[Look]) {
    for workers in looks {
        let mut taken = BTreeSet::new();
        for (name, place) in workers {
            let [Some(_), Some(gpu)] = place else { panic!("{name} has {place:?}") };
            assert!(["0", "1"].contains(&gpu.as_str()), "{name} sees {gpu:?}");
            assert!(taken.insert(place), "two have {place:?}: {workers:?}");
        }
    }
    let most = looks.iter().map(BTreeMap::len).max();
    assert_eq!(most, Some(N_WORKERS), "at one moment");
    let seen: BTreeSet<_> = looks.iter().flat_map(BTreeMap::keys).collect();
    for (log, text) in logs(&recipe.root) {
        let worked = text.contains("env built in");
        assert!(!worked || seen.contains(&log.replace(".log", "")), "nobody saw {log}: {seen:?}");
    }
}

/// Waiting and detached; `check` gets what was seen while each of the two worked.
fn same_words_on(env: &str, check: impl Fn(&Recipe, &[Look])) {
    let recipe = recipe();
    recipe.run(&[]).expect_code(1);
    let wanted = outcome(&recipe);
    assert_eq!(wanted.each_ref().map(|text| text.lines().count()), [96, 96, 2]);
    let elsewhere = ["--set", &format!("parallel.env={env}"), "--restart"];

    let (mut run, mut looks) = (recipe.start_run(&elsewhere), Vec::new());
    until_within("the run", LONG, || {
        looks.push(look(&recipe));
        (!run.running()).then_some(())
    });
    run.wait().expect_code(1);
    compare(&recipe, &wanted);
    check(&recipe, &looks);

    recipe.run(&[&elsewhere[..], &["--detach"]].concat()).expect_code(0);
    looks.clear();
    until_within("the detached run", LONG, || {
        looks.push(look(&recipe));
        (recipe.status()["state"] == "some_failed").then_some(())
    });
    recipe.call(&["collect", recipe.root_text()]).expect_code(1);
    compare(&recipe, &wanted);
    check(&recipe, &looks);
}

#[test]
#[ignore = "needs a real Slurm of its own"]
fn slurm() {
    same_words_on("slurm", one_gpu_each);
}

#[test]
#[ignore = "needs real hosts"]
fn ssh() {
    same_words_on("ssh", |_, _| ());
}

#[test]
#[ignore = "needs a real Grid Engine"]
fn sge() {
    same_words_on("sge", |_, _| ());
}
