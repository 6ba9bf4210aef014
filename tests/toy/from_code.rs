//! A program with a command line of its own that runs a stage from code.

use espnet3_par::{
    Config, EnvironmentProvider, Items, Record, Result, Runner, Stage, parallel_for, parallel_map,
    work_if_asked,
};

static STAGES: &[Stage] = &[Stage::new::<Square>("square", "squares of the first n numbers")];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbers {
    n: u64,
    /// An item that fails.
    bad: Option<u64>,
}

impl EnvironmentProvider for Numbers {
    type Env = Option<u64>;

    fn items(&self) -> Result<Items> {
        Ok(Items::new(self.n))
    }

    fn build_env_local(&self) -> Result<Option<u64>> {
        Ok(self.bad)
    }
}

struct Square;

impl Runner for Square {
    type Provider = Numbers;

    fn forward(idx: u64, bad: &Option<u64>) -> Result<Record> {
        anyhow::ensure!(*bad != Some(idx), "a bad number");
        Record::new(idx * idx)
    }
}

fn main() -> Result<()> {
    work_if_asked(STAGES);
    let mut args = std::env::args().skip(1);
    let (how, conf) = (args.next().expect("map or for"), args.next().expect("a config"));
    let config = Config::from_files(&[conf.into()], STAGES)?;
    if how == "map" {
        for record in parallel_map(&config)? {
            println!("{} {}", record.get::<u64>("idx")?, record.get::<u64>("value")?);
        }
        return Ok(());
    }
    parallel_for(&config, |records| {
        let items: Vec<String> = records
            .iter()
            .map(|record| record.get::<u64>("idx").map(|idx| idx.to_string()))
            .collect::<Result<_>>()?;
        println!("{}", items.join(" "));
        Ok(())
    })
}
