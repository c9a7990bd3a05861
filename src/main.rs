//! The resource agent: see the library for everything but the outermost wiring.

use std::process::ExitCode;

use pgsqlms::env::{self, Environment};
use pgsqlms::program;

fn main() -> ExitCode {
    program::run(env::arguments(), &Environment::of_this_process())
}
