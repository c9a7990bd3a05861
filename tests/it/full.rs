//! The disk of a standby fills up while it runs, on real instances.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use pgsqlms::actions::follow;
use pgsqlms::agent::Outcome;
use pgsqlms::exit::OcfExitCode;

use crate::members::{Members, has_a_process_of_its_own, promotion_of};
use crate::throwaway::{Succeeds, eventually};

/// Room for all segments that the test writes, each of 1 MB.
const SIZE: &str = "size=100m";

/// Gives the standby a small disk for its WAL.
fn on_a_small_disk(members: &mut Members) {
    let instance = &mut members.all[1].instance;
    instance.agent("stop").expect(OcfExitCode::Success);
    let (wal, kept) = (instance.data().join("pg_wal"), instance.directory.path().join("wal"));
    Command::new("mv").args([&wal, &kept]).success();
    std::fs::create_dir(&wal).unwrap();
    Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(&wal).success();
    instance.mounts.push(wal.clone());
    Command::new("cp").arg("-a").arg(kept.join(".")).arg(&wal).success();
    instance.give(&wal);
    instance.start();
}

fn fill(directory: &Path) {
    let mut ballast = std::fs::File::create(directory.join("ballast")).unwrap();
    while ballast.write_all(&[1; 4096]).is_ok() {}
}

fn monitored(members: &Members) -> Outcome {
    members.monitored(2)
}

#[test]
fn a_standby_whose_disk_fills_up_lives_says_so_and_goes_on_when_there_is_space() {
    if !has_a_process_of_its_own("full::a_standby_whose_disk_fills_up_lives_says_so_and_goes_on_when_there_is_space") {
        return;
    }
    let settings = "primary_conninfo = 'host=/nowhere'\nwal_keep_size = 500MB\nwal_retrieve_retry_interval = 500ms\n";
    let Some(mut members) = Members::new(2, settings) else { return };
    on_a_small_disk(&mut members);
    members.act(2, &promotion_of(1), |agent| follow::primary_of(agent, &agent.request.transition)).unwrap();
    members.wait_until_streaming(2, 1);
    // Otherwise the standby finds no primary.
    members.monitored(1);
    let (primary, standby) = (members.instance(1), members.instance(2));
    let (started, wal) = (standby.postmaster(), standby.data().join("pg_wal"));
    fill(&wal);
    primary.sql(
        "SELECT count(*) FROM (SELECT pg_switch_wal(), pg_logical_emit_message(false, 'x', repeat('x', 900000)) \
         FROM generate_series(1, 30)) much",
    );

    let mut last = String::new();
    eventually("a reason", || {
        members.instance(2).a_minute_passes("break");
        let outcome = monitored(&members);
        last = format!("{outcome:?}");
        outcome.code == OcfExitCode::Degraded
            && outcome.reason.is_some_and(|why| why.starts_with("free space here; no WAL received for"))
    });
    println!("{last}");
    assert!(last.contains("No space left on device"), "{last}");
    assert_eq!(standby.postmaster(), started, "it was restarted");
    // The primary ranks it last.
    let fitness = || {
        members
            .board
            .borrow()
            .cib
            .transient("pgsqlms-fitness-pgsqld")
            .get(&members.all[1].name)
            .map(|it| (*it).to_owned())
    };
    assert_eq!(fitness().as_deref(), Some("room=none"));

    std::fs::remove_file(wal.join("ballast")).unwrap();
    let end = primary.sql("SELECT pg_current_wal_lsn()");
    let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{end}'");
    eventually("it to go on", || standby.sql(&replayed) == "t");
    eventually("an end of complaints", || monitored(&members).code == OcfExitCode::Success);
    assert_eq!(monitored(&members).reason, None);
    assert_eq!(fitness(), None);
    assert_eq!(standby.postmaster(), started, "it was restarted");
    fill(&wal);
    standby.agent("stop").expect(OcfExitCode::Success);
}
