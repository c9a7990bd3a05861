//! How sessions are kept out, and surroundings kept from answering.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lab::command::{Command, Output};
use lab::{Lab, Node, eventually};

use crate::trial::LIMIT;

pub const SWITCH: &str = "/etc/nsswitch.conf";
pub const HOSTS: &str = "/etc/hosts";
pub const RESOLVER: &str = "/etc/resolv.conf";

/// Included by postgresql.conf on every node.
const CONFIGURATION: &str = "/etc/postgresql/pgsqlms-node.conf";

/// The unit of whoever holds something.
const HOLDER: &str = "holder";

/// Takes every connection there is, those that are reserved for superusers too, and whatever becomes free, also of a server that is just
/// being started.
const TAKE_ALL_CONNECTIONS: &str = r#"
import socket, struct, time
held, parameters = [], b"user\0postgres\0database\0postgres\0application_name\0greedy\0\0"
startup = struct.pack("!ii", len(parameters) + 8, 196608) + parameters
while True:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    try:
        connection.connect("/run/postgresql/.s.PGSQL.5432")
        connection.sendall(startup)
        is_in = connection.recv(1) not in (b"", b"E")
    except OSError:
        is_in = False
    if is_in:
        held.append(connection)
    else:
        time.sleep(0.05)
"#;

/// A library of a name service that never answers.
const NAME_SERVICE: &str = "#include <unistd.h>\n\
    #define HANG(what) int _nss_hanging_##what() { for (;;) pause(); }\n\
    HANG(getpwnam_r) HANG(getpwuid_r) HANG(getgrnam_r) HANG(getgrgid_r) HANG(initgroups_dyn)\n\
    HANG(gethostbyname_r) HANG(gethostbyname2_r) HANG(gethostbyname3_r) HANG(gethostbyname4_r) HANG(gethostbyaddr2_r)\n";

pub fn hba(node: &Node) -> String {
    format!("{}/pg_hba.conf", node.pgdata())
}

/// The primary's lock is in its WAL, so that no session gets into a standby either.
pub fn lock_catalog(lab: &Lab, catalog: &str) -> Result<()> {
    lock(lab.primary()?, "postgres", &format!("pg_catalog.{catalog}"))
}

pub fn lock(primary: &Node, database: &str, tables: &str) -> Result<()> {
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

pub fn take_all_connections(node: &Node) -> Result<()> {
    hold(node, &["python3", "-c", TAKE_ALL_CONNECTIONS])
}

/// Somebody runs this as `postgres`, in the background.
fn hold(node: &Node, what: &[&str]) -> Result<()> {
    let unit = format!("--unit={HOLDER}");
    let run = ["systemd-run", "--quiet", "--collect", &unit, "--uid=postgres", "--"];
    let argv: Vec<&str> = run.iter().chain(what).copied().collect();
    node.run(&argv).map(drop)
}

pub fn end_holders(lab: &Lab) -> Result<()> {
    for node in lab.nodes().iter().filter(|node| node.is_on()) {
        // There may be none.
        node.exec(&["systemctl", "stop", HOLDER])?;
    }
    Ok(())
}

pub fn configure(lab: &Lab, line: &str) -> Result<()> {
    for node in lab.nodes() {
        save(node, CONFIGURATION)?;
        let mut file = fs::File::options().append(true).open(node.path(CONFIGURATION))?;
        writeln!(file, "{line}")?;
        reload(node)?;
    }
    Ok(())
}

pub fn end_configured(lab: &Lab) -> Result<()> {
    lab.nodes().iter().try_for_each(|node| put_back(node, CONFIGURATION).and_then(|()| reload(node)))
}

/// Without a session, and where it runs: a server that is being started reads its configuration anyway.
pub fn reload(node: &Node) -> Result<()> {
    if !node.is_on() {
        return Ok(());
    }
    let is_postmaster = format!("^{}/postgres ", node.bindir());
    let told = node.exec(&["pkill", "--signal=HUP", "--full", &is_postmaster])?;
    ensure!(told.code <= 1, "pkill: {told:?}");
    Ok(())
}

pub fn rename_database(lab: &Lab, from: &str, to: &str) -> Result<()> {
    // Not while somebody is connected to it.
    eventually(LIMIT, "the database to be renamed", || {
        lab.primary()?.psql_in("app", &format!("ALTER DATABASE {from} RENAME TO {to}")).map(drop)
    })
}

pub fn trigger(lab: &Lab, database: &str, body: &str) -> Result<()> {
    let sql = format!(
        "CREATE FUNCTION at_login() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN {body}; END $$; \
         CREATE EVENT TRIGGER at_login ON login EXECUTE FUNCTION at_login()"
    );
    lab.primary()?.psql_in(database, &sql).map(drop)
}

pub fn drop_trigger(lab: &Lab, database: &str) -> Result<()> {
    let database = format!("dbname={database} options='-c event_triggers=off'");
    eventually(LIMIT, "the trigger to be dropped", || {
        lab.primary()?.psql_in(&database, "DROP FUNCTION at_login() CASCADE").map(drop)
    })
}

/// What is in files is found there, as the account of PostgreSQL; only then is the service asked that hangs.
pub fn hang_name_service(lab: &Lab) -> Result<()> {
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
        hangs(node, &["getent", "passwd", "somebody"])?;
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
pub fn replace(node: &Node, path: &str, text: &str) -> Result<()> {
    save(node, path)?;
    fs::write(node.path(path), text).with_context(|| format!("cannot write {path} of {}", node.name()))
}

/// Undoes [`replace`] and [`configure`].
pub fn put_back(node: &Node, path: &str) -> Result<()> {
    let kept = kept(node, path);
    if kept.exists() {
        fs::write(node.path(path), fs::read(&kept)?)?;
        fs::remove_file(kept)?;
    }
    Ok(())
}

/// Fails where an ordinary session gets into this database without delay. Nothing is asked about groups, which may hang.
pub fn lets_nobody_in(node: &Node, database: &str) -> Result<()> {
    let told = within_a_second(node, database, "SELECT 1")?;
    ensure!(!told.success(), "a session gets into {database}");
    Ok(())
}

/// Fails where a statement in this database does not hang.
pub fn waits(node: &Node, database: &str, sql: &str) -> Result<()> {
    let told = within_a_second(node, database, sql)?;
    ensure!(told.code == TIMED_OUT, "`{sql}` does not hang: {told:?}");
    Ok(())
}

fn within_a_second(node: &Node, database: &str, sql: &str) -> Result<Output> {
    let psql = format!("{}/psql", node.bindir());
    let run = ["timeout", "1", "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", &psql, "-XqAt"];
    node.exec(&[&run[..], &["-h/run/postgresql", "-Upostgres", "-d", database, "-c", sql]].concat())
}

/// Fails where this does not hang.
pub fn hangs(node: &Node, argv: &[&str]) -> Result<()> {
    let told = node.exec(&[&["timeout", "1"], argv].concat())?;
    ensure!(told.code == TIMED_OUT, "it answers: {told:?}");
    Ok(())
}

/// What `timeout` ends with.
const TIMED_OUT: i32 = 124;
