//! `pgsqlms doctor`: each mistake, planted alone in the facts about a healthy cluster, is found, and nothing else is; what it prints,
//! against files; and the command on a real instance.

mod cluster;
mod node;
mod printed;

use std::collections::BTreeMap;

use pgsqlms::pacemaker::configuration;
use pgsqlms::rules::doctor::{Corosync, Facts, HbaLine, Machine, PassFile, Server, Setting, Slot, examine};
use pgsqlms::rules::overview::Level;
use pgsqlms::rules::room::Room;
use pgsqlms::rules::setup::Node;

use crate::run::repository;

/// The CIB that pcs makes of `pcs-examples/3nodes-vip.sh`.
fn cib() -> String {
    std::fs::read_to_string(repository("tests/fixtures/doctor/cib.xml")).unwrap()
}

/// The facts about a cluster of the examples, seen from its primary srv1.
fn healthy() -> Facts {
    let corosync = Corosync {
        token: Some(3000),
        consensus: Some(3600),
        two_nodes: false,
        waits_for_all: false,
        ..Corosync::default()
    };
    let machine = Machine {
        enabled: ["pacemaker.service", "corosync.service", "ssh.service"].map(str::to_owned).to_vec(),
        active: ["pacemaker.service", "corosync.service", "systemd-logind.service"].map(str::to_owned).to_vec(),
        oom_policy: Some("continue".to_owned()),
        removes_ipc: false,
        uid: 104,
        tmpfiles: ["/run/postgresql".to_owned()].into(),
        bad_parameters: Vec::new(),
        node: Some(Node { version: "17".to_owned(), recovery_template: None, minimal_wal: false }),
    };
    Facts {
        seen: crate::status::healthy(),
        configuration: configuration::read(&cib(), "pgsqld"),
        corosync: Ok(corosync),
        machine: Ok(machine),
        server: Ok(server()),
    }
}

/// A server as the pages and scripts set it up.
fn server() -> Server {
    let conninfo = "host=10.20.30.100 port=5432 user=replicator application_name=srv1 \
         passfile=/var/lib/postgresql/.pgpass connect_timeout=2 keepalives_idle=1";
    let settings = [
        ("hot_standby", "on"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("restart_after_crash", "on"),
        ("recovery_target_timeline", "latest"),
        ("recovery_target", ""),
        ("wal_retrieve_retry_interval", "500"),
        ("wal_sender_timeout", "10000"),
        ("wal_receiver_timeout", "10000"),
        ("superuser_reserved_connections", "3"),
        ("primary_conninfo", conninfo),
        ("cluster_name", "srv1"),
        ("server_version_num", "170012"),
        ("data_checksums", "on"),
        ("wal_log_hints", "on"),
        ("max_wal_senders", "20"),
        ("max_standby_streaming_delay", "30000"),
        ("max_standby_archive_delay", "30000"),
        ("recovery_min_apply_delay", "0"),
        ("listen_addresses", "*"),
        ("unix_socket_directories", "/var/run/postgresql"),
        ("synchronous_standby_names", "ANY 1 (srv1, srv2, srv3)"),
        ("synchronous_commit", "on"),
        ("max_slot_wal_keep_size", "10240"),
        ("wal_keep_size", "256"),
        ("max_wal_size", "256"),
        ("logging_collector", "on"),
        ("log_directory", "/var/log/postgresql"),
        ("data_directory", "/var/lib/postgresql/17/main"),
    ];
    let setting = |value: &str| Setting { value: value.to_owned(), file: Some("/etc/postgresql.conf".to_owned()) };
    let settings: BTreeMap<String, Setting> =
        settings.into_iter().map(|(name, value)| (name.to_owned(), setting(value))).collect();
    Server {
        settings,
        hba: hba(HBA),
        slots: vec![slot("pgsqlms_srv2"), slot("pgsqlms_srv3")],
        passfile: Some(PassFile { path: "/var/lib/postgresql/.pgpass".to_owned(), mode: Some(0o600) }),
        room: Some(Room { free: 10 << 30, segment: 16 << 20 }),
        ..Server::default()
    }
}

/// As the script of the examples writes it.
const HBA: &str = "local all all peer
host replication all samehost reject
host replication replicator 10.20.30.0/255.255.255.0 scram-sha-256
host all all 10.20.30.0/255.255.255.0 scram-sha-256";

/// Lines of pg_hba.conf.
fn hba(text: &str) -> Vec<HbaLine> {
    let line = |(number, line): (usize, &str)| {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (address, mask) = match words.len() {
            5 => words[3].split_once('/').unwrap_or((&words[3], "")),
            _ => ("", ""),
        };
        HbaLine {
            number: (number + 1).to_string(),
            kind: words[0].clone(),
            databases: words[1].split(',').map(str::to_owned).collect(),
            users: words[2].split(',').map(str::to_owned).collect(),
            address: address.to_owned(),
            mask: mask.to_owned(),
            method: words.last().unwrap().clone(),
            error: None,
        }
    };
    text.lines().enumerate().map(line).collect()
}

fn slot(name: &str) -> Slot {
    Slot { name: name.to_owned(), is_active: true, is_physical: true, is_lost: false }
}

/// The names of the findings, and their severity.
fn names(facts: &Facts) -> String {
    let found = examine(facts).mistakes;
    for mistake in &found {
        assert!(!mistake.cure.command.is_empty() && !mistake.text.is_empty() && !mistake.cure.costs.is_empty());
    }
    let names: Vec<String> = found.iter().map(|mistake| format!("{} {}", mistake.severity, mistake.id)).collect();
    names.join(", ")
}

/// Turns each row into a test of its own name: mistake → findings.
macro_rules! planted {
    ($plant:ident; $($name:ident: $given:expr => $expected:expr;)+) => {
        $(
            #[test]
            fn $name() {
                assert_eq!($plant($given), $expected);
            }
        )+
    };
}
use planted;

#[test]
fn a_healthy_cluster_has_no_mistake() {
    let facts = healthy();
    let diagnosis = examine(&facts);
    assert_eq!((names(&facts).as_str(), diagnosis.level), ("", Level::Ok));
    assert!(diagnosis.checked == pgsqlms::rules::doctor::checks().count() && diagnosis.unseen.is_empty());
}
