//! Faults in the middle of a rewind: it has rewritten a part of the data directory.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pgsqlms::exit::OcfExitCode::*;

use super::pair::Pair;
use super::{expect, monitor};
use crate::run::Test;
use crate::throwaway::{Instance, Succeeds, eventually};

/// Stops at one of its first writes into the data directory.
const STOPS: &str = "case \"$*\" in *--dry-run*) exec $real \"$@\" ;; esac\n\
    exec strace -f -qq -o /dev/null -e trace=write,pwrite64 -e inject=write,pwrite64:signal=STOP:when=40 $real \"$@\"";

fn start(pair: &Pair) -> Test {
    pair.action("start").parameter("rejoin", "rewind").meta("timeout", "20000")
}

/// A start whose pg_rewind has stopped in the middle.
struct Midway {
    agent: Child,
    rewind: Pid,
}

impl Midway {
    fn reach(pair: &Pair) -> Self {
        let bindir = pair.programs_with("pg_rewind", STOPS);
        let mut agent = pair.inside(start(pair).parameter("bindir", bindir));
        let agent = agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (mut rewind, mut since) = (None, 0);
        eventually("the rewind to be in the middle", || {
            // strace stops it for a moment at every write.
            let stopped = pair.old.pids().into_iter().find(|pid| is_stopped(*pid));
            since = if stopped.is_some() && stopped == rewind { since + 1 } else { 0 };
            rewind = stopped;
            since >= 20
        });
        assert!(pair.notes().contains("stage=rewinding"), "{}", pair.notes());
        Self { agent, rewind: rewind.unwrap() }
    }

    /// Lets it go on, to the end of the start; how that ended.
    fn go_on(mut self) -> i32 {
        let mut ended = None;
        eventually("the start to end", || {
            let _ = kill(self.rewind, Signal::SIGCONT);
            ended = self.agent.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap().code().unwrap()
    }
}

fn is_stopped(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.contains("(pg_rewind) T") || stat.contains("(pg_rewind) t")
}

/// It is neither launched, nor forgotten what it is.
#[track_caller]
fn is_half_rewound(pair: &Pair) {
    assert!(pair.notes().contains("stage=rewinding"), "{}", pair.notes());
    assert_eq!(pair.old.processes(), 0);
    assert_eq!(monitor(pair, "rewind").code, NotRunning as i32);
}

/// The directory at which the standby finds the primary, whichever node that is.
fn upstream(old: &Instance) -> PathBuf {
    old.directory.path().join("upstream")
}

#[test]
fn the_source_dies_and_a_third_node_takes_its_place() {
    let follows_whom = |old: &Instance| {
        old.configure(&format!("primary_conninfo = 'host={} user=postgres'\n", upstream(old).display()));
    };
    let Some(pair) = Pair::new(follows_whom) else { return };
    symlink(pair.new.directory.path(), upstream(&pair.old)).unwrap();
    let Some(third) = Instance::empty() else { return };
    let mut copy = pair.new.as_user("pg_basebackup");
    copy.arg("--host").arg(pair.new.directory.path()).args(["--checkpoint=fast", "--write-recovery-conf", "--pgdata"]);
    copy.arg(third.data()).success();
    let segments = || std::fs::read_dir(pair.new.data().join("pg_wal")).unwrap().flatten().map(|file| file.path());
    let give_wal = || {
        let mut copy = Command::new("cp");
        copy.args(["-a", "--no-clobber", "--target-directory"]).arg(third.data().join("pg_wal"));
        copy.args(segments().filter(|path| path.is_file())).success();
    };
    third.configure(&format!("unix_socket_directories = '{}'\n", third.directory.path().display()));
    third.run_by_hand();
    pair.new.sql("INSERT INTO since SELECT generate_series(20001, 30000)");
    eventually("the third node to have it", || third.sql("SELECT count(*) FROM since") == "30000");

    let midway = Midway::reach(&pair);
    pair.new.crash();
    assert_eq!(midway.go_on(), GenericError as i32);
    is_half_rewound(&pair);
    // There is no new primary yet.
    let failed = pair.run(start(&pair));
    expect(&failed, GenericError);
    assert!(
        failed.reason.starts_with("half rewound, `pcs resource cleanup` goes on with it: ")
            && failed.reason.contains("connection"),
        "{failed:?}"
    );
    is_half_rewound(&pair);

    third.as_user("pg_ctl").args(["promote", "--pgdata"]).arg(third.data()).success();
    third.sql("INSERT INTO since SELECT generate_series(30001, 31000)");
    std::fs::remove_file(upstream(&pair.old)).unwrap();
    symlink(third.directory.path(), upstream(&pair.old)).unwrap();
    let advice =
        "it is half rewound: run `pgsqlms rejoin --resource pgsql-test --yes`, or `rebuild`; the primary has removed";
    // Up to PostgreSQL 15 pg_rewind would take it for the former primary, and leave data that PostgreSQL refuses to start.
    let version: u32 = third.sql("SHOW server_version_num").parse().unwrap();
    if version < 160_000 {
        let early = pair.run(start(&pair));
        expect(&early, GenericError);
        // Or it has written the checkpoint by now.
        let just_promoted = "the primary was just promoted, and has to write a checkpoint";
        assert!([just_promoted, advice].iter().any(|words| early.reason.contains(words)), "{early:?}");
        is_half_rewound(&pair);
    }
    third.sql("CHECKPOINT");
    // It was copied when the ways had parted already, and lacks the WAL from there on.
    let refused = pair.run(start(&pair));
    expect(&refused, GenericError);
    assert!(refused.reason.contains(advice), "{refused:?}");
    assert!(refused.log.contains("the primary has removed the WAL from 0/"), "{refused:?}");
    is_half_rewound(&pair);
    // An operator restores that WAL, and follows the advice.
    give_wal();
    let command = Test::new(["rejoin", "--resource", "pgsql-test", "--yes"]);
    let mut watching = pair.inside(command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the order to go on", || pair.notes().contains("attempts=0"));
    expect(&pair.run(start(&pair)), Success);
    eventually("the command to see it follow", || watching.try_wait().unwrap().is_some_and(|ended| ended.success()));
    let receives = "SELECT status || received_tli FROM pg_stat_wal_receiver";
    eventually("it to follow the third node", || pair.old.sql(receives) == "streaming3");
    for table in ["kept", "since"] {
        let sum =
            format!("SELECT count(*), sum(number), md5(string_agg(number::text, ' ' ORDER BY number)) FROM {table}");
        eventually(table, || pair.old.sql(&sum) == third.sql(&sum));
    }
    assert_eq!(pair.old.sql("SELECT to_regclass('stray') IS NULL"), "t");
    assert!(std::fs::read_to_string(pair.dropped().join("summary.txt")).unwrap().contains(": COMMIT 20"));
}

/// The file system with the data directory, and the file that fills it.
fn small_disk(old: &Instance) -> (PathBuf, PathBuf) {
    let space = old.directory.path().join("space");
    (space.clone(), space.join("ballast"))
}

#[test]
fn the_disk_is_full_in_the_middle_and_has_space_again() {
    let on_a_small_disk = |old: &Instance| {
        let (space, _) = small_disk(old);
        std::fs::create_dir(&space).unwrap();
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=300m", "small"]).arg(&space).success();
        Command::new("cp").arg("-a").arg(old.data()).arg(&space).success();
        Command::new("mount").arg("--bind").arg(space.join("data")).arg(old.data()).success();
    };
    let Some(mut pair) = Pair::new(on_a_small_disk) else { return };
    let (space, ballast) = small_disk(&pair.old);
    pair.old.mounts = vec![space, pair.old.data()];
    let midway = Midway::reach(&pair);
    let mut fill = Command::new("dd");
    fill.args(["if=/dev/zero", "bs=4k", "status=none"]).arg(format!("of={}", ballast.display())).stderr(Stdio::null());
    assert!(!fill.status().unwrap().success(), "the disk is endless");
    assert_eq!(midway.go_on(), GenericError as i32);
    is_half_rewound(&pair);
    assert!(pair.notes().contains("No space left on device"), "{}", pair.notes());
    // Full as it is, it says so again, and that it was tried in vain does not count.
    for _ in 0..4 {
        let failed = pair.run(start(&pair));
        expect(&failed, GenericError);
        assert!(failed.reason.contains("No space left on device"), "{failed:?}");
        is_half_rewound(&pair);
    }
    // Nor if there is space for the evidence, and not for the primary's files.
    let fails = "case \"$*\" in *--dry-run*) exec $real \"$@\" ;; esac\n\
        echo 'pg_rewind: error: could not write file \"base/5/1\": No space left on device' >&2; exit 1";
    std::fs::File::options().write(true).open(&ballast).unwrap().set_len(100 << 20).unwrap();
    for _ in 0..4 {
        let failed = pair.run(start(&pair).parameter("bindir", pair.programs_with("pg_rewind", fails)));
        expect(&failed, GenericError);
        assert!(failed.reason.contains("No space left on device"), "{failed:?}");
        is_half_rewound(&pair);
    }
    // stop reports the truth, so the node is not fenced.
    expect(&pair.run(pair.action("stop")), Success);
    std::fs::remove_file(ballast).unwrap();
    expect(&pair.run(start(&pair)), Success);
    pair.is_whole();
}
