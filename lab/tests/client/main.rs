//! The writer and its checker against real servers, from another network namespace.
//!
//! Needs root, iproute2 and PostgreSQL: `cargo test -p lab --test client -- --ignored`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod server;

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::client::{ClientError, Writer, WriterConfig, compare_nodes, read_rows};
use lab::history::{Difference, History, Outcome, Report};
use server::{Network, Server};

const SOON: Duration = Duration::from_secs(10);

fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn check(network: &Network, server: &Server, history: &History) -> Report {
    let report = history.check(&read_rows(&network.access(), &server.host, SOON).unwrap());
    println!("{report}");
    report
}

/// Waits until commits are acknowledged again.
fn wait_for_commits(writer: &Writer) {
    let (before, started) = (writer.acknowledged(), Instant::now());
    while writer.acknowledged() < before + 20 {
        assert!(started.elapsed() < SOON, "no commit is acknowledged");
        sleep(millis(10));
    }
}

/// Writes for a while, undisturbed.
fn quiet_history(network: &Network, server: &Server) -> History {
    let writer = Writer::start(network.writer(server)).unwrap();
    wait_for_commits(&writer);
    writer.stop().unwrap()
}

#[test]
#[ignore = "needs root and PostgreSQL"]
fn a_killed_postmaster_is_an_outage_and_no_loss() {
    let network = Network::new();
    let mut server = Server::primary(&network, 1);
    let writer = Writer::start(WriterConfig { nodes: vec![server.address()], ..network.writer(&server) }).unwrap();
    wait_for_commits(&writer);
    writer.fault_begins("kill the postmaster");
    let down = Instant::now();
    server.kill();
    sleep(millis(1500));
    server.start();
    let up = down.elapsed();
    writer.fault_ends("started");
    wait_for_commits(&writer);
    let history = writer.stop().unwrap();

    let report = check(&network, &server, &history);
    assert_eq!(report.problems(), Vec::<String>::new());
    let outage = report.outages.longest.unwrap();
    assert!(outage.over && outage.lasted() > millis(1500), "{outage}");
    assert!(outage.lasted() < up + millis(500), "{outage}, but it was back after {up:?}");
    assert_eq!(report.outages.by_mark.len(), 1);
    assert_eq!(report.outages.by_mark[0].outage, Some(outage));
    assert!(report.account.fail > 50, "connections refused during the outage: {}", report.account.fail);
    assert!(!history.beats.is_empty());
    assert_eq!(History::read(&network.journal()).unwrap(), history, "the journal on disk says the same");
}

#[test]
#[ignore = "needs root and PostgreSQL"]
fn a_frozen_server_leaves_commits_open_and_the_clients_alive() {
    let network = Network::new();
    let server = Server::primary(&network, 1);
    let writer = Writer::start(WriterConfig { ack_limit: millis(500), ..network.writer(&server) }).unwrap();
    wait_for_commits(&writer);
    writer.mark("freeze");
    server.signal_all("STOP");
    sleep(millis(3000));
    server.signal_all("CONT");
    wait_for_commits(&writer);
    let history = writer.stop().unwrap();

    let report = check(&network, &server, &history);
    assert!(report.passed());
    assert!(report.account.info >= 2, "one for each client at least: {}", report.account.info);
    let outage = report.outages.longest.unwrap().lasted();
    assert!(outage > millis(2900) && outage < millis(4500), "{outage:?}");
}

#[test]
#[ignore = "needs root and PostgreSQL"]
fn planted_errors_in_the_table_are_found() {
    let network = Network::new();
    let server = Server::primary(&network, 1);
    let history = quiet_history(&network, &server);
    assert!(check(&network, &server, &history).passed());
    let client = history.start.first_client;

    server.sql(&format!("DELETE FROM lab_commits WHERE client = {client} AND seq = 3"));
    let report = check(&network, &server, &history);
    assert_eq!((report.account.lost.to_string(), report.account.gaps), (format!("1 (client {client}: 3)"), 1));

    server.sql("ALTER TABLE lab_commits DROP CONSTRAINT lab_commits_pkey");
    server.sql(&format!("INSERT INTO lab_commits SELECT * FROM lab_commits WHERE client = {client} AND seq = 5"));
    assert_eq!(check(&network, &server, &history).account.twice.to_string(), format!("1 (client {client}: 5)"));

    server.sql(&format!("INSERT INTO lab_commits VALUES ({client}, 1000000)"));
    assert_eq!(check(&network, &server, &history).account.phantom.len(), 1);
}

#[test]
#[ignore = "needs root and PostgreSQL"]
fn commits_that_go_back_in_time_are_found_while_writing() {
    let network = Network::new();
    let server = Server::primary(&network, 1);
    let writer = Writer::start(network.writer(&server)).unwrap();
    wait_for_commits(&writer);
    server.sql("DELETE FROM lab_commits");
    wait_for_commits(&writer);
    let report = check(&network, &server, &writer.stop().unwrap());
    assert!(!report.account.went_back.is_empty());
    assert_eq!(report.account.went_back[0].instance.node, "srv1");
}

#[test]
#[ignore = "needs root and PostgreSQL"]
fn writers_that_follow_each_other_do_not_mix() {
    let network = Network::new();
    let server = Server::primary(&network, 1);
    let first = quiet_history(&network, &server);
    let second = quiet_history(&network, &server);
    assert!(check(&network, &server, &first).passed());
    assert!(check(&network, &server, &second).passed());
}

#[test]
#[ignore = "needs root and PostgreSQL"]
fn two_primaries_are_found() {
    let network = Network::new();
    let (one, two) = (Server::primary(&network, 1), Server::primary(&network, 2));
    drop(quiet_history(&network, &two));
    let nodes = vec![one.address(), two.address()];
    let writer = Writer::start(WriterConfig { nodes, ..network.writer(&one) }).unwrap();
    sleep(millis(1500));
    let history = writer.stop().unwrap();
    let primaries = check(&network, &one, &history).primaries;
    assert!(primaries.witnesses > 10, "{primaries:?}");
    assert!((300..1600).contains(&primaries.dual_writable_ms), "{primaries:?}");
    assert!((300..1600).contains(&primaries.dual_ackable_ms), "{primaries:?}");
}

#[test]
#[ignore = "needs root and PostgreSQL"]
fn a_cancelled_wait_for_a_standby_is_not_acknowledged() {
    let network = Network::new();
    let server = Server::primary(&network, 1);
    let writer = Writer::start(WriterConfig { nodes: vec![server.address()], ..network.writer(&server) }).unwrap();
    wait_for_commits(&writer);
    server.sql("ALTER SYSTEM SET synchronous_standby_names = 'absent'");
    server.sql("SELECT pg_reload_conf()");
    sleep(millis(300));
    let waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    assert!(server.sql(&format!("SELECT count(*) {waiting}")).parse::<u32>().unwrap() >= 2);
    server.sql(&format!("SELECT pg_cancel_backend(pid) {waiting}"));
    sleep(millis(300));
    server.sql("ALTER SYSTEM RESET synchronous_standby_names");
    server.sql("SELECT pg_reload_conf()");
    wait_for_commits(&writer);
    let history = writer.stop().unwrap();

    assert!(check(&network, &server, &history).passed());
    let open: Vec<_> = history.attempts.iter().filter(|attempt| attempt.outcome == Outcome::Info).collect();
    let warned =
        |reason: &Option<String>| reason.as_deref().is_some_and(|text| text.contains("synchronous replication"));
    assert!(open.iter().filter(|attempt| warned(&attempt.reason)).count() >= 2, "{open:?}");
}

#[test]
#[ignore = "needs root and PostgreSQL"]
fn an_endless_wait_for_a_standby_does_not_use_up_the_connections() {
    let network = Network::new();
    let server = Server::primary(&network, 1);
    let limits = WriterConfig { ack_limit: millis(1000), ..network.writer(&server) };
    let writer = Writer::start(WriterConfig { nodes: vec![server.address()], ..limits }).unwrap();
    wait_for_commits(&writer);
    server.sql("ALTER SYSTEM SET synchronous_standby_names = 'absent'");
    server.sql("SELECT pg_reload_conf()");
    sleep(millis(4000));
    let waiting = server.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    assert!(waiting.parse::<u32>().unwrap() < 12, "{waiting}");
    let asked = Instant::now();
    let history = writer.stop().unwrap();
    assert!(asked.elapsed() < millis(2500), "stopping took {:?}", asked.elapsed());
    let report = check(&network, &server, &history);
    assert!(report.passed());
    assert!(!report.outages.longest.unwrap().over);
}

#[test]
#[ignore = "needs root and PostgreSQL"]
fn nodes_are_compared_by_their_rows() {
    let network = Network::new();
    let primary = Server::primary(&network, 1);
    let standby = Server::standby(&network, 2, &primary);
    drop(quiet_history(&network, &primary));
    let nodes = [primary.address(), standby.address()];
    let compare = |limit| compare_nodes(&network.access(), &nodes, limit).unwrap();
    let equal = compare(SOON);
    assert_eq!(equal.differences(), []);
    assert!(equal.states[0].rows >= 20 && equal.states[1].in_recovery, "{equal:?}");

    standby.sql("SELECT pg_wal_replay_pause()");
    primary.sql("DELETE FROM lab_commits WHERE seq = 1");
    assert_eq!(compare(millis(500)).differences(), [Difference::Behind("srv2".to_owned())]);
    standby.sql("SELECT pg_wal_replay_resume()");
    assert_eq!(compare(SOON).differences(), []);

    standby.sql("SELECT pg_promote()");
    let names = vec!["srv1".to_owned(), "srv2".to_owned()];
    assert_eq!(compare(SOON).differences(), [Difference::SeveralPrimaries(names)]);
}

#[test]
#[ignore = "needs root and PostgreSQL"]
fn a_missing_namespace_or_server_is_said_in_one_sentence() {
    let network = Network::new();
    let server = Server::primary(&network, 1);
    let mut config = network.writer(&server);
    config.access.namespace = Some(Path::new("/run/netns/nowhere").to_owned());
    let error = Writer::start(config).unwrap_err();
    assert_eq!(error.to_string(), "cannot use the network namespace /run/netns/nowhere");
    let error = read_rows(&network.access(), "127.0.0.1", millis(300)).unwrap_err();
    assert!(matches!(error, ClientError::Late { .. }), "{error}");
    assert!(error.to_string().starts_with("waited 0.3 s for the rows on 127.0.0.1: error connecting"), "{error}");
}
