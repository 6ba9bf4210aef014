//! A hunt for a lost or doubled record: processes of a run are killed at random moments, again and
//! again, until it is done; then the next run. The seed is told, and makes the same choices again.
//!
//! `PAR_KILLS=1000` makes it long, `PAR_SEED` repeats one.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::disk::{check_files, claimed, said, shards};
use super::kept::Kept;
use super::processes::{Kind, kill_all, of_run, send};
use super::recipe::{Call, Recipe};

/// However slow the machine: a round's next disturbance comes, or the run ends, within this.
const ROUND: Duration = Duration::from_secs(60);

/// xorshift64 (Marsaglia 2003).
pub(crate) struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = std::env::var("PAR_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seed = seed.unwrap_or_else(|| now.expect("after 1970").as_nanos() as u64 | 1);
        println!("PAR_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// What was done to the runs, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    runs: u32,
    pub kills: u32,
    interrupts: u32,
    pauses: u32,
    second_drivers: u32,
    cuts: u32,
    /// Items that died twice in a row by our hand: they fail, and are tried again at the end.
    blamed: usize,
}

/// So many kills, or what `PAR_KILLS` says.
pub(crate) fn kills(usual: u32) -> u32 {
    std::env::var("PAR_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(usual)
}

/// Disturbs one run after another, each made by `recipe`, with a pause of up to `pause` before each
/// disturbance. Where `cuts` is set, records of the dead are damaged too.
pub(crate) fn hunt(kills: u32, pause: Duration, cuts: bool, recipe: impl Fn() -> Recipe) -> Tally {
    let mut dice = Dice::new();
    let mut tally = Tally::default();
    while tally.kills < kills {
        one_run(&recipe(), pause, cuts, &mut dice, &mut tally);
    }
    println!("{tally:?}");
    tally
}

fn one_run(recipe: &Recipe, pause: Duration, cuts: bool, dice: &mut Dice, tally: &mut Tally) {
    tally.runs += 1;
    let root = &recipe.root;
    let mut kept = Kept::default();
    let mut drivers: Vec<Call> = Vec::new();
    let since = Instant::now();
    while !complete(recipe) && since.elapsed() < 10 * ROUND {
        drivers.retain_mut(Call::running);
        if drivers.is_empty() {
            if cuts && of_run(root).is_empty() && dice.below(3) == 0 {
                tally.cuts += u32::from(cut(recipe, dice));
                kept = Kept::now(root);
            }
            drivers.push(recipe.start_run(&["--retry-failed"]));
        }
        std::thread::sleep(pause.mul_f64(dice.below(1000) as f64 / 1000.0));
        disturb(recipe, &mut drivers, dice, tally);
        kept.check(root);
    }
    for driver in drivers {
        driver.wait_within(2 * ROUND);
    }
    recipe.run(&["--retry-failed"]).expect_code(0);
    assert!(claimed(root).is_empty(), "{:?}", claimed(root));
    check_files(root);
    let blamed = said(root, "twice in a row");
    tally.blamed += blamed;
    if blamed == 0 {
        recipe.compare();
    } else {
        // Items that were tried again later lie behind others in the shared files.
        let places = |text: &str| text.lines().map(without_places).collect::<Vec<_>>();
        assert_eq!(places(&recipe.results()), places(&recipe.undisturbed()));
    }
}

fn without_places(line: &str) -> Value {
    let mut record: Value = serde_json::from_str(line).expect("a record");
    record["text"] = Value::Null;
    record
}

fn complete(recipe: &Recipe) -> bool {
    let all = shards(&recipe.root);
    !all.is_empty() && all.iter().all(|name| name.split('.').count() == 2)
}

fn disturb(recipe: &Recipe, drivers: &mut Vec<Call>, dice: &mut Dice, tally: &mut Tally) {
    let root = &recipe.root;
    match dice.below(10) {
        choice @ 0..=5 => {
            let kind = if choice < 5 { Kind::Worker } else { Kind::Task };
            let all: Vec<_> = of_run(root).into_iter().filter(|one| one.kind == kind).collect();
            if !all.is_empty() {
                send(all[dice.below(all.len() as u64) as usize].pid, Signal::SIGKILL);
                tally.kills += 1;
            }
        }
        6 => {
            let driver = drivers.swap_remove(dice.below(drivers.len() as u64) as usize);
            driver.signal(Signal::SIGKILL);
            driver.wait();
            tally.kills += 1;
        }
        7 => {
            let killed = of_run(root).len() + drivers.len();
            drivers.iter().for_each(|driver| driver.signal(Signal::SIGKILL));
            kill_all(root, None);
            drivers.drain(..).for_each(|driver| _ = driver.wait());
            tally.kills += killed as u32;
        }
        8 => {
            let driver = drivers.swap_remove(0);
            driver.signal([Signal::SIGINT, Signal::SIGTERM][dice.below(2) as usize]);
            driver.wait_within(ROUND);
            tally.interrupts += 1;
        }
        _ if dice.below(2) == 0 && drivers.len() < 2 => {
            drivers.push(recipe.start_run(&["--retry-failed"]));
            tally.second_drivers += 1;
        }
        _ => {
            let all = of_run(root);
            all.iter().for_each(|one| send(one.pid, Signal::SIGSTOP));
            std::thread::sleep(Duration::from_millis(dice.below(50)));
            all.iter().for_each(|one| send(one.pid, Signal::SIGCONT));
            tally.pauses += 1;
        }
    }
}

/// Cuts the records of a shard that nobody works on, or adds to them, as a crash of a disk may.
fn cut(recipe: &Recipe, dice: &mut Dice) -> bool {
    let names = shards(&recipe.root);
    let open: Vec<_> = names.iter().filter(|name| name.split('.').count() > 2).collect();
    let Some(name) = open.get(dice.below(open.len().max(1) as u64) as usize) else { return false };
    let path = recipe.root.join("shards").join(name).join("results.jsonl");
    let Ok(mut file) = OpenOptions::new().append(true).open(path) else { return false };
    let length = file.metadata().expect("is there").len();
    match dice.below(4) {
        0 => file.write_all(b"{\"idx\":3,\"utt").expect("writes"),
        1 => file.write_all(&[0; 100]).expect("writes"),
        _ => file.set_len(dice.below(length + 1)).expect("cuts"),
    }
    true
}
