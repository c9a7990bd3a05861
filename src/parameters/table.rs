//! The table of parameters itself.

use std::path::Path;
use std::time::Duration;

use super::{Follow, Kind, NOWHERE, OnCrash, Parameter, Rejoin, Slots, Unset, value};

/// All parameters, in the order in which tools show them. Names, types, defaults and units are PAF's.
pub static PARAMETERS: [Parameter; 22] = [
    Parameter {
        name: "pgdata",
        kind: Kind::String,
        unset: Unset::Default("/var/lib/pgsql/data"),
        unique: true,
        reloadable: false,
        short: "Data directory of the instance (PGDATA)",
        long: "The directory PostgreSQL is started with (postgres -D): its data directory. Where the configuration \
               files are kept apart from the data, it may instead be the directory that holds postgresql.conf; then \
               set datadir too. An absolute path, the same on every node.",
        read: |value, config| {
            let path = value::path(value);
            config.pgdata = path.as_deref().unwrap_or(Path::new(NOWHERE)).to_owned();
            path.map(drop)
        },
    },
    Parameter {
        name: "datadir",
        kind: Kind::String,
        unset: Unset::Found("the value of pgdata"),
        unique: true,
        reloadable: false,
        short: "Value of data_directory, if it is not pgdata",
        long: "The directory that holds the data (PG_VERSION, global/pg_control, postmaster.pid, pg_wal), as set by \
               data_directory in postgresql.conf. Only needed where pgdata names a directory of configuration files.",
        read: |value, config| value::path(value).map(|path| config.datadir = Some(path)),
    },
    Parameter {
        name: "system_user",
        kind: Kind::String,
        unset: Unset::Default("postgres"),
        unique: false,
        reloadable: false,
        short: "Account that runs PostgreSQL",
        long: "The operating system's account that owns the data directory and runs PostgreSQL. Everything the agent \
               does to files or programs of the instance is done as this account, never as root. The agent connects \
               to the database postgres as the role of the same name, which must be a superuser and be let in \
               locally without a password.",
        read: |value, config| value::user(value).map(|user| config.system_user = user),
    },
    Parameter {
        name: "bindir",
        kind: Kind::String,
        unset: Unset::Found("found from PG_VERSION, where Debian's and PGDG's packages put it"),
        unique: false,
        reloadable: true,
        short: "Directory of PostgreSQL's programs",
        long: "The directory that holds postgres, pg_ctl and PostgreSQL's other programs, of the major version that \
               made the data directory.",
        read: |value, config| value::path(value).map(|path| config.bindir = Some(path)),
    },
    Parameter {
        name: "pghost",
        kind: Kind::String,
        unset: Unset::Found("taken from the running instance"),
        unique: false,
        reloadable: true,
        short: "Socket directory or address of the instance",
        long: "Where the agent connects to the instance of its own node: the directory of the Unix socket, or a host \
               name or IP address. Exactly one. Never an address that moves with the primary.",
        read: |value, config| value::host(value).map(|host| config.pghost = Some(host)),
    },
    Parameter {
        name: "pgport",
        kind: Kind::Integer,
        unset: Unset::Found("taken from the running instance"),
        unique: false,
        reloadable: true,
        short: "Port of the instance",
        long: "The port the instance listens on, from 1 to 65535. It also names the Unix socket.",
        read: |value, config| value::port(value).map(|port| config.pgport = Some(port)),
    },
    Parameter {
        name: "maxlag",
        kind: Kind::Integer,
        unset: Unset::Default("0"),
        unique: false,
        reloadable: true,
        short: "Lag in bytes beyond which a standby is not promoted; 0 means no limit",
        long: "How many bytes of write-ahead log a standby may be behind the primary and still be a candidate for \
               promotion. A standby that has written less gets a negative promotion score until it has caught up. \
               A whole number of bytes, also as 1E8; 0 means no limit.",
        read: |value, config| value::bytes(value).map(|bytes| config.maxlag = bytes),
    },
    Parameter {
        name: "on_crash",
        kind: Kind::String,
        unset: Unset::Default("recover"),
        unique: false,
        reloadable: true,
        short: "Action after the primary crashes: recover (in place) or failover",
        long: "What the cluster does when PostgreSQL crashes on the primary's node. recover: start it again where it is, \
               which loses nothing and takes as long as crash recovery. failover: promote the best standby, unless the \
               crashed instance turns out to hold more.",
        read: |value, config| {
            let choices = [("recover", OnCrash::Recover), ("failover", OnCrash::Failover)];
            value::choice(value, &choices, "recover or failover").map(|choice| config.on_crash = choice)
        },
    },
    Parameter {
        name: "rejoin",
        kind: Kind::String,
        unset: Unset::Default("report"),
        unique: false,
        reloadable: true,
        short: "How a node that has diverged is handled: none, report, rewind or rebuild",
        long: "What the agent does about a node that has left the cluster's history, as a former primary does that had \
               written WAL that no other node received. It is never promoted in any case. none: the monitor says so. report: it \
               also says how much is at stake and the command that brings the node back, pgsqlms rejoin. rewind: start \
               runs pg_rewind by itself, once, after what is dropped was kept in evidence_dir. rebuild: the primary is \
               copied beside the data directory while PostgreSQL goes on as it is, and the copy takes its place, after \
               what is dropped was kept in evidence_dir; also where WAL is gone that the node needs.",
        read: |value, config| {
            let choices = [("none", Rejoin::None), ("report", Rejoin::Report)];
            let choices = [choices, [("rewind", Rejoin::Rewind), ("rebuild", Rejoin::Rebuild)]].concat();
            value::choice(value, &choices, "none, report, rewind or rebuild").map(|choice| config.rejoin = choice)
        },
    },
    Parameter {
        name: "rejoin_user",
        kind: Kind::String,
        unset: Unset::Found("the user of primary_conninfo"),
        unique: false,
        reloadable: true,
        short: "Role by which pg_rewind connects to the primary",
        long: "The role by which pg_rewind connects to the database postgres of the primary, if it is not the one in \
               primary_conninfo. It needs no more than EXECUTE on four functions (see README), and what primary_conninfo has \
               to be let in: a passfile, or a certificate.",
        read: |value, config| value::user(value).map(|user| config.rejoin_user = Some(user)),
    },
    Parameter {
        name: "copy_max_rate",
        kind: Kind::String,
        unset: Unset::Found("as fast as it goes"),
        unique: false,
        reloadable: true,
        short: "How fast pg_basebackup may read from the primary when a node is rebuilt",
        long: "The most that a rebuild reads from the primary in a second, as in pg_basebackup --max-rate: a number of kB, or \
               of MB with M after it, from 32 kB to 1024 MB. The WAL that is written meanwhile is not held back.",
        read: |value, config| value::rate(value).map(|rate| config.copy_max_rate = Some(rate)),
    },
    Parameter {
        name: "evidence_dir",
        kind: Kind::String,
        unset: Unset::Default("/var/lib/pgsqlms"),
        unique: false,
        reloadable: true,
        short: "Where a rewind or rebuild keeps what it drops",
        long: "The directory that holds, in a directory of the resource's name, what is about to be dropped (WAL, a summary \
               of its transactions, the node's configuration) and how far it has come. Outside pgdata, on a disk that \
               survives a restart of the node. Nothing in it is ever deleted by the agent.",
        read: |value, config| value::path(value).map(|path| config.evidence_dir = path),
    },
    Parameter {
        name: "sync_management",
        kind: Kind::String,
        unset: Unset::Default("none"),
        unique: false,
        reloadable: true,
        short: "How synchronous_standby_names is set: none (by the DBA) or quorum (by the agent)",
        long: "none: synchronous_standby_names is the DBA's, and the agent only heeds it in elections. quorum: the agent \
               keeps it at ANY n of the standbys that are streaming, in the file pgsqlms.conf in the data directory, which \
               postgresql.conf has to include as its last line (include_if_exists).",
        read: |value, config| {
            let choices = [("none", false), ("quorum", true)];
            value::choice(value, &choices, "none or quorum").map(|managed| config.synchronous.managed = managed)
        },
    },
    Parameter {
        name: "sync_standbys",
        kind: Kind::Integer,
        unset: Unset::Default("1"),
        unique: false,
        reloadable: true,
        short: "With sync_management=quorum: how many standbys a commit waits for",
        long: "How many standbys should have flushed a commit before it is acknowledged, with sync_management=quorum. \
               While fewer are streaming, that many; see sync_strict for none.",
        read: |value, config| value::count(value).map(|count| config.synchronous.standbys = count),
    },
    Parameter {
        name: "sync_strict",
        kind: Kind::Boolean,
        unset: Unset::Default("true"),
        unique: false,
        reloadable: true,
        short: "With sync_management=quorum: whether commits wait while no standby is streaming",
        long: "true: while no standby is streaming, commits wait, and none that was acknowledged can be lost. false: they \
               are acknowledged without one, and are lost with the primary.",
        read: |value, config| {
            let choices = [("true", true), ("yes", true), ("on", true), ("1", true)];
            let choices = [choices, [("false", false), ("no", false), ("off", false), ("0", false)]].concat();
            value::choice(value, &choices, "true or false").map(|strict| config.synchronous.strict = strict)
        },
    },
    Parameter {
        name: "follow",
        kind: Kind::String,
        unset: Unset::Default("none"),
        unique: false,
        reloadable: true,
        short: "The server that standbys follow: none (an address that moves with the primary) or node (the promoted node)",
        long: "none: primary_conninfo is the DBA's, and points to an address that moves with the primary. node: the agent \
               switches its host to the promoted node after each promotion, without a restart, and keeps all other \
               settings in it. A node is reached by its name, or by its attributes pgsqlms-address and pgsqlms-port. Needs \
               PostgreSQL 13, and include_if_exists of pgsqlms.conf as the last line of postgresql.conf.",
        read: |value, config| {
            let choices = [("none", Follow::None), ("node", Follow::Node)];
            value::choice(value, &choices, "none or node").map(|follow| config.follow = follow)
        },
    },
    Parameter {
        name: "slots",
        kind: Kind::String,
        unset: Unset::Default("auto"),
        unique: false,
        reloadable: true,
        short: "Whether nodes keep replication slots for each other: auto (if they are bounded), on or off",
        long: "Each node keeps a physical replication slot for every other one, so that a standby that was down still finds \
               the WAL that it lacks, also after a failover. auto: where max_slot_wal_keep_size bounds what slots hold \
               back. on: also without a bound; the disk fills up when a standby stays away. off: never. Needs PostgreSQL 13, \
               and include_if_exists of pgsqlms.conf as the last line of postgresql.conf.",
        read: |value, config| {
            let choices = [("auto", Slots::Auto), ("on", Slots::On), ("off", Slots::Off)];
            value::choice(value, &choices, "auto, on or off").map(|slots| config.slots = slots)
        },
    },
    Parameter {
        name: "hooks",
        kind: Kind::String,
        unset: Unset::Found("no programs are run"),
        unique: false,
        reloadable: true,
        short: "Directory of programs to run after events: promoted, demoted, started, diverged",
        long: "A directory with a directory for each event: promoted, demoted, started, diverged. The programs in it are run \
               one after the other in the order of their names, with a small environment (PGSQLMS_EVENT and more) and \
               their output in the log. All of them and all directories above must belong to root or to hook_user, and \
               be writable by no other user. What they do or fail to do changes nothing for the action.",
        read: |value, config| value::path(value).map(|path| config.hooks.directory = Some(path)),
    },
    Parameter {
        name: "hook_user",
        kind: Kind::String,
        unset: Unset::Found("the value of system_user"),
        unique: false,
        reloadable: true,
        short: "Account that runs the programs in hooks",
        long: "The operating system's account as which the programs in the directory hooks are run.",
        read: |value, config| value::user(value).map(|user| config.hooks.user = Some(user)),
    },
    Parameter {
        name: "hook_timeout",
        kind: Kind::Integer,
        unset: Unset::Default("10"),
        unique: false,
        reloadable: true,
        short: "Seconds that all hooks of an event may take together",
        long: "How many seconds the programs for one event may take together, and never more than half of the time that the \
               action has left. Then the one that runs is killed with its process group, and the rest are left out.",
        read: |value, config| {
            value::count(value).map(|seconds| config.hooks.timeout = Duration::from_secs(u64::from(seconds.get())))
        },
    },
    Parameter {
        name: "start_opts",
        kind: Kind::String,
        unset: Unset::Default(""),
        unique: false,
        reloadable: false,
        short: "More command-line arguments for postgres",
        long: "Arguments added to the command line of postgres at each start, for example -c \
               config_file=/etc/postgresql/17/main/postgresql.conf. Words may be quoted as in a shell, but no shell \
               sees them: nothing is expanded. A change restarts PostgreSQL.",
        read: |value, config| value::words(value).map(|words| config.start_opts = words),
    },
    Parameter {
        name: "recovery_template",
        kind: Kind::String,
        unset: Unset::Found("recovery.conf.pcmk in pgdata"),
        unique: false,
        reloadable: true,
        short: "Left from PostgreSQL 11: a file that must not exist",
        long: "The template of recovery.conf that PostgreSQL 11 and older needed. The agent supports PostgreSQL 12 and \
               later, where these settings belong into postgresql.conf, and refuses to start while this file exists, \
               so that no setting in it is overlooked.",
        read: |value, config| value::path(value).map(|path| config.recovery_template = Some(path)),
    },
];
