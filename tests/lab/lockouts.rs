//! What keeps sessions out of PostgreSQL, and surroundings that do not answer: on all nodes at once, until it is ended.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lab::command::Command;
use lab::{Lab, Node, eventually};

use crate::operator::postmaster;
use crate::trial::LIMIT;

/// One of them.
pub struct Lockout {
    /// What it is.
    pub name: &'static str,
    /// What monitors say of it; nothing where they do not notice it.
    pub words: &'static [&'static str],
    begin: fn(&Lab) -> Result<()>,
    end: fn(&Lab) -> Result<()>,
}

impl Lockout {
    /// Begins it.
    pub fn begin(&self, lab: &Lab) -> Result<()> {
        (self.begin)(lab).context(self.name)
    }

    /// Ends it, on nodes without power, too: another node may be the primary by now.
    pub fn end(&self, lab: &Lab) -> Result<()> {
        (self.end)(lab).with_context(|| format!("the end of: {}", self.name))
    }
}

const BY_LOCK: &[&str] = &["lock on a system catalog"];

pub const PG_CLASS: Lockout = Lockout {
    name: "a lock on pg_class",
    words: BY_LOCK,
    begin: |lab| lock_catalog(lab, "pg_class"),
    end: end_holders,
};

pub const PG_AUTHID: Lockout = Lockout {
    name: "a lock on pg_authid",
    words: BY_LOCK,
    begin: |lab| lock_catalog(lab, "pg_authid"),
    end: end_holders,
};

pub const PG_DATABASE: Lockout = Lockout {
    name: "a lock on pg_database",
    words: BY_LOCK,
    begin: |lab| lock_catalog(lab, "pg_database"),
    end: end_holders,
};

pub const FULL: Lockout = Lockout {
    name: "connections are exhausted",
    words: &["too many clients"],
    begin: |lab| lab.nodes().iter().try_for_each(take_all_connections),
    end: end_holders,
};

pub const SLOW_FORKS: Lockout = Lockout {
    name: "pre_auth_delay",
    words: &["did not let the agent in within"],
    begin: |lab| configure(lab, "pre_auth_delay = 3"),
    end: end_configured,
};

pub const SLOW_LOGINS: Lockout = Lockout {
    name: "post_auth_delay",
    words: &["did not let the agent in within"],
    begin: |lab| configure(lab, "post_auth_delay = 5"),
    end: end_configured,
};

pub const REJECTED: Lockout = Lockout {
    name: "pg_hba.conf rejects everything",
    words: &["refuses the agent's connection"],
    begin: |lab| {
        let reject = "local all,replication all reject\nhost all,replication all all reject\n";
        lab.nodes().iter().try_for_each(|node| replace(node, &hba(node), reject).and_then(|()| reload(node)))
    },
    end: |lab| lab.nodes().iter().try_for_each(|node| put_back(node, &hba(node)).and_then(|()| reload(node))),
};

pub const SERIALIZABLE: Lockout = Lockout {
    name: "transactions are serializable by default",
    words: &[],
    begin: |lab| configure(lab, "default_transaction_isolation = serializable"),
    end: end_configured,
};

pub const MISLAID: Lockout = Lockout {
    name: "there is no database `postgres`",
    words: &[],
    begin: |lab| rename_database(lab, "postgres", "mislaid"),
    end: |lab| rename_database(lab, "mislaid", "postgres"),
};

pub const TRIGGER_FAILS: Lockout = Lockout {
    name: "a login trigger fails",
    words: &[],
    begin: |lab| trigger(lab, "postgres", "RAISE EXCEPTION 'nobody may log in'"),
    end: |lab| drop_trigger(lab, "postgres"),
};

pub const TRIGGER_SLEEPS: Lockout = Lockout {
    name: "a login trigger sleeps",
    words: &[],
    begin: |lab| trigger(lab, "template1", "PERFORM pg_sleep(600)"),
    end: |lab| drop_trigger(lab, "template1"),
};

pub const HANGING_NAMES: Lockout = Lockout {
    name: "the name service hangs",
    words: &[],
    begin: hang_name_service,
    end: |lab| lab.nodes().iter().try_for_each(|node| put_back(node, SWITCH)),
};

pub const DEAD_RESOLVER: Lockout = Lockout {
    name: "the resolver is dead",
    words: &[],
    begin: |lab| {
        lab.nodes().iter().try_for_each(|node| {
            replace(node, HOSTS, "127.0.0.1 localhost\n")?;
            // Nobody has this address.
            let [a, b, c, _] = node.address().octets();
            replace(node, RESOLVER, &format!("nameserver {a}.{b}.{c}.251\noptions timeout:5 attempts:5\n"))
        })
    },
    end: |lab| lab.nodes().iter().try_for_each(|node| [HOSTS, RESOLVER].iter().try_for_each(|it| put_back(node, it))),
};

/// The clients' commits wait; sessions get in. All WAL is soon everywhere.
pub const WRITES: Lockout = Lockout {
    name: "a lock on what the clients write to",
    words: &[],
    begin: |lab| lock(lab.primary()?, "app", "lab_commits, lab_writable, lab_ackable"),
    end: end_holders,
};

/// Every one that keeps sessions out.
pub const ALL: [&Lockout; 13] = [
    &PG_CLASS,
    &PG_AUTHID,
    &PG_DATABASE,
    &FULL,
    &SLOW_FORKS,
    &SLOW_LOGINS,
    &REJECTED,
    &SERIALIZABLE,
    &MISLAID,
    &TRIGGER_FAILS,
    &TRIGGER_SLEEPS,
    &HANGING_NAMES,
    &DEAD_RESOLVER,
];

const SWITCH: &str = "/etc/nsswitch.conf";
const HOSTS: &str = "/etc/hosts";
const RESOLVER: &str = "/etc/resolv.conf";

/// Included by postgresql.conf on every node.
const CONFIGURATION: &str = "/etc/postgresql/pgsqlms-node.conf";

/// The unit of whoever holds something.
const HOLDER: &str = "holder";

/// Takes every connection there is, those that are reserved for superusers too, and whatever becomes free.
const TAKE_ALL_CONNECTIONS: &str = r#"
import socket, struct, time
held, parameters = [], b"user\0postgres\0database\0postgres\0application_name\0greedy\0\0"
startup = struct.pack("!ii", len(parameters) + 8, 196608) + parameters
while True:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    connection.connect("/run/postgresql/.s.PGSQL.5432")
    connection.sendall(startup)
    if connection.recv(1) == b"E":
        time.sleep(0.05)
    else:
        held.append(connection)
"#;

/// A library of a name service that never answers.
const NAME_SERVICE: &str = "#include <unistd.h>\n\
    #define HANG(what) int _nss_hanging_##what() { for (;;) pause(); }\n\
    HANG(getpwnam_r) HANG(getpwuid_r) HANG(getgrnam_r) HANG(getgrgid_r) HANG(initgroups_dyn)\n\
    HANG(gethostbyname_r) HANG(gethostbyname2_r) HANG(gethostbyname3_r) HANG(gethostbyname4_r) HANG(gethostbyaddr2_r)\n";

fn hba(node: &Node) -> String {
    format!("{}/pg_hba.conf", node.pgdata())
}

/// The primary's lock is in its WAL, so that no session gets into a standby either.
fn lock_catalog(lab: &Lab, catalog: &str) -> Result<()> {
    lock(lab.primary()?, "postgres", &format!("pg_catalog.{catalog}"))
}

fn lock(primary: &Node, database: &str, tables: &str) -> Result<()> {
    // A backend in pg_sleep() is to notice that its client is gone.
    let sql = format!(
        "SET client_connection_check_interval = '100ms'; BEGIN; \
         LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(3600)"
    );
    let psql = format!("{}/psql", primary.bindir());
    hold(primary, &[&psql, "-XqAt", "-h/run/postgresql", &format!("-d{database}"), "-c", &sql])?;
    let title = format!("postgres {database} .local. SELECT");
    eventually(LIMIT, "the lock to be held", || primary.run(&["pgrep", "--full", &title]).map(drop))
}

fn take_all_connections(node: &Node) -> Result<()> {
    hold(node, &["python3", "-c", TAKE_ALL_CONNECTIONS])
}

/// Somebody runs this as `postgres`, in the background.
fn hold(node: &Node, what: &[&str]) -> Result<()> {
    let unit = format!("--unit={HOLDER}");
    let run = ["systemd-run", "--quiet", "--collect", &unit, "--uid=postgres", "--"];
    let argv: Vec<&str> = run.iter().chain(what).copied().collect();
    node.run(&argv).map(drop)
}

fn end_holders(lab: &Lab) -> Result<()> {
    for node in lab.nodes().iter().filter(|node| node.is_on()) {
        // There may be none.
        node.exec(&["systemctl", "stop", HOLDER])?;
    }
    Ok(())
}

fn configure(lab: &Lab, line: &str) -> Result<()> {
    for node in lab.nodes() {
        save(node, CONFIGURATION)?;
        let mut file = fs::File::options().append(true).open(node.path(CONFIGURATION))?;
        writeln!(file, "{line}")?;
        reload(node)?;
    }
    Ok(())
}

fn end_configured(lab: &Lab) -> Result<()> {
    lab.nodes().iter().try_for_each(|node| put_back(node, CONFIGURATION).and_then(|()| reload(node)))
}

/// Without a session.
fn reload(node: &Node) -> Result<()> {
    if !node.is_on() {
        return Ok(());
    }
    node.run(&["kill", "-HUP", &postmaster(node)?]).map(drop)
}

fn rename_database(lab: &Lab, from: &str, to: &str) -> Result<()> {
    // Not while somebody is connected to it.
    eventually(LIMIT, "the database to be renamed", || {
        lab.primary()?.psql_in("app", &format!("ALTER DATABASE {from} RENAME TO {to}")).map(drop)
    })
}

fn trigger(lab: &Lab, database: &str, body: &str) -> Result<()> {
    let sql = format!(
        "CREATE FUNCTION at_login() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN {body}; END $$; \
         CREATE EVENT TRIGGER at_login ON login EXECUTE FUNCTION at_login()"
    );
    lab.primary()?.psql_in(database, &sql).map(drop)
}

fn drop_trigger(lab: &Lab, database: &str) -> Result<()> {
    let database = format!("dbname={database} options='-c event_triggers=off'");
    eventually(LIMIT, "the trigger to be dropped", || {
        lab.primary()?.psql_in(&database, "DROP FUNCTION at_login() CASCADE").map(drop)
    })
}

/// What is in files is found there, as the account of PostgreSQL; only then is the service asked that hangs.
fn hang_name_service(lab: &Lab) -> Result<()> {
    let (source, library) = (lab.logs().join("hanging.c"), lab.logs().join("hanging.so"));
    fs::write(&source, NAME_SERVICE)?;
    let words =
        [Path::new("cc"), "-shared".as_ref(), "-fPIC".as_ref(), "-w".as_ref(), "-o".as_ref(), &library, &source];
    Command::new(words).run()?;
    for node in lab.nodes() {
        let beside = node.run(&["sh", "-c", "ls /usr/lib/*/libc.so.6"])?;
        let directory = Path::new(beside.trim()).parent().context("it has no directory")?;
        fs::copy(&library, node.path(&directory.join("libnss_hanging.so.2").to_string_lossy()))?;
        let all = ["passwd", "group", "shadow", "hosts"].map(|what| format!("{what}: files hanging\n")).concat();
        replace(node, SWITCH, &all)?;
        let asked = node.exec(&["timeout", "1", "getent", "passwd", "somebody"])?;
        ensure!(asked.code == 124, "the name service of {} answers: {asked:?}", node.name());
    }
    Ok(())
}

fn kept(node: &Node, path: &str) -> std::path::PathBuf {
    node.path(&format!("{path}.well"))
}

/// Keeps a file as it is, unless one is kept already.
fn save(node: &Node, path: &str) -> Result<()> {
    let (from, to) = (node.path(path), kept(node, path));
    if !from.exists() {
        fs::write(&from, "")?;
    }
    if !to.exists() {
        fs::copy(&from, &to)?;
    }
    Ok(())
}

/// The file keeps its owner.
fn replace(node: &Node, path: &str, text: &str) -> Result<()> {
    save(node, path)?;
    fs::write(node.path(path), text).with_context(|| format!("cannot write {path} of {}", node.name()))
}

/// Undoes [`replace`] and [`configure`].
fn put_back(node: &Node, path: &str) -> Result<()> {
    let kept = kept(node, path);
    if kept.exists() {
        fs::write(node.path(path), fs::read(&kept)?)?;
        fs::remove_file(kept)?;
    }
    Ok(())
}
