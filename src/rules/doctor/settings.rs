//! PostgreSQL's settings.

use super::Severity::{Failure, Hint, Warning};
use super::{Check, Facts, Found, Server, found, found_if, served};

pub(super) const CHECKS: [Check; 14] = [
    served(
        "hot-standby",
        Failure,
        "`hot_standby` is off: the agent cannot ask a standby, and does not promote it.",
        hot_standby,
    ),
    served("fsync", Failure, "`fsync` is off: a power cut destroys the data.", fsync),
    served(
        "full-page-writes",
        Failure,
        "`full_page_writes` is off: a power cut destroys data, and `pg_rewind` refuses.",
        full_page_writes,
    ),
    served("restart-after-crash", Warning, "The server stays down when a backend crashes.", restart_after_crash),
    served("recovery-target", Failure, "A recovery target keeps a standby from following.", recovery_target),
    served(
        "retry-interval",
        Hint,
        "A standby whose connection breaks waits long before it tries again.",
        retry_interval,
    ),
    served("wal-timeouts", Hint, "A broken replication connection is noticed late.", wal_timeouts),
    served(
        "reserved-connections",
        Warning,
        "Clients can take the last connection, and the agent gets in no more.",
        reserved_connections,
    ),
    served(
        "rewind-hints",
        Failure,
        "There are neither checksums nor hints in the WAL: `pg_rewind` refuses.",
        rewind_hints,
    ),
    served("wal-senders", Warning, "There are too few WAL senders for all standbys and a base backup.", wal_senders),
    served("standby-delay", Warning, "Queries of a standby may hold up its promotion for ever.", standby_delay),
    served("apply-delay", Hint, "A delayed standby has much to replay when it is promoted.", apply_delay),
    served(
        "listen-addresses",
        Failure,
        "PostgreSQL listens on no address: no standby can follow it.",
        listen_addresses,
    ),
    served("start-conf", Warning, "Debian's unit `postgresql` starts the database beside Pacemaker.", start_conf),
];

/// What is found where a setting must have another value.
fn wrong(text: impl Into<String>, setting: &str, value: &str, is_restart: bool) -> Found {
    let effect = match is_restart {
        true => "on each node; takes effect when PostgreSQL is restarted",
        false => "on each node; then `SELECT pg_reload_conf()`",
    };
    found(text, format!("ALTER SYSTEM SET {setting} = '{value}'"), effect)
}

fn hot_standby(_: &Facts, it: &Server) -> Vec<Found> {
    found_if(it.is_off("hot_standby"), || {
        wrong("hot_standby is off: a standby cannot be asked, and is not promoted", "hot_standby", "on", true)
    })
}

fn fsync(_: &Facts, it: &Server) -> Vec<Found> {
    found_if(it.is_off("fsync"), || wrong("fsync is off: a power cut destroys the data", "fsync", "on", false))
}

fn full_page_writes(_: &Facts, it: &Server) -> Vec<Found> {
    found_if(it.is_off("full_page_writes"), || {
        let text = "full_page_writes is off: a power cut destroys data, and pg_rewind refuses to work";
        wrong(text, "full_page_writes", "on", false)
    })
}

fn restart_after_crash(_: &Facts, it: &Server) -> Vec<Found> {
    found_if(it.is_off("restart_after_crash"), || {
        let text = "restart_after_crash is off: one crashed backend ends the server, and Pacemaker must fail over";
        wrong(text, "restart_after_crash", "on", false)
    })
}

fn recovery_target(_: &Facts, it: &Server) -> Vec<Found> {
    let names = ["", "_name", "_time", "_xid", "_lsn"].map(|end| format!("recovery_target{end}"));
    let set = names.iter().filter(|name| !it.setting(name).is_empty()).map(|name| (name.as_str(), ""));
    let line = Some(("recovery_target_timeline", "latest"));
    let line = line.filter(|(name, latest)| !matches!(it.setting(name), "" | "latest") && !latest.is_empty());
    let describe = |(name, value): (&str, &str)| {
        let text = format!("{name} is {}: a standby ends there, and does not follow a promoted node", it.setting(name));
        wrong(text, name, value, true)
    };
    set.chain(line).map(describe).collect()
}

fn retry_interval(_: &Facts, it: &Server) -> Vec<Found> {
    let long = it.number("wal_retrieve_retry_interval").filter(|interval| *interval >= 5000);
    let describe = |interval| {
        let text = format!(
            "wal_retrieve_retry_interval is {interval} ms: so long commits may wait for a standby that lost its connection"
        );
        wrong(text, "wal_retrieve_retry_interval", "500ms", false)
    };
    long.map(describe).into_iter().collect()
}

fn wal_timeouts(_: &Facts, it: &Server) -> Vec<Found> {
    let names = ["wal_sender_timeout", "wal_receiver_timeout"];
    let long = names.into_iter().filter(|name| it.number(name).is_some_and(|time| time == 0 || time > 30_000));
    let describe = |name: &str| {
        let text =
            format!("{name} is {} ms: so long a broken connection is not noticed (0 is for ever)", it.setting(name));
        wrong(text, name, "10s", false)
    };
    long.map(describe).collect()
}

fn reserved_connections(_: &Facts, it: &Server) -> Vec<Found> {
    found_if(it.number("superuser_reserved_connections") == Some(0), || {
        let text =
            "superuser_reserved_connections is 0: clients can take the last connection, and the agent is kept out";
        wrong(text, "superuser_reserved_connections", "3", true)
    })
}

fn rewind_hints(facts: &Facts, it: &Server) -> Vec<Found> {
    let wants = facts.configuration.as_ref().is_ok_and(|it| it.parameter("rejoin") == Some("rewind"));
    found_if(wants && it.is_off("data_checksums") && it.is_off("wal_log_hints"), || {
        let text = "rejoin=rewind, and there are neither data checksums nor wal_log_hints: pg_rewind refuses";
        wrong(text, "wal_log_hints", "on", true)
    })
}

fn wal_senders(facts: &Facts, it: &Server) -> Vec<Found> {
    let Ok(configuration) = &facts.configuration else { return Vec::new() };
    // One for each other node, one for a base backup, and one to spare.
    let least = configuration.homes().len() + 1;
    let few = it.number("max_wal_senders").filter(|most| usize::try_from(*most).is_ok_and(|most| most < least));
    let describe = |most| {
        let text = format!("max_wal_senders is {most}: all standbys, a base backup and one more need {least}");
        wrong(text, "max_wal_senders", "10", true)
    };
    few.map(describe).into_iter().collect()
}

fn standby_delay(_: &Facts, it: &Server) -> Vec<Found> {
    let names = ["max_standby_streaming_delay", "max_standby_archive_delay"];
    let endless = names.into_iter().filter(|name| it.number(name) == Some(-1));
    let describe = |name: &str| {
        let text = format!("{name} is -1: a query on a standby holds up replay, and a promotion, for ever");
        wrong(text, name, "30s", false)
    };
    endless.map(describe).collect()
}

fn apply_delay(_: &Facts, it: &Server) -> Vec<Found> {
    let delay = it.number("recovery_min_apply_delay").filter(|delay| *delay > 0);
    let describe = |delay| {
        let seconds = delay / 1000;
        let text = format!("recovery_min_apply_delay is {seconds} s: a promotion must first replay what was held back");
        wrong(text, "recovery_min_apply_delay", "0", false)
    };
    delay.map(describe).into_iter().collect()
}

fn listen_addresses(_: &Facts, it: &Server) -> Vec<Found> {
    let addresses = it.setting("listen_addresses");
    let is_local = |address: &str| matches!(address.trim(), "" | "localhost" | "127.0.0.1" | "::1");
    found_if(it.settings.contains_key("listen_addresses") && addresses.split(',').all(is_local), || {
        let text = format!("listen_addresses is {addresses:?}: no other node can connect, and no standby can follow");
        wrong(text, "listen_addresses", "*", true)
    })
}

fn start_conf(_: &Facts, it: &Server) -> Vec<Found> {
    let started = it.start_conf.as_ref().filter(|(_, word)| word == "auto");
    let describe = |(path, _): &(String, String)| {
        found(
            format!("{path} says auto: the unit postgresql starts the database beside Pacemaker"),
            format!("echo manual >{path}"),
            "stops nothing",
        )
    };
    started.map(describe).into_iter().collect()
}
