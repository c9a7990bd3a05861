//! The lab's command.

use std::process::ExitCode;

fn main() -> ExitCode {
    lab::cli::main()
}
