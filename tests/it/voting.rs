//! How far the WAL of real instances reaches, where there is more of it than can be read at once.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use pgsqlms::actions::{election, follow};
use pgsqlms::clock::{Clock, Deadline, SystemClock};
use pgsqlms::exit::OcfExitCode;
use pgsqlms::location::{Lsn, Timeline};
use pgsqlms::node::NodeName;
use pgsqlms::notification::Transition;
use pgsqlms::parameters::Config;
use pgsqlms::postgres::{Postgres, instance};
use pgsqlms::vote::{Extent, Vote};

use crate::members::{Members, has_a_process_of_its_own, promotion_of};
use crate::run::is_root;
use crate::throwaway::{Instance, Succeeds, eventually};

/// No checkpoint of its own accord.
const NO_CHECKPOINTS: &str = "checkpoint_timeout = 1d\nmax_wal_size = 8GB\nautovacuum = off\n";

/// Some 200 MB of WAL.
const MUCH: &str = "CREATE TABLE much AS SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 180000) AS n";

/// A clock that advances 1 ms each time it is read, so that some megabytes are read however slow the disk is.
#[derive(Default)]
struct Looks(Cell<u64>);

impl Clock for Looks {
    fn now(&self) -> Duration {
        self.0.set(self.0.get() + 1);
        Duration::from_millis(self.0.get())
    }

    fn sleep(&self, pause: Duration) {
        self.0.set(self.0.get() + pause.as_millis() as u64);
    }

    fn unix_time(&self) -> u64 {
        0
    }
}

/// The agent's instance in the place of another one.
fn instance_of(other: &Instance, clock: Rc<dyn Clock>) -> instance::Instance {
    let runtime = Rc::new(tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
    let mut config = Config { pgdata: other.data(), ..Config::default() };
    config.system_user.clone_from(&other.user.name);
    instance::Instance::new(config, "pgsql-test", runtime, clock, Deadline::within(Duration::from_secs(60)))
}

/// Its vote after so many looks at the clock.
fn vote_within(other: &Instance, looks: u64) -> Vote {
    let clock: Rc<dyn Clock> = Rc::new(Looks::default());
    let until = Deadline::within(Duration::from_secs(1_000_000)).or_after(clock.as_ref(), Duration::from_millis(looks));
    instance_of(other, clock).vote(until).unwrap()
}

/// Its vote after reading all there is.
fn vote(other: &Instance) -> Vote {
    instance_of(other, Rc::new(SystemClock::start())).vote(Deadline::within(Duration::from_secs(60))).unwrap()
}

fn lsn(instance: &Instance, function: &str) -> Lsn {
    instance.sql(&format!("SELECT {function}()")).parse().unwrap()
}

#[test]
fn a_vote_that_is_not_finished_says_so_and_the_next_one_goes_on() {
    if !has_a_process_of_its_own("voting::a_vote_that_is_not_finished_says_so_and_the_next_one_goes_on") {
        return;
    }
    let Some(instance) = Instance::new() else { return };
    instance.configure(NO_CHECKPOINTS);
    instance.promote();
    instance.sql("CHECKPOINT");
    instance.sql(MUCH);
    let written = lsn(&instance, "pg_current_wal_flush_lsn");
    instance.crash();
    if !is_root() {
        // It leaves no notes.
        assert_eq!(vote_within(&instance, 100).extent, Extent::AtLeast);
        return;
    }
    let votes: Vec<Vote> = std::iter::repeat_with(|| vote_within(&instance, 100))
        .scan(false, |exact, vote| (!std::mem::replace(exact, vote.extent == Extent::Exact)).then_some(vote))
        .take(50)
        .collect();
    let (last, before) = votes.split_last().unwrap();
    assert!(last.extent == Extent::Exact && last.lsn() >= written, "{votes:?}");
    assert!(before.len() >= 3 && before.iter().all(|vote| vote.extent == Extent::AtLeast), "{votes:?}");
    assert!(votes.is_sorted_by(|one, next| one.lsn() < next.lsn()), "{votes:?}");
    assert_eq!(vote_within(&instance, 10), *last, "it was read again");

    // It recovers to the position in its vote.
    instance.start();
    assert_eq!(lsn(&instance, "pg_last_wal_replay_lsn"), last.lsn());
    let recovered = vote_within(&instance, 10);
    assert_eq!((recovered.reach.replayed, &recovered.extent), (Some(last.lsn()), &Extent::Exact));
    // And nothing is left of it where other data may take its place.
    instance.crash();
    let anew = vote_within(&instance, 10);
    assert!(anew.extent == Extent::AtLeast && anew.lsn() < last.lsn(), "{anew}");
    assert_eq!(vote(&instance).lsn(), last.lsn());
}

/// A standby that has much WAL since its last restart point, and has followed a promotion since.
#[test]
fn a_standby_that_has_followed_a_promotion_is_on_its_timeline_however_little_is_read() {
    let name = "voting::a_standby_that_has_followed_a_promotion_is_on_its_timeline_however_little_is_read";
    if !has_a_process_of_its_own(name) {
        return;
    }
    let settings = format!("{NO_CHECKPOINTS}primary_conninfo = 'host=/nowhere'\n");
    let Some(members) = Members::new(3, &settings) else { return };
    let follow = |standby: usize, primary: usize| {
        let trouble =
            members.act(standby, &promotion_of(primary), |agent| follow::primary_of(agent, &agent.request.transition));
        assert_eq!(trouble.unwrap(), None);
        members.wait_until_streaming(standby, primary);
    };
    [2, 3].into_iter().for_each(|standby| follow(standby, 1));
    members.instance(1).sql(MUCH);
    let (old, standby) = (vote(members.instance(3)).timeline(), members.instance(3));
    members.instance(1).agent("stop").expect(OcfExitCode::Success);
    members.instance(2).as_user("pg_ctl").args(["promote", "-D"]).arg(members.instance(2).data()).success();
    follow(3, 2);
    members.instance(2).sql("CREATE TABLE later AS SELECT 1 AS one");
    eventually("the standby to replay what was written on the new timeline", || {
        standby.sql("SELECT count(*) FROM later") == "1"
    });
    // The new primary writes by itself, too: the checkpoint after its promotion, and the running transactions every 15 s.
    eventually("two votes with nothing written between them", || {
        let found = vote_within(standby, 0);
        assert_eq!(found.timeline(), Timeline(old.0 + 1), "{found}");
        assert!(
            found.reach.replayed.is_some_and(|replayed| found.history.contains(found.timeline(), replayed)),
            "{found}"
        );
        vote(standby) == Vote { extent: Extent::Exact, ..found }
    });
}

/// The others wait for the exact vote of an instance that recovers.
#[test]
fn a_vote_that_was_not_exact_is_cast_anew_and_an_exact_one_is_not() {
    if !has_a_process_of_its_own("voting::a_vote_that_was_not_exact_is_cast_anew_and_an_exact_one_is_not") {
        return;
    }
    let Some(members) = Members::new(1, NO_CHECKPOINTS) else { return };
    members.instance(1).crash();
    let read_on = |before: &str| {
        let name = NodeName::new("srv1");
        let votes = || {
            std::cell::RefMut::map(members.board.borrow_mut(), |board| {
                board.private.entry("lsn_location-pgsqld".to_owned()).or_default()
            })
        };
        votes().insert(name.clone(), before.to_owned());
        let done = members.act(1, &Transition::default(), election::read_on);
        (done.is_ok(), votes().remove(&name).unwrap())
    };
    for kept in ["2#100 disk=0/64 history=1@0/30,2", "stopped"] {
        assert_eq!(read_on(kept), (true, kept.to_owned()));
    }
    for inexact in ["extent=atleast", "extent=unread:Input/output_error"] {
        let (_, vote) = read_on(&format!("2#100 disk=0/64 history=1@0/30,2 {inexact}"));
        let vote: Vote = vote.parse().unwrap();
        assert!(vote.extent == Extent::Exact && vote.lsn() > Lsn(100), "{vote}");
    }
    std::fs::remove_file(members.instance(1).data().join("global/pg_control")).unwrap();
    let (is_done, vote) = read_on("2#100 disk=0/64 history=1@0/30,2 extent=atleast");
    assert!(!is_done && vote.starts_with("unknown: ") && vote.contains("pg_control"), "{vote}");
}
