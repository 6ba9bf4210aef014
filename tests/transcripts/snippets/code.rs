use espnet3_par::{Config, Result, Stage, parallel_for, parallel_map, work_if_asked};

fn run(stages: &[Stage]) -> Result<()> {
    // Workers are processes of this program: this comes first in `main`.
    work_if_asked(stages);

    let config = Config::from_files(&["conf/train.yaml".into()], stages)?;
    for record in parallel_map(&config)? {
        println!("{} {}", record.get::<String>("utt_id")?, record.get::<u64>("words")?);
    }

    // The records of each shard as soon as it is done.
    parallel_for(&config, |records| {
        println!("{} utterances more", records.len());
        Ok(())
    })
}
