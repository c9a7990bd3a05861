//! Faults around an instance: of the machine that it runs on.

use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};

use super::stage::Stage;
use crate::throwaway::{Instance, Succeeds, as_user, eventually};

/// A library for a name service that never answers. It replaces one that every glibc has and no system uses.
const HANGING: &str = "#include <unistd.h>\n\
    int _nss_hesiod_getpwnam_r() { for (;;) pause(); }\n\
    int _nss_hesiod_getgrnam_r() { for (;;) pause(); }\n\
    int _nss_hesiod_initgroups_dyn() { for (;;) pause(); }\n";

/// Mounts a file over another one, where the case is played only.
fn cover(stage: &mut Stage, what: &Path, at: &Path) {
    Command::new("mount").arg("--bind").args([what, at]).success();
    let at = at.to_owned();
    stage.undo.push(Box::new(move |_| Command::new("umount").arg(at).success()));
}

/// The name service answers at once for entries in files, and never for anything else.
pub(super) fn hanging_name_service(stage: &mut Stage) {
    let directories = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib"];
    let mut places = directories.map(|directory| Path::new(directory).join("libnss_hesiod.so.2")).into_iter();
    let library = places.find(|place| place.exists()).expect("libnss_hesiod.so.2 is in glibc's package");
    let place = stage.directory.path().to_owned();
    let [source, made, switch] = ["hanging.c", "hanging.so", "nsswitch.conf"].map(|name| place.join(name));
    std::fs::write(&source, HANGING).unwrap();
    Command::new("cc").args(["-shared", "-fPIC", "-w", "-o"]).args([&made, &source]).success();
    std::fs::write(&switch, "passwd: files hesiod\ngroup: files hesiod\n").unwrap();
    cover(stage, &made, &library.canonicalize().unwrap());
    cover(stage, &switch, Path::new("/etc/nsswitch.conf"));
}

/// An earlier action got a `system_user` that is another name of the server's account.
pub(super) fn has_named(stage: &mut Stage, name: &str) {
    let (uid, gid) = (stage.user.uid, stage.user.gid);
    let note = std::path::PathBuf::from(format!("/run/pgsqlms/{name}.account"));
    std::fs::create_dir_all(note.parent().unwrap()).unwrap();
    std::fs::write(&note, format!("{uid} {gid} {gid}\n/var/lib/postgresql\n")).unwrap();
    stage.undo.push(Box::new(move |_| drop(std::fs::remove_file(note))));
}

/// The instance of another resource that sees other mounts: its directory has the path of ours.
pub(super) fn same_path_in_another_mount_namespace(stage: &mut Stage) {
    let other = Instance::new().unwrap();
    let (from, to) = (other.data(), stage.data());
    let options = format!("-c unix_socket_directories={}", other.directory.path().display());
    let script = format!(
        "mount --bind {} {} && exec setpriv --reuid {} --regid {} --clear-groups -- {}/postgres -D {} {options}",
        from.display(),
        to.display(),
        stage.user.name,
        stage.user.gid,
        stage.bindir.display(),
        to.display(),
    );
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "--propagation", "private", "/bin/sh", "-c", &script]);
    stage.hold(inside.env("LC_ALL", "C").stdout(Stdio::null()).stderr(Stdio::null()));
    eventually("the other one", || other.sql("SELECT 1") == "1");
    stage.other = Some(other);
}

/// A DBA runs a single-user server on the data directory.
pub(super) fn single_user(stage: &mut Stage) {
    let mut server = as_user(&stage.bindir.join("postgres"), &stage.user);
    server.arg("--single").arg("-D").arg(stage.data()).arg("template1");
    stage.hold(server.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()));
    eventually("it to run", || stage.pid_file(1).is_some_and(|pid| pid.starts_with('-')));
}

/// The server's program is called otherwise, and `postgres` is a link to it.
pub(super) fn rename_programs(stage: &Stage) {
    let bin = &stage.bindir;
    std::fs::rename(bin.join("postgres"), bin.join("edb-postgres")).unwrap();
    std::os::unix::fs::symlink("edb-postgres", bin.join("postgres")).unwrap();
}

/// An archive_command that does not end, and a postmaster that is killed meanwhile.
pub(super) fn orphaned_archiver(stage: &mut Stage) {
    let archiving = || {
        let is_asleep = |pid: &nix::unistd::Pid| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|it| it.starts_with(b"sleep\x00612"))
        };
        stage.pids().iter().any(is_asleep)
    };
    stage.sql("SELECT pg_switch_wal() FROM pg_logical_emit_message(true, 'x', 'x')");
    eventually("the archive command", archiving);
    kill(stage.postmaster().unwrap(), Signal::SIGKILL).unwrap();
    eventually("the postmaster's end", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", stage.postmaster().unwrap()));
        stat.map_or(true, |stat| stat.contains(") Z "))
    });
}

/// A variable of the server and its value.
pub(super) fn environment_has(stage: &Stage, variable: &str) {
    let environment = std::fs::read(format!("/proc/{}/environ", stage.postmaster().unwrap())).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    assert!(environment.split('\0').any(|found| found == variable), "no {variable} in {environment}");
}
