//! A file system that stands still, as `fsfreeze` makes it: reads go on, and a process that writes waits in the kernel and
//! cannot be killed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pgsqlms::exit::OcfExitCode::{DegradedPromoted, GenericError, RunningPromoted, Success};

use super::{Holder, monitor};
use crate::run::{is_root, skip};
use crate::throwaway::{Instance, Succeeds, eventually};

/// A file system that was made to stand still, until this is dropped.
struct Frozen(PathBuf);

impl Frozen {
    fn new(path: PathBuf) -> Self {
        Command::new("fsfreeze").arg("--freeze").arg(&path).success();
        Self(path)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("--unfreeze").arg(&self.0).status();
    }
}

/// An instance with a file system of its own for this; nothing, said loudly, where that is not possible.
fn with_its_own(what: impl Fn(&Instance) -> PathBuf) -> Option<Instance> {
    if !is_root() {
        skip("not run as root");
        return None;
    }
    let mut instance = Instance::new()?;
    let place = what(&instance);
    if !move_to_its_own(&instance, &place) {
        skip("no ext4 on a loop device can be mounted");
        return None;
    }
    instance.mounts.push(place);
    Some(instance)
}

fn move_to_its_own(instance: &Instance, place: &Path) -> bool {
    let (image, kept) = (instance.directory.path().join("image"), instance.directory.path().join("kept"));
    std::fs::File::create(&image).unwrap().set_len(192 << 20).unwrap();
    let made =
        Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image).output().is_ok_and(|made| made.status.success());
    Command::new("mv").args([place, &kept]).success();
    std::fs::create_dir(place).unwrap();
    let mounted = Command::new("mount").args(["-o", "loop"]).args([&image, place]).output().unwrap().status.success();
    Command::new("cp").arg("-a").arg(kept.join(".")).arg(place).success();
    made && mounted
}

/// All sessions hang in a commit, so the server accepts no other. That alone is not a failure.
#[test]
fn storage_that_hangs_over_several_monitors_is_a_failure() {
    let Some(instance) = with_its_own(|instance| instance.data().join("pg_wal")) else { return };
    instance.promote();
    std::fs::write(instance.data().join("pg_hba.conf"), "local all all reject\n").unwrap();
    instance.sql("SELECT pg_reload_conf()");
    monitor(&instance, DegradedPromoted);
    {
        let _frozen = Frozen::new(instance.data().join("pg_wal"));
        let reason = monitor(&instance, DegradedPromoted);
        assert!(reason.contains("the storage has not answered within"), "{reason}");
        instance.a_minute_passes("storage");
        let reason = monitor(&instance, GenericError);
        assert!(reason.contains("storage has not answered for 6"), "{reason}");
    }
    let reason = monitor(&instance, DegradedPromoted);
    assert!(!reason.contains("storage"), "{reason}");
}

/// Sessions get in and read, and a commit waits for the disk.
#[test]
fn a_primary_whose_commits_hang_is_dead_although_it_answers() {
    let Some(instance) = with_its_own(Instance::data) else { return };
    instance.promote();
    monitor(&instance, RunningPromoted);
    let frozen = Frozen::new(instance.data());
    let mut psql = instance.psql();
    psql.args(["--command", "SELECT pg_logical_emit_message(true, 'x', 'x')"]).stdout(Stdio::null());
    let _client = Holder(psql.spawn().unwrap());
    eventually("the commit to wait for the disk", || instance.sql(HANGS) == "t");
    let reason = monitor(&instance, RunningPromoted);
    assert!(!reason.contains("storage"), "{reason}");
    instance.a_minute_passes("standstill");
    let reason = monitor(&instance, RunningPromoted);
    assert!(reason.contains("the storage has not answered within"), "{reason}");
    instance.a_minute_passes("storage");
    let reason = monitor(&instance, GenericError);
    assert!(reason.contains("storage has not answered for 6"), "{reason}");

    let began = Instant::now();
    let reason = instance.agent("stop").expect(GenericError).log;
    assert!(reason.contains("PostgreSQL's processes to end"), "{reason}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    drop(frozen);
    instance.agent("stop").expect(Success);
}

/// A commit is in WAL that is not on the disk.
const HANGS: &str = "SELECT pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()";

/// WAL that waits for the disk is nothing strange, and storage that answers is not asked again and again.
#[test]
fn an_open_transaction_is_not_a_standstill() {
    let Some(instance) = Instance::new() else { return };
    if !is_root() {
        return skip("not run as root");
    }
    instance.configure("autovacuum = off\n");
    instance.promote();
    // Now: the checkpoint after the promotion would end at any time, and flush the WAL of the transaction below.
    instance.sql("CHECKPOINT");
    // They would flush it, too: the WAL writer whole pages, up to 5 s later.
    let writers =
        instance.sql("SELECT pid FROM pg_stat_activity WHERE backend_type IN ('background writer', 'walwriter')");
    Command::new("kill").arg("-STOP").args(writers.split_whitespace()).success();
    let mut psql = instance.psql();
    psql.args([
        "--command",
        "BEGIN; CREATE TABLE slow (number int); INSERT INTO slow VALUES (1); SELECT pg_sleep(600)",
    ]);
    let _client = Holder(psql.stdout(Stdio::null()).spawn().unwrap());
    eventually("WAL that is not on the disk", || instance.sql(HANGS) == "t");
    for _ in 0..4 {
        monitor(&instance, RunningPromoted);
        instance.a_minute_passes("standstill");
    }
    let noted = std::fs::read_to_string(instance.note("standstill")).unwrap();
    assert!(noted.ends_with(" answers"), "{noted}");
}
