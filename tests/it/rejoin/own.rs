//! Files that pg_rewind must not touch: the node's own, mounts, and those of other instances.

use std::process::Command;

use super::pair::Pair;
use super::{expect, monitor};
use crate::run::Test;
use crate::throwaway::{Instance, Succeeds};
use pgsqlms::exit::OcfExitCode::*;

/// The files that this node alone has, and the primary's files at their places and beside them.
pub(crate) struct Own<'a>(&'a Pair);

const NAMES: [&str; 5] = [".pgpass", "krb5.keytab", "pg_hba.d/local.conf", "tls/server.key", "bin/archive"];

pub(crate) fn make(pair: &Pair) -> Own<'_> {
    let write = |instance: &Instance, name: &str, text: &str| {
        let path = instance.data().join(name);
        let parent = path.parent().unwrap();
        if !parent.exists() {
            std::fs::create_dir(parent).unwrap();
            instance.give(parent);
        }
        std::fs::write(&path, text).unwrap();
        instance.give(&path);
    };
    for name in NAMES {
        write(&pair.old, name, "ours");
    }
    write(&pair.new, "tls/server.key", "theirs");
    write(&pair.new, "secrets/theirs", "theirs");
    Own(pair)
}

impl Own<'_> {
    #[track_caller]
    pub(crate) fn are_there(&self) {
        for name in NAMES {
            let read = std::fs::read_to_string(self.0.old.data().join(name));
            assert_eq!(read.ok().as_deref(), Some("ours"), "{name}");
        }
        assert!(!self.0.old.data().join("secrets/theirs").exists());
    }
}

#[test]
fn the_nodes_own_files_survive_a_rewind() {
    let Some(pair) = super::pair() else { return };
    let own = make(&pair);
    expect(&pair.run(pair.action("start").parameter("rejoin", "rewind")), Success);
    pair.is_whole();
    own.are_there();
    assert!(pair.notes().contains("stage=rewound"), "{}", pair.notes());
}

/// The rewind is not begun, and the command gives the same reason.
#[track_caller]
fn is_not_rewound(pair: &Pair, why: &str) {
    let asked = pair.run(Test::new(["rejoin", "--resource", "pgsql-test"]));
    assert!(asked.code != 0 && asked.log.contains(why), "{asked:?}");
    let started = pair.run(pair.action("start").parameter("rejoin", "rewind"));
    expect(&started, Success);
    assert!(started.log.contains("not rewound: ") && started.log.contains(why), "{}", started.log);
    assert!(pair.notes().contains("stage=blocked"), "{}", pair.notes());
    assert_eq!(pair.old.sql("SELECT count(*) FROM stray"), "40000");
    let ended = monitor(pair, "rewind");
    assert!(ended.reason.starts_with("not rewound, ") && ended.reason.contains(why), "{ended:?}");
}

/// pg_rewind empties directories that the primary lacks, and stops half-way where it cannot remove the directory.
#[test]
fn a_data_directory_with_a_mount_in_it_is_not_rewound() {
    let Some(mut pair) = super::pair() else { return };
    let place = pair.old.data().join("of people");
    std::fs::create_dir(&place).unwrap();
    Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&place).success();
    pair.old.mounts.push(place.clone());
    pair.old.give(&place);
    std::fs::write(place.join("file"), "theirs").unwrap();
    is_not_rewound(&pair, "of people is mounted in the data directory: unmount it");
    assert_eq!(std::fs::read_to_string(place.join("file")).unwrap(), "theirs");
}

/// As after pg_upgrade, or where two clusters were given one directory.
#[test]
fn a_tablespace_directory_with_another_instances_files_is_not_rewound() {
    let prepare = |old: &Instance| {
        let space = old.directory.path().join("space");
        std::fs::create_dir(&space).unwrap();
        old.give(&space);
        old.run_by_hand();
        old.sql(&format!("CREATE TABLESPACE space LOCATION '{}'", space.display()));
        old.as_user("pg_ctl").args(["stop", "--silent", "--pgdata"]).arg(old.data()).success();
    };
    let Some(pair) = Pair::new(prepare) else { return };
    let other = pair.old.directory.path().join("space/PG_11_201809051");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("1"), "another instance's").unwrap();
    for path in [&other, &other.join("1")] {
        pair.old.give(path);
    }
    is_not_rewound(&pair, "holds PG_11_201809051 besides");
    assert_eq!(std::fs::read_to_string(other.join("1")).unwrap(), "another instance's");
}

#[test]
fn without_room_for_evidence_nothing_is_rewound() {
    let Some(mut pair) = super::pair() else { return };
    let evidence = pair.evidence();
    std::fs::create_dir(&evidence).unwrap();
    Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&evidence).success();
    pair.old.mounts.push(evidence.clone());
    pair.old.give(&evidence);
    is_not_rewound(&pair, "are needed to keep");
}
