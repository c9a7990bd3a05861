//! The environment that a server gets, and with it its `archive_command`, `restore_command` and extensions.

use std::path::{Path, PathBuf};

use super::oom;
use crate::command::Invocation;
use crate::privileges::SystemUser;

/// Debian's file of variables for a server, beside its configuration (pg_createcluster(8)).
const FILE: &str = "environment";

/// The server with all its variables.
pub(super) fn of_server(server: Invocation, user: &SystemUser, pgdata: &Path, datadir: &Path) -> Invocation {
    let server = oom::ENVIRONMENT.iter().fold(server, |server, (name, value)| server.env(*name, *value));
    let server = server.env("HOME", user.home()).env("USER", user.name()).env("LOGNAME", user.name());
    of_debian(pgdata, datadir).into_iter().fold(server, |server, (name, value)| server.env(name, value))
}

/// Variables that Debian's file sets for the server with this configuration and this data directory.
fn of_debian(pgdata: &Path, datadir: &Path) -> Vec<(String, String)> {
    let beside = (pgdata != datadir).then(|| pgdata.join(FILE));
    let files = beside.into_iter().chain(debian(datadir));
    let text = files.filter_map(|file| std::fs::read_to_string(file).ok()).next();
    text.map(|text| text.lines().filter_map(variable).collect()).unwrap_or_default()
}

/// `/var/lib/postgresql/17/main` has its configuration in `/etc/postgresql/17/main`.
fn debian(datadir: &Path) -> Option<PathBuf> {
    let rest = datadir.strip_prefix("/var/lib/postgresql").ok()?;
    (rest.components().count() == 2).then(|| Path::new("/etc/postgresql").join(rest).join(FILE))
}

/// `NAME = 'value'`, as pg_ctlcluster(1) reads it.
fn variable(line: &str) -> Option<(String, String)> {
    let line = line.trim_start();
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let value = rest.trim_start().strip_prefix('=').unwrap_or(rest).trim();
    let value = match value.strip_prefix('\'') {
        Some(quoted) => quoted.rsplit_once('\'')?.0.replace("\\'", "'").replace("''", "'"),
        None => value.split(['#', ' ', '\t']).next().unwrap_or_default().to_owned(),
    };
    Some((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn read(line: &str) -> Option<(String, String)> {
        variable(line)
    }

    fn set(name: &str, value: &str) -> Option<(String, String)> {
        Some((name.to_owned(), value.to_owned()))
    }

    table! { read;
        quoted: " AWS_REGION = 'eu central'  # x" => set("AWS_REGION", "eu central");
        with_a_quote: "A = 'it''s'" => set("A", "it's");
        bare: "A=b # c" => set("A", "b");
        without_a_sign: "A b" => set("A", "b");
        a_comment: "# environment variables for postgres" => None;
        no_name: "= 'x'" => None;
        a_number: "1A = 'x'" => None;
        unfinished: "A = 'x" => None;
        nothing: "" => None;
    }

    #[test]
    fn the_file_is_where_debian_has_it() {
        assert_eq!(
            debian(Path::new("/var/lib/postgresql/17/main")),
            Some("/etc/postgresql/17/main/environment".into())
        );
        assert_eq!((debian(Path::new("/srv/17/main")), debian(Path::new("/var/lib/postgresql/data"))), (None, None));
    }
}
