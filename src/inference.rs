//! The provider most stages want: a dataset and a model.

use anyhow::Result;
use serde::de::DeserializeOwned;

use crate::items::{Inputs, Items};
use crate::stage::EnvironmentProvider;

/// A list of items that knows its length, and perhaps what its items cost and are called.
///
/// ```
/// struct Utterances(Vec<std::path::PathBuf>);
///
/// impl espnet3_par::Dataset for Utterances {
///     fn len(&self) -> u64 {
///         self.0.len() as u64
///     }
/// }
/// ```
#[allow(clippy::len_without_is_empty, reason = "nobody asks a dataset whether it is empty")]
pub trait Dataset: Send + Sync {
    /// The number of items.
    fn len(&self) -> u64;

    /// As [`Items::costs`].
    fn costs(&self) -> Option<Vec<f64>> {
        None
    }

    /// As [`EnvironmentProvider::item_name`].
    fn item_name(&self, idx: u64) -> Option<String> {
        let _ = idx;
        None
    }

    /// What it was built from, such as the manifest. The driver notes it for the whole run, and each
    /// worker compares its own, as [`EnvironmentProvider::inputs_of`] says.
    fn inputs(&self) -> Inputs {
        Inputs::default()
    }
}

/// Builds a dataset and a model; every such provider is an [`EnvironmentProvider`] whose env is an
/// [`InferenceEnv`]. The dataset is built by the driver too, to count it; the model only by workers.
///
/// ```
/// use espnet3_par::{Dataset, InferenceProvider, Result};
///
/// struct Words(Vec<String>);
/// impl Dataset for Words {
///     fn len(&self) -> u64 { self.0.len() as u64 }
/// }
///
/// #[derive(serde::Deserialize)]
/// struct Spelling { words: Vec<String>, lexicon: std::collections::HashSet<String> }
///
/// impl InferenceProvider for Spelling {
///     type Dataset = Words;
///     type Model = std::collections::HashSet<String>;
///     fn build_dataset(&self) -> Result<Words> { Ok(Words(self.words.clone())) }
///     fn build_model(&self) -> Result<Self::Model> { Ok(self.lexicon.clone()) }
/// }
/// ```
pub trait InferenceProvider: DeserializeOwned + Send + Sync + 'static {
    /// What the items are.
    type Dataset: Dataset;
    /// What computes them.
    type Model: Send + Sync;

    /// Builds the dataset; cheap, without reading the audio itself.
    ///
    /// # Errors
    /// Whatever keeps the dataset from being listed.
    fn build_dataset(&self) -> Result<Self::Dataset>;

    /// Builds the model.
    ///
    /// # Errors
    /// Whatever keeps the model from being loaded.
    fn build_model(&self) -> Result<Self::Model>;

    /// As [`EnvironmentProvider::validate`]. Where the model is small, building it is the best test.
    ///
    /// # Errors
    /// What is wrong with the parameters.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// As [`Items::inputs`], besides those that the dataset tells itself: the model.
    ///
    /// # Errors
    /// Whatever keeps the inputs from being read.
    fn inputs(&self) -> Result<Inputs> {
        Ok(Inputs::default())
    }
}

/// The env of an [`InferenceProvider`].
#[derive(Debug)]
pub struct InferenceEnv<D, M> {
    /// The items.
    pub dataset: D,
    /// What computes them.
    pub model: M,
}

impl<P: InferenceProvider> EnvironmentProvider for P {
    type Env = InferenceEnv<P::Dataset, P::Model>;

    fn items(&self) -> Result<Items> {
        let dataset = self.build_dataset()?;
        let inputs = dataset.inputs().and(self.inputs()?);
        Ok(Items { len: dataset.len(), costs: dataset.costs(), inputs })
    }

    fn validate(&self) -> Result<()> {
        InferenceProvider::validate(self)
    }

    fn build_env_local(&self) -> Result<Self::Env> {
        Ok(InferenceEnv { dataset: self.build_dataset()?, model: self.build_model()? })
    }

    fn inputs_of(env: &Self::Env) -> Inputs {
        env.dataset.inputs()
    }

    fn item_name(idx: u64, env: &Self::Env) -> Option<String> {
        env.dataset.item_name(idx)
    }
}
