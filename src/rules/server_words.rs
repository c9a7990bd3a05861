//! What a server's log says, and what helps.

/// Marks of the lines that say why a server ended, in each language that PostgreSQL speaks (`lc_messages`).
const FATAL: [&str; 16] = [
    "FATAL:",
    "PANIC:",
    "PANIK:",
    "FATALE:",
    "PANICO:",
    "FATALT:",
    "ВАЖНО:",
    "ПАНИКА:",
    "ФАТАЛЬНО:",
    "ПАНІКА:",
    "치명적오류:",
    "손상:",
    "致命错误:",
    "比致命错误还过分的错误:",
    "ფატალური:",
    "პანიკა:",
];

/// Marks of other lines.
const OTHERS: [&str; 17] = [
    "ERROR:",
    "LOG:",
    "FEHLER:",
    "ERREUR:",
    "ERRORE:",
    "FEL:",
    "LOGG:",
    "ОШИБКА:",
    "СООБЩЕНИЕ:",
    "ПОМИЛКА:",
    "ЗАПИСУВАННЯ:",
    "오류:",
    "로그:",
    "错误:",
    "日志:",
    "შეცდომა:",
    "ჟურნალი:",
];

/// Marks of the line with the detail of the message before it, such as which setting it is about.
const DETAIL: [&str; 11] = [
    "DETAIL:",
    "DETALLE:",
    "DÉTAIL:",
    "DETTAGLI:",
    "DETALJ:",
    "詳細:",
    "დეტალები:",
    "상세정보:",
    "ПОДРОБНОСТИ:",
    "ВІДОМОСТІ:",
    "详细信息:",
];

/// The last that a server says on its standard error, with `log_destination = 'syslog'`.
const TO_SYSLOG: &str = "Future log output will go to log destination \"syslog\"";

/// The message to a client that comes too early or too late: the server does not end for it.
const TO_CLIENT: &str = "the database system is ";

/// The most informative message of a server in these logs: its first fatal message with its detail, or else its last one; without
/// what `log_line_prefix` puts before it.
pub fn main_message(logs: &[String]) -> Option<String> {
    let lines: Vec<&str> = logs.iter().flat_map(|log| log.lines()).collect();
    let is_fatal = |line: &&str| FATAL.iter().any(|mark| line.contains(mark)) && !message(line).starts_with(TO_CLIENT);
    let Some(at) = lines.iter().position(is_fatal) else {
        // Without a severity it is not the server that speaks but what comes before it, and that says it at once.
        if lines.iter().any(|line| line.contains(TO_SYSLOG)) {
            return Some("see the system log, where it has written why (log_destination)".to_owned());
        }
        let severe = lines.iter().rev().find(|line| message(line) != **line);
        return severe.or(lines.first()).map(|line| message(line).to_owned());
    };
    // "configuration file … contains errors": the line before says which.
    let vague = lines[at].ends_with("contains errors");
    if let Some(cause) = lines[..at].iter().rev().find(|line| vague && line.contains("LOG:")) {
        return Some(message(cause).to_owned());
    }
    let detail_in = |line: &&str| DETAIL.iter().find_map(|mark| Some(line.split_once(mark)?.1.trim().to_owned()));
    let detail = lines.get(at + 1).and_then(detail_in);
    let fatal = message(lines[at]);
    Some(detail.map_or_else(|| fatal.to_owned(), |detail| format!("{fatal}: {detail}")))
}

/// Parts of the messages that a walreceiver ends with (`src/backend/replication/walreceiver.c`, `libpqwalreceiver.c`).
const RECEIVER: [&str; 9] = [
    "primary server",
    "WAL stream",
    "WAL streaming",
    "streaming WAL",
    "the primary",
    "timeline history file",
    "log file segment",
    "write-ahead log",
    // Where it cannot write what it has received.
    "\"pg_wal/",
];

/// The last reason for which a standby does not receive WAL, in its log.
pub fn receiver_error(log: &str) -> Option<String> {
    let of_receiver = |line: &&str| {
        FATAL.iter().any(|mark| line.contains(mark)) && RECEIVER.iter().any(|part| message(line).contains(part))
    };
    // From PostgreSQL 16 on it introduces itself: `streaming replication receiver "srv2" could not …`.
    let brief = |message: &str| match message.split_once("streaming replication receiver \"") {
        Some(("", rest)) => rest.split_once("\" ").map_or(message, |(_, said)| said).to_owned(),
        _ => message.to_owned(),
    };
    log.lines().rev().find(of_receiver).map(|line| brief(message(line)))
}

/// A line without what comes before its message.
fn message(line: &str) -> &str {
    let marks = FATAL.iter().chain(&OTHERS);
    // Of two that end at the same place the longer one counts: a mark may be the end of another one.
    let found = marks.filter_map(|mark| line.find(mark).map(|at| (at + mark.len(), at)));
    let found = found.min().map(|(end, at)| (at, end));
    found.map_or(line, |(_, end)| &line[end..]).trim()
}

/// What is wrong with a machine, by a part of the operating system's message; and what helps.
const REMEDIES: [(&str, &str); 6] = [
    // They come first: it is not the disk that has no space left.
    ("create semaphores", "the kernel's limits for semaphores (kernel.sem) are too small"),
    ("shared memory", "see the kernel's limits for shared memory, and /dev/shm"),
    ("No space left on device", "No space left on device: free some, then `pcs resource cleanup`"),
    ("Disk quota exceeded", "Disk quota exceeded: raise it or free space, then `pcs resource cleanup`"),
    (
        "Read-only file system",
        "Read-only file system: see the kernel's log, repair and remount it, then `pcs resource cleanup`",
    ),
    ("Input/output error", "Input/output error: see the kernel's log and the disk, then `pcs resource cleanup`"),
];

/// A failure's text with what helps before it, where it is the machine that fails and not PostgreSQL.
pub fn with_remedy(text: String) -> String {
    if text.contains("global/pg_control: No such file") {
        return format!("is the data directory's file system mounted? {text}");
    }
    match REMEDIES.iter().find(|(part, _)| text.contains(part)) {
        Some((_, remedy)) => format!("{remedy} ({text})"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn main(log: &str) -> Option<String> {
        main_message(&[log.to_owned()])
    }

    fn said(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    table! { main;
        nothing: "" => None;
        prefixes_are_left_out: "2026-11-23 02:11:44.765 UTC [26553] FATAL:  could not bind\nLOG:  shut down" => said("could not bind");
        the_first_fatal_counts: "LOG:  a\nPANIC:  b\nFATAL:  c" => said("b");
        a_message_to_a_client_does_not_count:
            "x FATAL:  the database system is starting up\nx FATAL:  requested timeline 3 is not a child" => said("requested timeline 3 is not a child");
        its_detail_belongs_to_it:
            "p FATAL:  recovery aborted\np DETAIL:  max_connections = 100 is a lower setting.\np HINT:  h\np LOG:  DETAIL: x"
            => said("recovery aborted: max_connections = 100 is a lower setting.");
        none_is_fatal: "x LOG:  a\ny LOG:  b" => said("b");
        of_a_broken_configuration_the_line_counts:
            "LOG:  syntax error in file \"p.conf\" line 8\nFATAL:  configuration file \"p.conf\" contains errors"
            => said("syntax error in file \"p.conf\" line 8");
        run_by_root: "\"root\" execution is not permitted.\nSee the documentation." => said("\"root\" execution is not permitted.");
        in_german: "x FATAL:  falsche Zeitleiste\nx DETAIL:  mehr" => said("falsche Zeitleiste: mehr");
        in_russian: "x СООБЩЕНИЕ:  a\nx ВАЖНО:  b\nx ПОДРОБНОСТИ:  c" => said("b: c");
        in_chinese: "x 日志:  a\nx 比致命错误还过分的错误:  b\nx 详细信息:  c" => said("b: c");
        to_the_system_log:
            "LOG:  ending log output to stderr\nHINT:  Future log output will go to log destination \"syslog\"."
            => said("see the system log, where it has written why (log_destination)");
        another_format: "{\"message\":\"x\"}" => said("{\"message\":\"x\"}");
    }

    table! { receiver_error;
        no_route: "p FATAL:  could not connect to the primary server: timeout\np LOG:  waiting for WAL to become available at 0/5"
            => said("could not connect to the primary server: timeout");
        no_route_by_name: "p FATAL:  streaming replication receiver \"srv2\" could not connect to the primary server: timeout"
            => said("could not connect to the primary server: timeout");
        removed: "FATAL:  could not receive data from WAL stream: ERROR:  requested WAL segment 000000010000000000000003 has already been removed"
            => said("could not receive data from WAL stream: ERROR:  requested WAL segment 000000010000000000000003 has already been removed");
        the_last_one: "FATAL:  highest timeline 1 of the primary is behind recovery timeline 2\nFATAL:  could not start WAL streaming: ERROR:  replication slot \"s\" does not exist"
            => said("could not start WAL streaming: ERROR:  replication slot \"s\" does not exist");
        clients_are_none_of_it: "FATAL:  role \"x\" does not exist\nFATAL:  the database system is starting up" => None;
        it_cannot_write: "FATAL:  could not write to file \"pg_wal/xlogtemp.42\": No space left on device"
            => said("could not write to file \"pg_wal/xlogtemp.42\": No space left on device");
        terminated_by_hand: "FATAL:  terminating walreceiver process due to administrator command" => None;
    }

    fn begins(text: &str) -> String {
        with_remedy(text.to_owned()).split([':', '(']).next().unwrap_or_default().trim().to_owned()
    }

    table! { begins;
        full: "PostgreSQL did not start: could not write lock file: No space left on device" => "No space left on device";
        quota: "cannot create /d/standby.signal: Disk quota exceeded (os error 122)" => "Disk quota exceeded";
        read_only: "cannot create /d/standby.signal: Read-only file system (os error 30)" => "Read-only file system";
        broken: "could not fsync file \"base/1\": Input/output error" => "Input/output error";
        semaphores_are_no_disk: "could not create semaphores: No space left on device" => "the kernel's limits for semaphores";
        shared_memory_is_no_disk: "could not resize shared memory segment \"/PostgreSQL.1\" to 8 bytes: No space left on device"
            => "see the kernel's limits for shared memory, and /dev/shm";
        not_mounted: "cannot read /d/global/pg_control: No such file or directory" => "is the data directory's file system mounted? cannot read /d/global/pg_control";
        anything_else: "PostgreSQL did not start: syntax error" => "PostgreSQL did not start";
    }
}
