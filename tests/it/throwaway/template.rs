//! Data directories: made once by initdb, and copied.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nix::unistd::User;
use tempfile::TempDir;

use super::{PLACE, Succeeds, as_user};

/// The settings of every instance, except for the directory of its socket. A standby needs an upstream; no server listens on
/// port 1. No TCP: the instance runs beside others.
const SETTINGS: &str = "listen_addresses = ''\nfsync = off\nshared_buffers = 1MB\nmin_wal_size = 2MB\nmax_wal_size = 32MB\n\
     primary_conninfo = 'host=127.0.0.1 port=1 application_name=srv1'\n";

/// Makes a data directory. Small segments make small copies.
pub(super) fn initdb(bindir: &Path, user: &User, data: &Path) {
    let options = ["--no-sync", "--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--locale=C"];
    let mut initdb = as_user(&bindir.join("initdb"), user);
    // From PostgreSQL 18 on there are checksums unless they are refused, which no other one understands.
    let help = as_user(&bindir.join("initdb"), user).arg("--help").output().unwrap().stdout;
    if String::from_utf8_lossy(&help).contains("--no-data-checksums") {
        initdb.arg("--no-data-checksums");
    }
    initdb.args(options).args(["--wal-segsize=1", "-D"]).arg(data).success();
    let file = data.join("postgresql.conf");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + SETTINGS).unwrap();
}

/// A data directory to copy, made once in a build's directory for temporary files.
pub(super) fn template(bindir: &Path, user: &User) -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let version = bindir.to_string_lossy().replace('/', "-");
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("instance-1{version}"));
        if path.exists() {
            return path;
        }
        let directory = TempDir::with_prefix_in("pgsqlms.", PLACE).unwrap();
        chown(directory.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        let data = directory.path().join("data");
        initdb(bindir, user, &data);
        // Beside the final name, so that another process that makes one at the same time is not in the way.
        let beside = TempDir::with_prefix_in("instance.", env!("CARGO_TARGET_TMPDIR")).unwrap();
        let made = beside.path().join("data");
        Command::new("cp").arg("-a").arg(&data).arg(&made).success();
        if let Err(error) = std::fs::rename(&made, &path) {
            assert!(path.exists(), "{error}");
        }
        path
    })
}
