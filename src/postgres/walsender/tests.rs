use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::rules::table;

const NEED: Need = Need { system: SystemId(7), timeline: Timeline(3), segment: Lsn(0x0300_0000) };

/// A message of the server.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind], &length[..], body].concat()
}

fn error(sqlstate: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0C{sqlstate}\0Mit says so\0\0").as_bytes())
}

fn row(value: &str) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap().to_be_bytes();
    message(b'D', &[&[0, 1], &length[..], value.as_bytes()].concat())
}

const READY: &[u8] = b"Z\0\0\0\x05I";
const AUTHENTICATED: &[u8] = b"R\0\0\0\x08\0\0\0\0";

/// What a client has sent, up to one message: without its kind the first one.
fn heard(client: &mut TcpStream, first: bool) -> Option<String> {
    let mut head = [0; 5];
    let head = if first { &mut head[1..] } else { &mut head[..] };
    client.read_exact(head).ok()?;
    let length = head[head.len() - 4..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let mut body = vec![0; length - 4];
    client.read_exact(&mut body).ok()?;
    Some(String::from_utf8_lossy(&body).into_owned())
}

/// Longer than any server here takes, however busy the machine is.
const LONG: Duration = Duration::from_secs(60);

/// What comes of a server that answers so to the login, to IDENTIFY_SYSTEM, to the question for its role and to START_REPLICATION.
fn asked(replies: &[Vec<u8>]) -> (PrimaryWal, Vec<String>) {
    asked_within(LONG, replies)
}

/// The same. Where no answer is left the server keeps silent for ever.
fn asked_within(patience: Duration, replies: &[Vec<u8>]) -> (PrimaryWal, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let replies = replies.to_vec();
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut said = vec![heard(&mut client, true).unwrap()];
        for reply in replies {
            client.write_all(&reply).unwrap();
            said.extend(heard(&mut client, false));
        }
        // Until the client has had enough.
        let _ = client.read(&mut [0; 100]);
        said
    });
    let conninfo = format!("host=127.0.0.1 port={port} user=rep").parse().unwrap();
    let asking = Asking { conninfo: &conninfo, password: None, account: "postgres", home: Path::new("/nowhere") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = ask(&runtime, &asking, NEED, patience);
    (answer, server.join().unwrap())
}

fn welcome(in_hot_standby: &str) -> Vec<u8> {
    let status = message(b'S', format!("in_hot_standby\0{in_hot_standby}\0").as_bytes());
    [AUTHENTICATED, &status, READY].concat()
}

fn identity() -> Vec<u8> {
    [&row("7"), READY].concat()
}

fn answered(last: Vec<u8>) -> PrimaryWal {
    asked(&[welcome("off"), identity(), last]).0
}

fn is_unknown(last: Vec<u8>) -> bool {
    matches!(answered(last), PrimaryWal::Unknown(_))
}

const COPY_BOTH: &[u8] = b"W\0\0\0\x07\0\0\0";

table! { answered;
    wal: [COPY_BOTH, &message(b'd', b"w123")].concat() => PrimaryWal::Held;
    wal_after_a_sign_of_life: [COPY_BOTH, &message(b'd', b"k12"), &message(b'd', b"w1")].concat() => PrimaryWal::Held;
    removed: [COPY_BOTH, &error("58P01")].concat() => PrimaryWal::Removed;
}

table! { is_unknown;
    another_error: [COPY_BOTH, &error("XX000")].concat() => true;
    the_end_of_a_timeline: [&row("4"), READY].concat() => true;
    another_protocol: b"HTTP/1.1 400 Bad Request".to_vec() => true;
}

fn is_not_waited_for(replies: &[Vec<u8>]) -> bool {
    matches!(asked_within(Duration::from_millis(700), replies).0, PrimaryWal::Unknown(why) if why.contains("no answer within"))
}

table! { is_not_waited_for;
    nothing_but_signs_of_life: &[welcome("off"), identity(), [COPY_BOTH, &message(b'd', b"k12")].concat()] => true;
    silence: &[welcome("off"), identity(), Vec::new()] => true;
    half_a_message: &[vec![1; 4]] => true;
}

#[test]
fn it_is_asked_as_a_wal_receiver_asks_and_under_the_name_of_no_node() {
    let (_, said) = asked(&[welcome("off"), identity(), error("58P01")]);
    assert!(said[0].contains("user\0rep\0") && said[0].contains("replication\0true\0"), "{said:?}");
    assert!(said[0].contains("application_name\0pgsqlms asks "), "{said:?}");
    assert_eq!(said[1..3], ["IDENTIFY_SYSTEM\0", "START_REPLICATION PHYSICAL 0/3000000 TIMELINE 3\0"]);
}

#[test]
fn who_is_not_let_in_learns_nothing() {
    for reply in [error("58P01"), b"R\0\0\0\x08\0\0\0\x03".to_vec(), b"R\0\0\0\x08\0\0\0\x07".to_vec()] {
        assert!(matches!(asked(&[reply]).0, PrimaryWal::Unknown(_)));
    }
}

#[test]
fn another_database_and_a_standby_are_recognised() {
    let other = [&row("8"), READY].concat();
    assert_eq!(asked(&[welcome("off"), other]).0, PrimaryWal::OtherDatabase);
    assert!(matches!(asked(&[welcome("on"), identity(), error("58P01")]).0, PrimaryWal::Unknown(_)));
    // Before PostgreSQL 14.
    let silent = || [AUTHENTICATED, READY].concat();
    let read_only = |value| [&row(value), READY].concat();
    assert_eq!(asked(&[silent(), identity(), read_only("off"), error("58P01")]).0, PrimaryWal::Removed);
    assert!(matches!(asked(&[silent(), identity(), read_only("on"), error("58P01")]).0, PrimaryWal::Unknown(_)));
}

#[test]
fn where_tls_is_wanted_nothing_is_sent_without_it() {
    let conninfo = "host=127.0.0.1 port=1 sslmode=verify-full".parse().unwrap();
    assert!(needs_tls(&conninfo));
    assert!(!needs_tls(&"sslmode=prefer".parse().unwrap()));
}

/// The result with a server that answers so to IDENTIFY_SYSTEM.
fn identified(replies: Vec<Vec<u8>>) -> Result<Identity, String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let conninfo = format!("host=127.0.0.1 port={} user=rep", listener.local_addr().unwrap().port()).parse().unwrap();
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let _ = heard(&mut client, true);
        for reply in replies {
            client.write_all(&reply).unwrap();
            let _ = heard(&mut client, false);
        }
    });
    let asking = Asking { conninfo: &conninfo, password: None, account: "postgres", home: Path::new("/nowhere") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = identify(&runtime, &asking, LONG);
    server.join().unwrap();
    answer
}

#[test]
fn an_instance_says_who_it_is() {
    let column = |value: &str| [&u32::try_from(value.len()).unwrap().to_be_bytes()[..], value.as_bytes()].concat();
    let columns = [column("7"), column("9"), column("0/6000168"), vec![255; 4]].concat();
    let identity = [message(b'D', &[&[0, 4][..], &columns].concat()), READY.to_vec()].concat();
    let names = [row("ANY 1 (srv1, srv2)"), READY.to_vec()].concat();
    let expected = Identity {
        system: Some(SystemId(7)),
        timeline: Some(Timeline(9)),
        lsn: Some(Lsn(0x600_0168)),
        in_recovery: Some(true),
        synchronous: Some("ANY 1 (srv1, srv2)".to_owned()),
    };
    assert_eq!(identified(vec![welcome("on"), identity, names]), Ok(expected));
    assert_eq!(identified(vec![error("57P03")]), Err("it says so".to_owned()));
}
