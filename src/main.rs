//! The built-in stages on the command line. A recipe's own program does the same with its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    espnet3_par::main(espnet3_par::stages::STAGES)
}
