//! What evidence comes to, in tables.

use super::*;
use crate::rules::table;

fn dead(control: DbState) -> Evidence {
    Evidence::NoProcess { control: Some(control), backup_label: false, standby_signal: false }
}

fn orphans(control: DbState, standby_signal: bool) -> Evidence {
    Evidence::Orphans { count: 3, control: Some(control), standby_signal }
}

fn living(phase: Phase, answer: Answer, control: DbState) -> Evidence {
    Evidence::Postmaster { pid: 42, frozen: false, phase, answer, control: Some(control), standby_signal: false }
}

fn seen(evidence: Evidence) -> Status {
    status(&evidence)
}

fn troubled(role: Role, trouble: Trouble) -> Status {
    Status::Running { role, trouble: Some(trouble) }
}

const SECOND: Duration = Duration::from_secs(1);
const HANG: Hang = Hang { waited: SECOND, waits_for_lock: false };
use Answer::{Hangs, NoListener, NotYet, Refused, Silent, Unresolved};
use DbState::*;
use Phase::{Ready, Starting, Stopping, WarmStandby};

table! { seen;
    cleanly_stopped_primary: dead(ShutDown) => Status::Stopped;
    cleanly_stopped_standby: dead(ShutDownInRecovery) => Status::Stopped;
    // PAF #162, #173, #204: a dead primary is dead, independently of pg_control.
    primary_killed: dead(InProduction) => Status::Crashed(Role::Primary);
    standby_killed: dead(InArchiveRecovery) => Status::Crashed(Role::Standby);
    primary_killed_while_it_shut_down: dead(ShuttingDown) => Status::Crashed(Role::Primary);
    killed_in_crash_recovery_as_a_primary: dead(InCrashRecovery) => Status::Crashed(Role::Primary);
    killed_in_crash_recovery_as_a_standby:
        Evidence::NoProcess { control: Some(InCrashRecovery), backup_label: false, standby_signal: true }
        => Status::Crashed(Role::Standby);
    fresh_base_backup:
        Evidence::NoProcess { control: Some(InProduction), backup_label: true, standby_signal: true }
        => Status::Stopped;
    no_data_directory:
        Evidence::NoProcess { control: None, backup_label: false, standby_signal: false } => Status::Stopped;
    // PAF #173: no second postmaster beside the processes of the first.
    postmaster_dead_backends_alive: orphans(InProduction, false)
        => Status::Orphaned { count: 3, role: Some(Role::Primary) };
    postmaster_dead_before_it_had_recovered: orphans(InCrashRecovery, true)
        => Status::Orphaned { count: 3, role: Some(Role::Standby) };
    postmaster_dead_and_pg_control_unreadable:
        Evidence::Orphans { count: 3, control: None, standby_signal: false }
        => Status::Orphaned { count: 3, role: None };
    single_user: Evidence::Unclear(Unclear::SingleUser { pid: 7 }) => Status::Unclear(Unclear::SingleUser { pid: 7 });
    standby: living(Ready, Answer::Role(Role::Standby), InArchiveRecovery)
        => Status::Running { role: Role::Standby, trouble: None };
    primary: living(Ready, Answer::Role(Role::Primary), InProduction)
        => Status::Running { role: Role::Primary, trouble: None };
    // stolon #691: full is not dead.
    primary_with_all_connections_taken: living(Ready, Refused("53300".into()), InProduction)
        => troubled(Role::Primary, Trouble::Refused("53300".into()));
    standby_with_a_broken_pg_hba: living(Ready, Refused("28000".into()), InArchiveRecovery)
        => troubled(Role::Standby, Trouble::Refused("28000".into()));
    // A guess could make Pacemaker take a standby for a second primary.
    refused_and_pg_control_unreadable: Evidence::Postmaster {
        pid: 42,
        frozen: false,
        phase: Ready,
        answer: Refused("28000".into()),
        control: None,
        standby_signal: false,
    } => Status::Obscure { why: "it refuses the agent's connection: 28000".into() };
    socket_removed: living(Ready, NoListener("/tmp:5432".into()), InProduction)
        => troubled(Role::Primary, Trouble::NoListener("/tmp:5432".into()));
    just_started_no_socket_yet: living(Starting, NoListener("/tmp:5432".into()), InArchiveRecovery)
        => Status::Starting(Role::Standby);
    spawned_and_no_pid_file_yet: Evidence::Postmaster {
        pid: 42,
        frozen: false,
        phase: Phase::Unknown,
        answer: NoListener("/tmp:5432".into()),
        control: Some(ShutDown),
        standby_signal: true,
    } => Status::Starting(Role::Standby);
    recovering: living(Starting, NotYet, InArchiveRecovery) => Status::Starting(Role::Standby);
    about_to_recover_what_a_primary_left: Evidence::Postmaster {
        pid: 42,
        frozen: false,
        phase: Starting,
        answer: NotYet,
        control: Some(InProduction),
        standby_signal: true,
    } => Status::Starting(Role::Standby);
    recovering_as_a_primary: living(Starting, NotYet, InCrashRecovery) => Status::Starting(Role::Primary);
    backend_crashed_on_the_primary: living(Ready, NotYet, InCrashRecovery)
        => troubled(Role::Primary, Trouble::Restarting);
    backend_crashed_on_a_standby: living(Ready, NotYet, InArchiveRecovery)
        => troubled(Role::Standby, Trouble::Restarting);
    warm_standby: living(WarmStandby, NotYet, InArchiveRecovery)
        => troubled(Role::Standby, Trouble::WarmStandby);
    shutting_down: living(Stopping, NotYet, InProduction) => Status::Stopping;
    shutting_down_without_a_socket: living(Stopping, NoListener("/tmp:5432".into()), InProduction)
        => Status::Stopping;
    silent: living(Ready, Silent(SECOND), InProduction) => Status::Unresponsive { pid: 42, waited: Some(SECOND) };
    // A lock on a catalog, or slow logins: no session, and the server answers at the socket.
    primary_that_lets_no_session_in: living(Ready, Hangs(HANG), InProduction)
        => troubled(Role::Primary, Trouble::Hangs(HANG));
    standby_that_lets_no_session_in: living(Ready, Hangs(HANG), InArchiveRecovery)
        => troubled(Role::Standby, Trouble::Hangs(HANG));
    recovering_and_slow: living(Starting, Hangs(HANG), InArchiveRecovery) => Status::Starting(Role::Standby);
    stopping_and_slow: living(Stopping, Hangs(HANG), InProduction) => Status::Stopping;
    resolver_dead: living(Ready, Unresolved { name: "db1".into(), why: "no".into() }, InProduction)
        => troubled(Role::Primary, Trouble::Unresolved { name: "db1".into(), why: "no".into() });
    storage_hangs: living(Ready, Answer::StorageHangs(SECOND), InProduction) => Status::StorageHangs { lasted: SECOND };
    frozen: Evidence::Postmaster { pid: 42, frozen: true, phase: Ready, answer: NotYet, control: None, standby_signal: false }
        => Status::Unresponsive { pid: 42, waited: None };
}

fn answered((status, asked): (Status, Asked)) -> u8 {
    status.exit_code(asked) as u8
}

fn died_as_a_primary(status: Status) -> bool {
    status.is_a_crashed_primary()
}

table! { died_as_a_primary;
    primary_crashed: Status::Crashed(Role::Primary) => true;
    standby_crashed: Status::Crashed(Role::Standby) => false;
    // Its last processes may end a second later: whether a monitor comes before that is chance.
    primary_orphaned: Status::Orphaned { count: 1, role: Some(Role::Primary) } => true;
    standby_orphaned: Status::Orphaned { count: 1, role: Some(Role::Standby) } => false;
    orphaned_unknown: Status::Orphaned { count: 1, role: None } => false;
    primary_stopped: Status::Stopped => false;
    primary_runs: running(Role::Primary) => false;
}

fn running(role: Role) -> Status {
    Status::Running { role, trouble: None }
}

table! { answered;
    stopped_probed: (Status::Stopped, Asked::Probe) => 7;
    stopped_asked_by_hand: (Status::Stopped, Asked::ByHand) => 7;
    stopped_monitored: (Status::Stopped, Asked::Recurring) => 7;
    // A probe of 9 makes Pacemaker "recover" a returned old primary, beside the new one.
    crashed_primary_probed: (Status::Crashed(Role::Primary), Asked::Probe) => 7;
    crashed_primary_asked_by_hand: (Status::Crashed(Role::Primary), Asked::ByHand) => 7;
    crashed_primary_monitored: (Status::Crashed(Role::Primary), Asked::Recurring) => 9;
    crashed_standby_probed: (Status::Crashed(Role::Standby), Asked::Probe) => 7;
    crashed_standby_monitored: (Status::Crashed(Role::Standby), Asked::Recurring) => 7;
    orphans_probed: (Status::Orphaned { count: 1, role: Some(Role::Primary) }, Asked::Probe) => 1;
    orphans_monitored: (Status::Orphaned { count: 1, role: Some(Role::Primary) }, Asked::Recurring) => 1;
    // Neither 7, which would let Pacemaker start another server, nor 8, which would make it a primary beside another one.
    single_user_probed: (Status::Unclear(Unclear::SingleUser { pid: 7 }), Asked::Probe) => 1;
    hidden_probed: (Status::Unclear(Unclear::Hidden { pid: 7 }), Asked::Probe) => 1;
    hidden_monitored: (Status::Unclear(Unclear::Hidden { pid: 7 }), Asked::Recurring) => 1;
    standby_starting: (Status::Starting(Role::Standby), Asked::Probe) => 190;
    primary_starting: (Status::Starting(Role::Primary), Asked::Recurring) => 191;
    stopping_probed: (Status::Stopping, Asked::Probe) => 1;
    stopping_monitored: (Status::Stopping, Asked::Recurring) => 1;
    standby_well: (running(Role::Standby), Asked::Probe) => 0;
    primary_well: (running(Role::Primary), Asked::Recurring) => 8;
    standby_troubled: (troubled(Role::Standby, Trouble::Restarting), Asked::Recurring) => 190;
    primary_troubled: (troubled(Role::Primary, Trouble::Restarting), Asked::Probe) => 191;
    standby_that_hangs: (troubled(Role::Standby, Trouble::Hangs(HANG)), Asked::Recurring) => 190;
    primary_that_hangs: (troubled(Role::Primary, Trouble::Hangs(HANG)), Asked::Recurring) => 191;
    storage_that_hangs: (Status::StorageHangs { lasted: SECOND }, Asked::Recurring) => 1;
    obscure: (Status::Obscure { why: String::new() }, Asked::Probe) => 1;
    unresponsive: (Status::Unresponsive { pid: 42, waited: None }, Asked::Recurring) => 1;
}
