//! `init`: writes a new recipe that runs at once.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::fail::{Exit, Fail, say};
use crate::refused::Refused;

/// A file of `recipes/template`.
macro_rules! template {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../recipes/template/", $name)))
    };
}

const TEMPLATE: &[(&str, &[u8])] = &[
    template!("run.sh"),
    template!("conf/train.yaml"),
    template!("data/wav.scp"),
    template!("data/one.flac"),
    template!("data/two.flac"),
    template!("data/three.flac"),
];

/// Write a new recipe into a folder; it runs at once.
#[derive(Args)]
pub(super) struct Init {
    /// The folder; new, or empty.
    dir: PathBuf,
}

impl Init {
    pub(super) fn answer(self) -> Result<Exit, Fail> {
        let dir = self.dir.display();
        if std::fs::read_dir(&self.dir).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Refused::new(
                format!("{dir} is not empty"),
                "name a folder that is not there yet",
            )
            .into());
        }
        if self.dir.exists() && !self.dir.is_dir() {
            let hint = "name a folder that is not there yet";
            return Err(Refused::new(format!("{dir} is a file"), hint).into());
        }
        for (name, bytes) in TEMPLATE {
            let path = self.dir.join(name);
            let folder = path.parent().unwrap_or(&self.dir);
            std::fs::create_dir_all(folder)
                .with_context(|| format!("failed to make {}", folder.display()))?;
            std::fs::write(&path, bytes)
                .with_context(|| format!("failed to write {}", path.display()))?;
            if name.ends_with(".sh") {
                std::fs::set_permissions(&path, Permissions::from_mode(0o755))?;
            }
        }
        say(format!("{dir} is ready: `cd {dir} && ./run.sh`"))?;
        Ok(Exit::Done)
    }
}
