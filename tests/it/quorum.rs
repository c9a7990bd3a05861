//! The agent manages `synchronous_standby_names` on real instances, also while an operator changes it.

use pgsqlms::actions::follow;
use pgsqlms::exit::OcfExitCode;

use crate::members::{Members, has_a_process_of_its_own, promotion_of};
use crate::throwaway::{Succeeds, eventually};

const NAME: &str = "synchronous_standby_names";

#[test]
fn the_reason_why_a_quorum_is_not_in_force_is_reported() {
    if !has_a_process_of_its_own("quorum::the_reason_why_a_quorum_is_not_in_force_is_reported") {
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
            members.monitored(1);
            in_force() == "ANY 1 (srv2)"
        });
        members.monitors_until(1, OcfExitCode::RunningPromoted, "");
    };
    is_well();

    reload(&format!("ALTER SYSTEM SET {NAME} = ''"));
    members.monitors_until(1, OcfExitCode::DegradedPromoted, &format!("ALTER SYSTEM RESET {NAME}"));
    assert_eq!(in_force(), "");
    reload(&format!("ALTER SYSTEM RESET {NAME}"));
    is_well();

    let conf = primary.data().join("postgresql.conf");
    let before = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, format!("{before}{NAME} = 'x'\n")).unwrap();
    reload("SELECT 1");
    members.monitors_until(1, OcfExitCode::DegradedPromoted, &format!("remove {NAME} from "));
    std::fs::write(&conf, &before).unwrap();
    reload("SELECT 1");
    is_well();

    // Another setting is wanted, and the server reads none of its files.
    std::fs::write(&conf, format!("{before}nonsense\n")).unwrap();
    members.instance(2).agent("stop").expect(OcfExitCode::Success);
    members.monitors_until(1, OcfExitCode::DegradedPromoted, "correct postgresql.conf");
    assert_eq!(in_force(), "ANY 1 (srv2)");
    std::fs::write(&conf, &before).unwrap();
    members.monitors_until(1, OcfExitCode::RunningPromoted, "");
    eventually("the setting without a standby", || in_force().is_empty());

    let mut restart = primary.as_user("pg_ctl");
    restart.args(["restart", "--silent", "--log=/dev/null", "-o", &format!("-c {NAME}=x"), "-D"]);
    restart.arg(primary.data()).success();
    members.monitors_until(1, OcfExitCode::DegradedPromoted, &format!("take {NAME} out of start_opts"));
}

/// A process that receives WAL, ended with its test.
struct Receiver(std::process::Child);

impl Receiver {
    /// `pg_receivewal` from the primary, once it streams.
    fn new(members: &Members, into: &std::path::Path, arguments: &[&str]) -> Self {
        let primary = members.instance(1);
        let mut receiver = primary.as_user("pg_receivewal");
        receiver.args(["--no-loop", "--username=postgres", "--directory"]).arg(into).args(arguments);
        receiver.arg("--host").arg(primary.data().parent().unwrap()).stderr(std::process::Stdio::null());
        let receiver = Self(receiver.spawn().unwrap());
        let streams =
            "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'pg_receivewal' AND state = 'streaming'";
        eventually("pg_receivewal to stream", || primary.sql(streams) == "1");
        receiver
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn under_a_wildcard_those_count_that_confirm_commits() {
    if !has_a_process_of_its_own("quorum::under_a_wildcard_those_count_that_confirm_commits") {
        return;
    }
    let Some(members) = Members::new(2, "primary_conninfo = 'host=/nowhere'\n") else { return };
    let to_primary = promotion_of(1);
    members.act(2, &to_primary, |agent| follow::primary_of(agent, &agent.request.transition)).unwrap();
    members.wait_until_streaming(2, 1);
    let primary = members.instance(1);
    primary.sql(&format!("ALTER SYSTEM SET {NAME} = '*'"));
    primary.sql("SELECT pg_reload_conf()");
    let published = || {
        let properties = &members.board.borrow().cib.properties;
        properties.iter().find(|(name, _)| name.ends_with("-synchronous")).map(|(_, value)| value.clone())
    };
    let is_published = |wanted: &str| {
        eventually(wanted, || {
            members.monitored(1);
            published().as_deref() == Some(wanted)
        });
    };
    is_published("srv1: FIRST 1 (*) ~ srv2");

    let directory = tempfile::TempDir::new().unwrap();
    primary.give(directory.path());
    let silent = Receiver::new(&members, directory.path(), &[]);
    members.monitors_until(1, OcfExitCode::RunningPromoted, "");
    assert_eq!(published().as_deref(), Some("srv1: FIRST 1 (*) ~ srv2"));
    drop(silent);

    let confirming = Receiver::new(&members, directory.path(), &["--synchronous"]);
    members.monitors_until(1, OcfExitCode::DegradedPromoted, "pg_receivewal may confirm commits alone");
    assert_eq!(published().as_deref(), Some("srv1: FIRST 1 (*) ~ pg_receivewal, srv2"));
    drop(confirming);
    is_published("srv1: FIRST 1 (*) ~ srv2");
    members.monitors_until(1, OcfExitCode::RunningPromoted, "");
}
