//! Which recogniser a model folder is for.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;

use super::recogniser::Recogniser;
use super::sphinx::{self, MDEF, Sphinx};
use super::whisper::{self, Whisper};

/// A model, as the config has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model<'a> {
    pub folder: &'a Path,
    /// For Whisper.
    pub wanted: whisper::Wanted<'a>,
    /// For CMU Sphinx.
    pub dict: Option<&'a Path>,
    /// For CMU Sphinx.
    pub lm: Option<&'a Path>,
}

/// The kinds of models.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Whisper,
    Sphinx,
}

impl Model<'_> {
    /// What the folder holds.
    fn kind(&self) -> Result<Kind> {
        let folder = self.folder.display();
        if self.folder.join(whisper::CONFIG).exists() {
            Ok(Kind::Whisper)
        } else if self.folder.join(MDEF).exists() {
            Ok(Kind::Sphinx)
        } else if self.folder.is_dir() {
            bail!(
                "`{folder}` has neither a `{}`, as checkpoints of Whisper have in Hugging Face's \
                 layout, nor an `{MDEF}`, as acoustic models of CMU Sphinx have",
                whisper::CONFIG
            )
        } else {
            bail!("`model` is the folder of a model, and `{folder}` is no folder")
        }
    }

    /// Whether the model can be loaded, as far as that is cheap to tell.
    ///
    /// # Errors
    /// When it cannot, or when there are parameters for the other kind.
    pub(crate) fn check(&self) -> Result<()> {
        let whisper::Wanted { language, task } = self.wanted;
        let (sphinxes, whispers) = (self.dict.or(self.lm), language.or(task));
        match self.kind()? {
            Kind::Whisper => {
                ensure!(
                    sphinxes.is_none(),
                    "`dict` and `lm` are for models of CMU Sphinx, and `{}` is a Whisper",
                    self.folder.display()
                );
                whisper::check(self.folder, self.wanted)
            }
            Kind::Sphinx => {
                ensure!(
                    whispers.is_none(),
                    "`language` and `task` are for Whisper, and `{}` is a model of CMU Sphinx",
                    self.folder.display()
                );
                self.sphinx().map(drop)
            }
        }
    }

    /// It is so small that loading it is the check.
    fn sphinx(&self) -> Result<Sphinx> {
        let folder = self.folder;
        let dict = self.dict.with_context(|| {
            format!(
                "`{}` is a model of CMU Sphinx, and needs `dict`, the pronunciations of the words \
                 that it is to know",
                folder.display()
            )
        })?;
        Sphinx::load(folder, dict, self.lm)
    }

    /// The files that results depend on.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        match self.kind()? {
            Kind::Whisper => Ok(whisper::files(self.folder)),
            Kind::Sphinx => Ok(sphinx::files(self.folder)),
        }
    }

    /// Loads the model; Whisper onto the device.
    ///
    /// # Errors
    /// As [`check`](Self::check), and what is only found when all of it is read.
    pub(crate) fn load(
        &self,
        device: impl FnOnce() -> Result<Device>,
    ) -> Result<Box<dyn Recogniser>> {
        self.check()?;
        match self.kind()? {
            Kind::Whisper => Ok(Box::new(Whisper::load(self.folder, self.wanted, device()?)?)),
            Kind::Sphinx => Ok(Box::new(self.sphinx()?)),
        }
    }
}
