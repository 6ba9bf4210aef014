//! `init`: writes a new recipe that runs at once.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;

use super::fail::{Exit, Fail};

/// The files of `recipes/template`, and whether they are programs.
const TEMPLATE: &[(&str, &[u8], bool)] = &[];

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
            return Err(Fail::usage(
                anyhow!("{dir} is not empty"),
                "name a folder that is not there yet",
            ));
        }
        for (name, bytes, program) in TEMPLATE {
            let path = self.dir.join(name);
            let folder = path.parent().unwrap_or(&self.dir);
            std::fs::create_dir_all(folder)
                .with_context(|| format!("failed to make {}", folder.display()))?;
            std::fs::write(&path, bytes)
                .with_context(|| format!("failed to write {}", path.display()))?;
            if *program {
                use std::os::unix::fs::PermissionsExt;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
            }
        }
        println!("{dir} is ready: `cd {dir} && ./run.sh`");
        Ok(Exit::Done)
    }
}
