//! The command line: what it is called with, and which file answers. Only this module prints and exits.

mod cancel;
mod check;
mod collect;
mod fail;
mod init;
mod logs;
mod processes;
mod progress;
mod queue;
mod report;
mod run;
mod stages;
mod status;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{Config, Diagnostics, Request, environment};
use crate::stage::Stage;
use fail::{Exit, Fail, say, tell};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    done, but some items failed: see errors.jsonl in the run directory
  2    the config or the command line is wrong
  3    not complete: run again to resume
  4    workers could not be started, or the scheduler failed
  5    anything else, such as a full disk
  130  interrupted";

const EXAMPLES: &str = "\
Examples:
  espnet3-par init my_recipe && cd my_recipe && ./run.sh
  espnet3-par check conf/train.yaml --stage vad     what would be done
  espnet3-par run conf/train.yaml --stage vad       do it, wait, collect
  espnet3-par run conf/train.yaml --stage vad --detach   do it while you are away
  espnet3-par status exp                            every run under exp
  espnet3-par collect exp/vad --format scp --key utt_id --field duration";

/// Runs one function over hundreds of thousands of utterances, and does not lose one.
///
/// A config names a stage and, in its `parallel:` section, where it runs. Running the same config
/// again resumes: nothing that is on disk is computed twice.
#[derive(Parser)]
#[command(name = "espnet3-par", version, max_term_width = 100)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Queue(queue::Queue),
    Status(status::Status),
    Collect(collect::Collect),
    Cancel(cancel::Cancel),
    Logs(logs::Logs),
    Check(check::Check),
    Stages(stages::Stages),
    Init(init::Init),
    /// Print a completion script for your shell.
    Completions {
        /// bash, zsh, fish, elvish or powershell.
        shell: clap_complete::Shell,
    },
}

/// How a config is put together: files, then `ESPNET3_PAR__A__B` variables, then `--set`.
#[derive(Args)]
struct ConfigArgs {
    /// Config files; later ones override earlier ones.
    #[arg(required = true, value_name = "CONF")]
    files: Vec<PathBuf>,
    /// Set one key, as in `--set parallel.n_workers=8`; the value is read as YAML.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The stage to run, where the config does not say or another is wanted.
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// Which section says where to run: `gpu` or `parallel_gpu` for `parallel_gpu:`.
    #[arg(long, value_name = "NAME")]
    parallel: Option<String>,
    /// Only these items, as in `0-99,200`.
    #[arg(long, value_name = "LIST")]
    indices: Option<String>,
}

impl ConfigArgs {
    /// Loads the config and says, on stderr, what is odd about it.
    fn load(&self, stages: &[Stage]) -> Result<Config, Fail> {
        let request = Request {
            files: &self.files,
            set: &self.set,
            stage: self.stage.as_deref(),
            indices: self.indices.as_deref(),
            parallel: self.parallel.as_deref(),
            flags: &[],
            env: environment(),
            now: jiff::Zoned::now(),
        };
        let config = Config::load(&request, stages)?;
        if !config.warnings.is_empty() {
            tell(format!("{}\n", Diagnostics(config.warnings.clone())));
        }
        Ok(config)
    }
}

/// Answers the command line of this process with `stages`; a recipe's own program is this one call.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     espnet3_par::main(espnet3_par::stages::STAGES)
/// }
/// ```
#[must_use]
pub fn main(stages: &[Stage]) -> ExitCode {
    if let Some(code) = processes::worker_entry(stages) {
        return code.into();
    }
    answer(stages, std::env::args_os())
}

/// Ends this process as a worker if that is what it was started for; returns at once if not.
///
/// The workers of a run are processes of the program that started it. A program with a command
/// line of its own, which uses [`parallel_map`](crate::parallel_map), calls this first in `main`.
///
/// ```no_run
/// espnet3_par::work_if_asked(espnet3_par::stages::STAGES);
/// // the program's own command line from here on
/// ```
pub fn work_if_asked(stages: &[Stage]) {
    if let Some(code) = processes::worker_entry(stages) {
        std::process::exit(code.into());
    }
}

fn answer(stages: &[Stage], args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = Cli::command().get_matches_from(args);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let answered = match cli.command {
        Command::Run(run) => run.answer(stages),
        Command::Queue(queue) => queue.answer(),
        Command::Status(status) => status.answer(),
        Command::Collect(collect) => collect.answer(stages),
        Command::Cancel(cancel) => cancel.answer(),
        Command::Logs(logs) => logs.answer(),
        Command::Check(check) => check.answer(stages),
        Command::Stages(list) => list.answer(stages),
        Command::Init(init) => init.answer(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "espnet3-par", &mut script);
            // clap_complete 4.6 takes the hyphen of the name for a subcommand's in the labels of
            // the script for bash, and then finds none of them.
            let script =
                String::from_utf8_lossy(&script).replace("espnet3__subcmd__par", "espnet3__par");
            say(script.trim_end()).map(|()| Exit::Done)
        }
    };
    answered.unwrap_or_else(Fail::print).into()
}
