//! The embeddings that an scp names, read when they are first asked for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::checksum::sha256_bytes;
use crate::lines::read_text;
use crate::speech::vectors;

/// All embeddings of an scp.
pub(super) struct Embeddings {
    scp: PathBuf,
    of: HashMap<String, Embedding>,
}

struct Embedding {
    place: String,
    /// With length one, or why there is none.
    vector: OnceLock<Result<Vec<f32>, String>>,
}

impl Embeddings {
    /// Reads the scp, lines of `UTT_ID PLACE`, and none of the embeddings.
    pub(super) fn list(scp: &Path) -> Result<Self> {
        let mut of = HashMap::new();
        let text = read_text(scp)?;
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            let place = || format!("{}:{number}", scp.display());
            let Some((utt_id, path)) = line.trim().split_once(char::is_whitespace) else {
                bail!(
                    "{}: expected `UTT_ID PATH:OFFSET` or `UTT_ID PATH`, found `{line}`",
                    place()
                );
            };
            if path.ends_with('|') {
                bail!("{}: `{utt_id}` is a command, and commands are not run", place());
            }
            let embedding = Embedding { place: path.trim().to_owned(), vector: OnceLock::new() };
            if of.insert(utt_id.to_owned(), embedding).is_some() {
                bail!("{}: `{utt_id}` was already there", place());
            }
        }
        Ok(Self { scp: scp.to_owned(), of })
    }

    /// The embedding of an utterance, with length one.
    pub(super) fn get(&self, utt_id: &str) -> Result<&[f32]> {
        let embedding = self
            .of
            .get(utt_id)
            .with_context(|| format!("no embedding of `{utt_id}` in {}", self.scp.display()))?;
        let vector = embedding.vector.get_or_init(|| {
            let read = vectors::read(&embedding.place).and_then(normalized);
            read.map_err(|error| format!("{error:#}"))
        });
        match vector {
            Ok(vector) => Ok(vector),
            Err(why) => bail!("the embedding of `{utt_id}`, {}: {why}", embedding.place),
        }
    }

    /// Changes when the scp or an embedding does: an archive that is written anew may have all of them
    /// in the same places.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut utt_ids: Vec<&String> = self.of.keys().collect();
        utt_ids.sort_unstable();
        let sums = utt_ids.into_iter().map(|utt_id| match self.get(utt_id) {
            Ok(vector) => {
                let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                format!("{utt_id} {}\n", sha256_bytes(&bytes))
            }
            Err(why) => format!("{utt_id} {why}\n"),
        });
        sums.collect::<String>().into_bytes()
    }
}

fn normalized(mut vector: Vec<f32>) -> Result<Vec<f32>> {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if !(length > 0.0 && length.is_finite()) {
        bail!("its length is {length}");
    }
    vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    Ok(vector)
}
