//! The agent keeps `synchronous_standby_names`, on real instances, and somebody else does, too.

use pgsqlms::actions::{follow, monitor};
use pgsqlms::exit::OcfExitCode;
use pgsqlms::notification::Transition;

use crate::members::{Members, has_a_process_of_its_own, promotion_of};
use crate::throwaway::{Succeeds, eventually};

const NAME: &str = "synchronous_standby_names";

/// Monitors the primary until it gives this code and a reason with these words, or none without any.
#[track_caller]
fn monitors_until(members: &Members, wanted: OcfExitCode, words: &str) {
    eventually(&format!("{wanted:?} {words}"), || {
        let outcome = members.act(1, &Transition::default(), |agent| monitor::run(agent).unwrap());
        let reason = outcome.reason.unwrap_or_default();
        outcome.code == wanted && reason.contains(words) && reason.is_empty() == words.is_empty()
    });
}

#[test]
fn what_keeps_the_quorum_from_being_in_force_is_said() {
    if !has_a_process_of_its_own("quorum::what_keeps_the_quorum_from_being_in_force_is_said") {
        return;
    }
    let Some(mut members) = Members::new(2, "primary_conninfo = 'host=/nowhere'\n") else { return };
    members.config.synchronous.managed = true;
    members.config.synchronous.strict = false;
    let to_primary = promotion_of(1);
    members.act(2, &to_primary, |agent| follow::primary_of(agent, &agent.request.transition)).unwrap();
    members.wait_until_streaming(2, 1);
    let primary = members.instance(1);
    let reload = |sql: &str| {
        primary.sql(sql);
        primary.sql("SELECT pg_reload_conf()");
    };
    let in_force = || primary.sql(&format!("SHOW {NAME}"));
    let is_well = || {
        eventually("the quorum to be in force", || {
            members.act(1, &Transition::default(), |agent| monitor::run(agent).unwrap());
            in_force() == "ANY 1 (srv2)"
        });
        monitors_until(&members, OcfExitCode::RunningPromoted, "");
    };
    is_well();

    reload(&format!("ALTER SYSTEM SET {NAME} = ''"));
    monitors_until(&members, OcfExitCode::DegradedPromoted, &format!("ALTER SYSTEM RESET {NAME}"));
    assert_eq!(in_force(), "");
    reload(&format!("ALTER SYSTEM RESET {NAME}"));
    is_well();

    let conf = primary.data().join("postgresql.conf");
    let before = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, format!("{before}{NAME} = 'x'\n")).unwrap();
    reload("SELECT 1");
    monitors_until(&members, OcfExitCode::DegradedPromoted, &format!("remove {NAME} from "));
    std::fs::write(&conf, &before).unwrap();
    reload("SELECT 1");
    is_well();

    // Another setting is wanted, and the server reads none of its files.
    std::fs::write(&conf, format!("{before}nonsense\n")).unwrap();
    members.instance(2).agent("stop").expect(OcfExitCode::Success);
    monitors_until(&members, OcfExitCode::DegradedPromoted, "correct postgresql.conf");
    assert_eq!(in_force(), "ANY 1 (srv2)");
    std::fs::write(&conf, &before).unwrap();
    monitors_until(&members, OcfExitCode::RunningPromoted, "");
    eventually("the setting without a standby", || in_force().is_empty());

    let mut restart = primary.as_user("pg_ctl");
    restart.args(["restart", "--silent", "--log=/dev/null", "-o", &format!("-c {NAME}=x"), "-D"]);
    restart.arg(primary.data()).success();
    monitors_until(&members, OcfExitCode::DegradedPromoted, &format!("take {NAME} out of start_opts"));
}
