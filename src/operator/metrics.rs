//! metrics: what status sees, for Prometheus. It changes nothing in the cluster.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Parser;

use crate::env::Environment;
use crate::exit::OcfExitCode;
use crate::rules::overview;

use super::check::Parameters;
use super::{sight, status};

/// Prints the state of this node for Prometheus, in its text format.
///
/// The exit code is 0 if there is anything to print, and 3 otherwise.
#[derive(Debug, Clone, Parser)]
#[command(name = "pgsqlms metrics", no_binary_name = true)]
pub struct Metrics {
    /// The resource, or its clone. Not needed where this agent has only one.
    #[arg(long)]
    resource: Option<String>,
    /// A file to write instead, for node_exporter's textfile collector: it is replaced at once, and never half written.
    #[arg(long)]
    textfile: Option<PathBuf>,
    #[command(flatten)]
    parameters: Parameters,
}

/// Looks and prints; the exit code.
pub fn run(asked: &Metrics, environment: &Environment) -> OcfExitCode {
    sight::live_shortly(sight::LONGEST_LIFE);
    let facts = match status::gather(asked.resource.as_deref(), &asked.parameters, environment) {
        Ok(facts) => facts,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "pgsqlms: {failure}");
            return OcfExitCode::Unimplemented;
        }
    };
    let verdict = overview::judge(&facts);
    let text = overview::metrics(&facts, &verdict, env!("CARGO_PKG_VERSION"));
    let written = match &asked.textfile {
        Some(path) => replace(path, &text).map_err(|error| format!("{}: {error}", path.display())),
        None => io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string()),
    };
    match written {
        Ok(()) => OcfExitCode::Success,
        Err(why) => {
            let _ = writeln!(io::stderr(), "pgsqlms: {why}");
            OcfExitCode::Unimplemented
        }
    }
}

/// Puts a file in the place of the one at `path`. What lies in the way is removed and never written to: it may be a link.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
    // The collector reads what ends in .prom.
    name.push(".new");
    let new = path.with_file_name(name);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o644).open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&new, path)
}
