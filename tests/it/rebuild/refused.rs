//! A data directory that is not replaced, because not all in it is the instance's own, or would be lost without a trace.

use std::process::Command;

use super::*;
use crate::throwaway::Succeeds;

/// Mounts a small file system at a directory, with the files in it.
fn mount(pair: &mut Pair, directory: &Path, size: &str) {
    let kept = pair.old.directory.path().join("kept");
    Command::new("cp").arg("-a").arg(directory).arg(&kept).success();
    Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(directory).success();
    pair.old.mounts.push(directory.to_owned());
    Command::new("cp").arg("-a").arg(kept.join(".")).arg(directory).success();
    pair.old.give(directory);
}

/// With the next boot the mount would hide the files that the copy has received since.
#[test]
fn a_data_directory_with_a_mount_in_it_is_not_replaced() {
    let Some(mut pair) = pair() else { return };
    let wal = pair.old.data().join("pg_wal");
    mount(&mut pair, &wal, "size=300m");
    for more in [&[][..], &["--yes"]] {
        let (done, text) = run(&pair, more);
        assert!(!done && text.contains("pg_wal is mounted in the data directory"), "{text}");
    }
    expect(&pair.run(pair.action("start").parameter("rejoin", "rebuild")), Success);
    assert_eq!(pair.old.sql("SELECT count(*) FROM stray"), "40000");
    assert!(!beside(&pair).exists() && !old(&pair).exists());
}

/// The mount is made when the primary has been copied: the renames would take it along.
#[test]
fn a_mount_that_appears_later_is_neither_renamed_nor_emptied() {
    let Some(mut pair) = pair() else { return };
    let mut child = copied(&pair, &["--yes"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let place = pair.old.data().join("of people");
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("file"), "theirs").unwrap();
    mount(&mut pair, &place, "size=10m");
    let started = pair.run(pair.action("start"));
    expect(&started, Success);
    assert!(started.log.contains("not rebuilt: "), "{}", started.log);
    assert_eq!(pair.old.sql("SELECT count(*) FROM stray"), "40000");
    assert_eq!(std::fs::read_to_string(place.join("file")).unwrap(), "theirs");
    assert!(!old(&pair).exists());
}

#[test]
fn without_room_for_evidence_nothing_is_dropped() {
    let Some(mut pair) = pair() else { return };
    let evidence = pair.evidence();
    std::fs::create_dir(&evidence).unwrap();
    pair.old.give(&evidence);
    mount(&mut pair, &evidence, "size=8m");
    for more in [&[][..], &["--yes"]] {
        let (done, text) = run(&pair, more);
        assert!(!done && text.contains("make room, or add --keep-old or --without-evidence: "), "{text}");
        assert!(text.contains("has 8 MB free") || text.contains("has 7 MB free"), "{text}");
    }
    assert!(!beside(&pair).exists() && !order(&pair).contains("copied"));
    // A request of a person.
    let child = copied(&pair, &["--yes", "--without-evidence"]);
    start(&pair);
    let text = succeeds(child);
    assert!(text.contains("What is dropped is not kept: "), "{text}");
    pair.is_whole();
    assert!(!old(&pair).exists());
}

#[test]
fn old_data_that_is_kept_nowhere_else_stays() {
    let Some(mut pair) = pair() else { return };
    let evidence = pair.evidence();
    std::fs::create_dir(&evidence).unwrap();
    pair.old.give(&evidence);
    mount(&mut pair, &evidence, "size=8m");
    let mut child = copied(&pair, &["--yes", "--keep-old"]);
    child.kill().unwrap();
    child.wait().unwrap();
    start(&pair);
    // The command that resumes needs no `--keep-old`.
    let text = succeeds(begin(&pair, &["--yes"]));
    assert!(text.contains("Its old data is in "), "{text}");
    pair.is_whole();
    assert!(old(&pair).join("PG_VERSION").exists());
}

/// The commits that would be lost cannot be determined.
#[test]
fn data_that_cannot_be_read_is_not_dropped_unasked() {
    let Some(pair) = pair() else { return };
    let control = pair.old.data().join("global/pg_control");
    std::fs::write(&control, [7; 8192]).unwrap();
    let (done, text) = run(&pair, &["--yes"]);
    assert!(
        !done && text.contains("add --keep-old or --without-evidence: what would be dropped is not known"),
        "{text}"
    );
    let mut child = copied(&pair, &["--yes", "--keep-old"]);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// PostgreSQL does not make them.
#[test]
fn the_nodes_own_files_survive_a_rebuild() {
    let Some(pair) = pair() else { return };
    let own = crate::rejoin::own::make(&pair);
    let child = copied(&pair, &["--yes"]);
    start(&pair);
    succeeds(child);
    pair.is_whole();
    own.are_there();
}
