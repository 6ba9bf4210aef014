//! Stands before the commands of a scheduler on PATH and writes down how they are called.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use crate::common::recipe::Recipe;

pub(crate) struct Spy {
    folder: PathBuf,
}

impl Spy {
    /// Watches `commands`, which must be on PATH.
    pub(crate) fn on(recipe: &Recipe, commands: &[&str]) -> Self {
        let folder = recipe.path("spy");
        fs::create_dir_all(&folder).expect("makes the folder");
        for command in commands {
            let real = env::split_paths(&env::var_os("PATH").expect("there is a PATH"))
                .map(|folder| folder.join(command))
                .find(|path| path.is_file())
                .unwrap_or_else(|| panic!("{command} is not on PATH: is the cluster up?"));
            let path = folder.join(command);
            let script = format!(
                "#!/bin/bash\necho \"$(date +%s) $*\" >>'{0}.calls'\nexec '{1}' \"$@\"\n",
                path.display(),
                real.display()
            );
            fs::write(&path, script).expect("writes");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("sets the mode");
        }
        Self { folder }
    }

    /// Puts it before the real ones.
    pub(crate) fn watch(&self, command: &mut Command) {
        let path = env::var("PATH").expect("there is a PATH");
        command.env("PATH", format!("{}:{path}", self.folder.display()));
    }

    /// When, in seconds, and with which arguments a command was called.
    pub(crate) fn calls(&self, command: &str) -> Vec<(u64, String)> {
        let calls = fs::read_to_string(self.folder.join(format!("{command}.calls")));
        let calls = calls.unwrap_or_default();
        let parse = |line: &str| {
            let (second, arguments) = line.split_once(' ').expect("as the script writes it");
            (second.parse().expect("a number"), arguments.to_owned())
        };
        calls.lines().map(parse).collect()
    }
}
