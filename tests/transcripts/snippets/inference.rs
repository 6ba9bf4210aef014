use espnet3_par::{Dataset, Env, InferenceProvider, Record, Result, Runner};
use serde_json::json;

struct Lines(Vec<String>);

impl Dataset for Lines {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

struct Model(String);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Greeting {
    names: Vec<String>,
    word: String,
}

impl InferenceProvider for Greeting {
    type Dataset = Lines;
    type Model = Model;

    // The driver and the workers.
    fn build_dataset(&self) -> Result<Lines> {
        Ok(Lines(self.names.clone()))
    }

    // The workers alone.
    fn build_model(&self) -> Result<Model> {
        Ok(Model(self.word.clone()))
    }
}

struct Greet;

impl Runner for Greet {
    type Provider = Greeting;

    fn forward(idx: u64, env: &Env<Self>) -> Result<Record> {
        Ok(Self::batch_forward(&[idx], env)?.remove(0))
    }

    // `batch_size` of the config says how many items come at once.
    fn batch_forward(indices: &[u64], env: &Env<Self>) -> Result<Vec<Record>> {
        let names = indices.iter().map(|idx| &env.dataset.0[*idx as usize]);
        names.map(|name| Record::new(json!({"text": format!("{}, {name}", env.model.0)}))).collect()
    }
}
