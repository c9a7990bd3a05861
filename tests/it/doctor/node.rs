//! Mistakes on one node: its machine and its PostgreSQL.

use pgsqlms::rules::doctor::{Machine, PassFile, Server, Slot};
use pgsqlms::rules::overview::Peer;
use pgsqlms::rules::room::Room;

use super::{HBA, hba, healthy, names, planted, slot};

/// The findings on a machine with this change.
fn machine(change: fn(&mut Machine)) -> String {
    let mut facts = healthy();
    change(facts.machine.as_mut().unwrap());
    names(&facts)
}

planted! { machine;
    a_killed_backend_stops_pacemaker: |it| it.oom_policy = Some("stop".to_owned()) => "WARN oom-policy";
    systemd_does_not_run_it: |it| it.oom_policy = None => "";
    postgresql_starts_with_the_machine: |it| it.enabled.push("postgresql.service".to_owned()) => "FAIL unit-enabled";
    an_instance_starts_with_it: |it| it.enabled.push("postgresql@17-main.service".to_owned()) => "FAIL unit-enabled";
    as_pgdg_calls_it: |it| it.enabled.push("postgresql-17.service".to_owned()) => "FAIL unit-enabled";
    patroni_runs: |it| it.active.push("patroni.service".to_owned()) => "FAIL other-manager";
    patroni_runs_and_is_enabled: |it| {
        it.active.push("patroni.service".to_owned());
        it.enabled.push("patroni.service".to_owned());
    } => "FAIL other-manager";
    logins_end_postgresql: |it| (it.removes_ipc, it.uid) = (true, 1000) => "WARN remove-ipc";
    logins_of_a_system_account_do_not: |it| it.removes_ipc = true => "";
    nothing_makes_the_socket: |it| it.tmpfiles.clear() => "WARN socket-directory";
    a_parameter_is_wrong: |it| it.bad_parameters.push("pgport: expected a port".to_owned()) => "FAIL bad-parameter";
    there_is_minimal_wal: |it| it.node.as_mut().unwrap().minimal_wal = true => "FAIL start-refuses";
    there_is_an_old_file: |it| it.node.as_mut().unwrap().recovery_template = Some("/d/recovery.conf.pcmk".into()) => "FAIL start-refuses";
    the_postgresql_version_is_too_old: |it| it.node.as_mut().unwrap().version = "11".to_owned() => "FAIL start-refuses";
    the_node_could_not_be_examined: |it| it.node = None => "";
}

/// The findings in a server with this change.
fn server(change: fn(&mut Server)) -> String {
    let mut facts = healthy();
    change(facts.server.as_mut().unwrap());
    names(&facts)
}

/// The findings with these settings, `name=value` each.
fn set(settings: &[&str]) -> String {
    let mut facts = healthy();
    let server = facts.server.as_mut().unwrap();
    for setting in settings {
        let (name, value) = setting.split_once('=').unwrap();
        server.settings.entry(name.to_owned()).or_default().value = value.to_owned();
    }
    names(&facts)
}

planted! { set;
    standbys_take_no_sessions: &["hot_standby=off"] => "FAIL hot-standby";
    nothing_is_on_the_disk: &["fsync=off"] => "FAIL fsync";
    pages_are_torn: &["full_page_writes=off"] => "FAIL full-page-writes";
    a_backend_crash_ends_postgresql: &["restart_after_crash=off"] => "WARN restart-after-crash";
    recovery_ends: &["recovery_target_time=2026-11-28"] => "FAIL recovery-target";
    recovery_ends_at_once: &["recovery_target=immediate"] => "FAIL recovery-target";
    recovery_stays_on_a_timeline: &["recovery_target_timeline=current"] => "FAIL recovery-target";
    a_standby_waits: &["wal_retrieve_retry_interval=5000"] => "HINT retry-interval";
    a_break_is_not_noticed: &["wal_sender_timeout=60000"] => "HINT wal-timeouts";
    a_break_is_never_noticed: &["wal_receiver_timeout=0"] => "HINT wal-timeouts";
    clients_take_all: &["superuser_reserved_connections=0"] => "WARN reserved-connections";
    no_name: &["primary_conninfo=host=10.20.30.100 connect_timeout=2", "cluster_name="] => "FAIL application-name";
    the_name_of_another_node: &["primary_conninfo=host=10.20.30.100 application_name=srv2 connect_timeout=2"] => "FAIL application-name";
    the_name_of_the_cluster: &["primary_conninfo=host=10.20.30.100 connect_timeout=2"] => "";
    there_are_no_hints: &["data_checksums=off", "wal_log_hints=off"] => "FAIL rewind-hints";
    there_are_checksums: &["wal_log_hints=off"] => "";
    there_are_few_senders: &["max_wal_senders=3"] => "WARN wal-senders";
    a_query_holds_up_a_promotion: &["max_standby_streaming_delay=-1"] => "WARN standby-delay";
    a_standby_is_late: &["recovery_min_apply_delay=3600000"] => "HINT apply-delay";
    listen_addresses_is_empty: &["listen_addresses="] => "FAIL listen-addresses";
    the_server_listens_on_localhost_only: &["listen_addresses=localhost, 127.0.0.1"] => "FAIL listen-addresses";
    the_server_listens_on_a_network_address: &["listen_addresses=localhost,10.20.30.11"] => "";
    the_socket_is_elsewhere: &["unix_socket_directories=/tmp"] => "";
    primary_conninfo_is_empty: &["primary_conninfo="] => "FAIL conninfo-missing";
    primary_conninfo_is_empty_beside_an_archive: &["primary_conninfo=", "restore_command=cp"] => "";
    primary_conninfo_names_a_node: &["primary_conninfo=host=srv2 application_name=srv1 connect_timeout=2"] => "FAIL conninfo-of-node";
    primary_conninfo_has_no_connect_timeout: &["primary_conninfo=host=10.20.30.100 application_name=srv1"] => "HINT connect-timeout";
    primary_conninfo_names_a_service: &["primary_conninfo=service=primary"] => "";
    commits_wait_for_a_stranger: &["synchronous_standby_names=ANY 1 (srv2, srv3, backup)"] => "WARN sync-names-unknown";
    commits_wait_for_any_standby: &["synchronous_standby_names=ANY 1 (*)"] => "WARN sync-wildcard";
    commits_wait_for_more_than_there_are: &["synchronous_standby_names=ANY 3 (srv1, srv2, srv3)"] => "FAIL sync-more-than-nodes";
    commits_wait_for_the_primary_itself: &["synchronous_standby_names=srv1"] => "FAIL sync-more-than-nodes";
    commits_wait_for_all: &["synchronous_standby_names=2 (srv1, srv2, srv3)"] => "HINT sync-no-spare";
    commits_wait_for_no_standby: &["synchronous_standby_names="] => "";
    names_are_compared_as_postgresql_does: &["synchronous_standby_names=ANY 1 (SRV2, srv3)"] => "";
    commits_do_not_wait: &["synchronous_commit=local"] => "WARN synchronous-commit";
    commits_are_asynchronous_and_no_standby_is_named: &["synchronous_commit=off", "synchronous_standby_names="] => "";
    slots_hold_all: &["max_slot_wal_keep_size=-1"] => "WARN slots-unbounded";
    the_disk_is_small: &["max_wal_size=20480"] => "WARN wal-disk";
    the_log_is_in_the_data: &["log_directory=log"] => "HINT log-directory";
    the_log_is_in_the_data_by_its_path: &["log_directory=/var/lib/postgresql/17/main/log"] => "HINT log-directory";
    the_log_is_systemds: &["log_directory=log", "logging_collector=off"] => "";
    a_faulty_version: &["server_version_num=170008"] => "WARN bad-version";
    an_old_faulty_version: &["server_version_num=140003"] => "WARN bad-version";
    the_version_after_it: &["server_version_num=140004"] => "";
}

fn file(name: &str) -> impl Fn(&mut Server) {
    move |it| it.settings.get_mut(name).unwrap().file = Some("/d/postgresql.auto.conf".to_owned())
}

planted! { server;
    primary_conninfo_is_set_by_sql: |it| file("primary_conninfo")(it) => "WARN conninfo-auto-conf";
    standbys_are_set_by_sql: |it| file("synchronous_standby_names")(it) => "WARN sync-auto-conf";
    a_slot_is_lost: |it| it.slots[0].is_lost = true => "WARN slot-lost";
    a_slot_of_a_removed_node: |it| it.slots.push(Slot { is_active: false, ..slot("pgsqlms_srv9") }) => "WARN slot-of-gone-node";
    a_slot_of_another_program: |it| it.slots.push(Slot { is_active: false, ..slot("backup") }) => "";
    no_wal_is_kept: |it| {
        it.slots.clear();
        it.settings.get_mut("wal_keep_size").unwrap().value = "0".to_owned();
    } => "WARN wal-keep";
    slots_keep_it: |it| it.settings.get_mut("wal_keep_size").unwrap().value = "0".to_owned() => "";
    no_wal_is_archived: |it| it.archive_fails = true => "WARN archive-fails";
    the_disk_is_full: |it| it.room = Some(Room { free: 1 << 20, segment: 16 << 20 }) => "WARN wal-disk";
    a_library_is_new: |it| it.old_collations.push("app".to_owned()) => "FAIL collation";
    a_line_is_wrong: |it| it.hba[3].error = Some("invalid authentication method".to_owned()) => "FAIL hba-error";
    others_read_the_passwords: |it| it.passfile.as_mut().unwrap().mode = Some(0o640) => "FAIL passfile-mode";
    the_passwords_are_gone: |it| it.passfile = Some(PassFile { path: "/p".to_owned(), mode: None }) => "FAIL passfile-missing";
    there_are_no_passwords: |it| it.passfile = None => "";
    debian_starts_it: |it| it.start_conf = Some(("/etc/postgresql/17/main/start.conf".to_owned(), "auto".to_owned())) => "WARN start-conf";
    debian_does_not: |it| it.start_conf = Some(("/etc/postgresql/17/main/start.conf".to_owned(), "manual".to_owned())) => "";
    a_privilege_for_pg_rewind_is_missing: |it| it.not_granted.push("pg_stat_file(text, boolean)".to_owned()) => "WARN rewind-grants";
}

/// The findings with these lines in pg_hba.conf in place of the last three.
fn admitted(lines: &str) -> String {
    let mut facts = healthy();
    let first = HBA.lines().next().unwrap();
    facts.server.as_mut().unwrap().hba = hba(&format!("{first}\n{lines}"));
    names(&facts)
}

const REJECT: &str = "host replication all samehost reject";

planted! { admitted;
    no_node_is_let_in: "host all all 10.0.0.0/255.0.0.0 md5" => "FAIL hba-replication";
    another_role_is_let_in: "host replication backup all md5\nhost all all 10.0.0.0/255.0.0.0 md5" => "FAIL hba-replication";
    a_standby_could_follow_itself: "host replication replicator 10.0.0.0/255.0.0.0 md5\nhost all all 10.0.0.0/255.0.0.0 md5" => "WARN hba-self";
    a_standby_could_follow_itself_before_the_reject_line: &format!("host replication replicator 10.0.0.0/255.0.0.0 md5\n{REJECT}\nhost all all 10.0.0.0/255.0.0.0 md5")
        => "WARN hba-self";
    each_other_node_is_let_in: "host replication replicator 10.0.0.2/255.255.255.255 md5\nhost all all 10.0.0.0/255.0.0.0 md5" => "";
    a_rewind_is_not_let_in: &format!("{REJECT}\nhost replication replicator 10.0.0.0/255.0.0.0 md5\nhost app app 10.0.0.0/255.0.0.0 md5")
        => "WARN hba-rewind";
    a_rewind_is_let_in: &format!("{REJECT}\nhostssl replication +nodes all md5\nhost postgres replicator 10.0.0.0/255.0.0.0 md5") => "";
}

#[test]
fn a_standby_without_a_name_is_found() {
    let mut facts = healthy();
    let server = crate::status::server(&mut facts.seen);
    server.peers.push(Peer { name: "walreceiver".to_owned(), state: "streaming".to_owned(), ..Peer::default() });
    assert_eq!(names(&facts), "FAIL nameless-standby");
}

/// The agent sets primary_conninfo: the setting in the files does not matter.
#[test]
fn a_node_that_follows_by_name_needs_no_conninfo() {
    let mut facts = healthy();
    let configuration = facts.configuration.as_mut().unwrap();
    let ours = configuration.resources.iter_mut().find(|resource| resource.id == "pgsqld").unwrap();
    ours.parameters.insert("follow".to_owned(), "node".to_owned());
    let server = facts.server.as_mut().unwrap();
    server.settings.get_mut("primary_conninfo").unwrap().value.clear();
    server.hba.remove(1);
    assert_eq!(names(&facts), "");
}
