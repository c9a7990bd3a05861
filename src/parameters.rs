//! The parameters of the resource: one table, from which come the configuration, the meta-data, the documentation's table and
//! tests. Reading never fails and looks at nothing but the values themselves.

mod table;
mod value;

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::env::Environment;
pub use table::PARAMETERS;
use value::Expected;

/// One parameter: everything that is known about it.
#[derive(Debug)]
pub struct Parameter {
    /// Its name in the CIB. The environment variable is `OCF_RESKEY_` and this.
    pub name: &'static str,
    /// Its type in the meta-data.
    pub kind: Kind,
    /// What holds while it is unset or empty.
    pub unset: Unset,
    /// No two resources of this agent may have the same value.
    pub unique: bool,
    /// A new value takes effect while PostgreSQL runs: Pacemaker calls `reload-agent` instead of a restart.
    pub reloadable: bool,
    /// A few words for a table.
    pub short: &'static str,
    /// Whole sentences for `pcs resource describe`.
    pub long: &'static str,
    read: fn(&OsStr, &mut Config) -> Result<(), Expected>,
}

/// The type of a parameter, as OCF names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    String,
    /// A number.
    Integer,
    /// Yes or no.
    Boolean,
}

/// What holds while a parameter is unset or empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unset {
    /// This value.
    Default(&'static str),
    /// Something that depends on other facts: a description of it.
    Found(&'static str),
}

/// The values of all parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The account that owns the data directory and runs PostgreSQL.
    pub system_user: String,
    /// Where PostgreSQL's programs are; found from `PG_VERSION` if `None`.
    pub bindir: Option<PathBuf>,
    /// What PostgreSQL is started with as `-D`.
    pub pgdata: PathBuf,
    /// The data directory, where it is not [`pgdata`](Self::pgdata); see [`Config::datadir`].
    pub datadir: Option<PathBuf>,
    /// Where to connect to; found from the running instance if `None`.
    pub pghost: Option<Host>,
    /// The port to connect to; found from the running instance if `None`.
    pub pgport: Option<u16>,
    /// How many bytes a standby may lag behind and still be promoted; no limit if `None`.
    pub maxlag: Option<u64>,
    /// See [`Config::recovery_template`].
    pub recovery_template: Option<PathBuf>,
    /// More arguments for `postgres`, one word each.
    pub start_opts: Vec<String>,
    /// What follows the crash of the primary.
    pub on_crash: OnCrash,
    /// What becomes of a node that has diverged.
    pub rejoin: Rejoin,
    /// The role that connects to the primary for `pg_rewind`; the user of `primary_conninfo` if `None`.
    pub rejoin_user: Option<String>,
    /// The most that `pg_basebackup` may read from the primary in a second, in kB; without a bound if `None`.
    pub copy_max_rate: Option<u32>,
    /// What a rewind drops is kept below it.
    pub evidence_dir: PathBuf,
    /// How `synchronous_standby_names` is kept.
    pub synchronous: Synchronous,
    /// Whom a standby follows.
    pub follow: Follow,
    /// Whether nodes keep replication slots for each other.
    pub slots: Slots,
    /// Programs that are run after events.
    pub hooks: Hooks,
}

/// Programs that are run after events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooks {
    /// Where they are; none if `None`.
    pub directory: Option<PathBuf>,
    /// The user that runs them; [`Config::system_user`] if `None`.
    pub user: Option<String>,
    /// How long those of one event may take.
    pub timeout: Duration,
}

/// What follows the crash of the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCrash {
    /// It is started again where it is.
    Recover,
    /// A standby is promoted.
    Failover,
}

/// Whom a standby follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// The server to which the DBA's `primary_conninfo` points, for example by a virtual address.
    None,
    /// The promoted node, by its name or address.
    Node,
}

/// Whether nodes keep replication slots for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slots {
    /// Where the WAL that they hold back is bounded.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// What becomes of a node that has diverged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejoin {
    /// The monitor says so.
    None,
    /// The monitor says so, and how to bring it back.
    Report,
    /// It is rewound when it is started.
    Rewind,
    /// Its data is replaced by a copy of the primary's.
    Rebuild,
}

/// How `synchronous_standby_names` is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synchronous {
    /// By the agent, as a quorum of the standbys that are streaming; else by the DBA.
    pub managed: bool,
    /// How many standbys a commit should wait for.
    pub standbys: NonZeroU32,
    /// Whether commits wait while there is no standby.
    pub strict: bool,
}

/// Where an instance listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// The directory of its Unix socket.
    Directory(PathBuf),
    /// A host name or IP address.
    Name(String),
}

/// A value that cannot be used, and was not. Displayed as one line, also if the value has several.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}={} is not valid: expected {expected}", Shown(value))]
pub struct BadParameter {
    /// The parameter.
    pub name: &'static str,
    /// Its value.
    pub value: OsString,
    /// What it should have been.
    pub expected: &'static str,
}

/// Stands in for a `pgdata` that is not a usable path. The default would not do: that may be another instance,
/// which a `stop` must not end. Nothing can be running here, so `stop` and `monitor` say the truth.
pub const NOWHERE: &str = "/nonexistent";

impl Parameter {
    /// The environment variable that carries the value.
    pub fn variable(&self) -> String {
        format!("OCF_RESKEY_{}", self.name)
    }
}

impl Kind {
    /// OCF's name of the type.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Boolean => "boolean",
        }
    }
}

impl Config {
    /// The values given in `environment`, and what was wrong with some of them.
    ///
    /// A bad value counts as unset (a bad `pgdata` as [`NOWHERE`]), so that what must always work, such as `stop`, does.
    /// An action that starts or promotes an instance has to refuse instead.
    pub fn read(environment: &Environment) -> (Self, Vec<BadParameter>) {
        let mut config = Self::default();
        let mut bad = Vec::new();
        for parameter in &PARAMETERS {
            let Some(value) = environment.get(&parameter.variable()) else {
                continue;
            };
            if let Err(expected) = (parameter.read)(value, &mut config) {
                bad.push(BadParameter { name: parameter.name, value: value.to_owned(), expected });
            }
        }
        bad.extend(config.drop_host_without_room());
        (config, bad)
    }

    /// The directory that holds the data: `datadir`, or else `pgdata`.
    pub fn datadir(&self) -> &Path {
        self.datadir.as_deref().unwrap_or(&self.pgdata)
    }

    /// The file that must not exist: `recovery_template`, or else PAF's default.
    pub fn recovery_template(&self) -> PathBuf {
        self.recovery_template.clone().unwrap_or_else(|| self.pgdata.join("recovery.conf.pcmk"))
    }

    /// How long a socket's path becomes depends on two parameters, so it is looked at when both are read.
    fn drop_host_without_room(&mut self) -> Option<BadParameter> {
        let Some(Host::Directory(directory)) = &self.pghost else { return None };
        let expected = value::socket_fits(directory, self.pgport.unwrap_or(5432)).err()?;
        let bad = BadParameter { name: "pghost", value: directory.clone().into(), expected };
        self.pghost = None;
        Some(bad)
    }
}

impl Default for Config {
    /// The table's defaults.
    fn default() -> Self {
        let mut config = Self {
            system_user: String::new(),
            bindir: None,
            pgdata: PathBuf::new(),
            datadir: None,
            pghost: None,
            pgport: None,
            maxlag: None,
            recovery_template: None,
            start_opts: Vec::new(),
            on_crash: OnCrash::Recover,
            rejoin: Rejoin::Report,
            rejoin_user: None,
            copy_max_rate: None,
            evidence_dir: PathBuf::new(),
            synchronous: Synchronous { managed: false, standbys: NonZeroU32::MIN, strict: true },
            follow: Follow::None,
            slots: Slots::Auto,
            hooks: Hooks { directory: None, user: None, timeout: Duration::ZERO },
        };
        for parameter in &PARAMETERS {
            if let Unset::Default(text) = parameter.unset {
                let read = (parameter.read)(OsStr::new(text), &mut config);
                debug_assert_eq!(read, Ok(()), "default of {}", parameter.name);
            }
        }
        config
    }
}

/// A value in a message: quoted, escaped so that it stays on its line, and cut short.
struct Shown<'a>(&'a OsStr);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = format!("{:?}", self.0);
        match quoted.char_indices().nth(80) {
            None => f.write_str(&quoted),
            Some((end, _)) => write!(f, "{}…\"", &quoted[..end]),
        }
    }
}

/// The parameters as README shows them.
pub fn markdown_table() -> String {
    let mut table = String::from("| Parameter | Type | If unset | A change | Meaning |\n|---|---|---|---|---|\n");
    for parameter in &PARAMETERS {
        let Parameter { name, short, .. } = parameter;
        let kind = parameter.kind.as_str();
        let unset = match parameter.unset {
            Unset::Default("") => "nothing".to_owned(),
            Unset::Default(text) => format!("`{text}`"),
            Unset::Found(how) => how.to_owned(),
        };
        let change = if parameter.reloadable { "takes effect at once" } else { "restarts PostgreSQL" };
        let _ = writeln!(table, "| `{name}` | {kind} | {unset} | {change} | {short} |");
    }
    table
}
