use espnet3_par::{Record, Result};
use serde_json::json;

/// One file of the shard for all of its records: `"feats": "shards/split.7/feats.ark:1234"`.
fn into_an_archive(utt_id: &str, matrix: &[u8]) -> Result<Record> {
    let entry = [utt_id.as_bytes(), b" ", matrix].concat();
    // In a Kaldi archive the place that an scp names is behind the key and its blank.
    let skip = utt_id.len() + 1;
    Ok(Record::new(json!({"utt_id": utt_id}))?.append("feats", "feats.ark", entry, skip))
}

/// One file for this record: `"feats": "shards/split.7/utt1.npy"`.
fn into_its_own_file(utt_id: &str, npy: Vec<u8>) -> Result<Record> {
    let record = Record::new(json!({"utt_id": utt_id}))?;
    Ok(record.file("feats", &format!("{utt_id}.npy"), npy))
}
