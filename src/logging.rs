//! Where messages go: as for every OCF agent, to `HA_LOGFILE` or the system log; and the exit reason.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Mutex;

use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use syslog::{BasicLogger, Facility, Formatter3164};

use crate::clock::{Clock, SystemClock};
use crate::env::Environment;

/// The line that Pacemaker shows as the exit reason: the last one on standard error that begins like this
/// (`lib/services/services_linux.c`).
const EXIT_REASON: &str = "ocf-exit-reason:";

/// So much is written to a pipe as a whole (`linux/limits.h`).
const PIPE_BUF: usize = 4096;

/// Sends messages to wherever the environment says.
struct Messages {
    file: Option<Mutex<File>>,
    system: Option<BasicLogger>,
    terminal: bool,
    instance: String,
}

/// Begins logging for the resource `instance`.
///
/// Debug messages are logged if `HA_debug` is 1 or more. Where neither a log file nor a system log can be had,
/// messages go to standard error, which Pacemaker logs.
pub fn begin(environment: &Environment, instance: &str) {
    let file = environment.get("HA_LOGFILE").and_then(|path| File::options().append(true).create(true).open(path).ok());
    let system = system_log(environment);
    let terminal = std::io::stderr().is_terminal() || (file.is_none() && system.is_none());
    let debug = environment.text("HA_debug").is_some_and(|level| level != "0");
    let messages = Messages { file: file.map(Mutex::new), system, terminal, instance: instance.to_owned() };
    if log::set_boxed_logger(Box::new(messages)).is_ok() {
        log::set_max_level(if debug { LevelFilter::Debug } else { LevelFilter::Info });
    }
}

fn system_log(environment: &Environment) -> Option<BasicLogger> {
    let facility = environment.text_of_any(&["HA_LOGFACILITY", "HA_logfacility"]).unwrap_or("daemon");
    if facility == "none" {
        return None;
    }
    let formatter = Formatter3164 {
        facility: facility.parse().unwrap_or(Facility::LOG_DAEMON),
        hostname: None,
        process: "pgsqlms".to_owned(),
        pid: std::process::id(),
    };
    syslog::unix(formatter).ok().map(BasicLogger::new)
}

impl Log for Messages {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with("pgsqlms")
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = one_line(&record.args().to_string());
        let line = format!("({}) {message}", self.instance);
        if let Some(system) = &self.system {
            system.log(&Record::builder().level(record.level()).args(format_args!("{line}")).build());
        }
        if let Some(mut file) = self.file.as_ref().and_then(|file| file.lock().ok()) {
            let (pid, level) = (std::process::id(), level(record.level()));
            let _ = writeln!(file, "pgsqlms({})[{pid}]: {} {level}: {message}", self.instance, now());
        }
        if self.terminal {
            complain(&format!("{}: {line}", level(record.level())));
        }
    }

    fn flush(&self) {}
}

/// The date and time as other agents write them, in UTC: `2026/11/23_09:05:00`.
fn now() -> String {
    let seconds = i64::try_from(SystemClock::start().unix_time()).unwrap_or_default();
    let now = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = now.to_calendar_date();
    let (hour, minute, second) = now.to_hms();
    format!("{year:04}/{:02}/{day:02}_{hour:02}:{minute:02}:{second:02}", u8::from(month))
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug | Level::Trace => "DEBUG",
    }
}

/// What Pacemaker keeps of an exit reason: 128 bytes with the end of the text (`EXIT_REASON_MAX_LEN`).
pub const LONGEST_REASON: usize = 127;

/// Prints the exit reason, which Pacemaker keeps and `crm_mon` shows.
pub fn report_reason(reason: &str) {
    complain(&format!("{EXIT_REASON}{}", shortened(&one_line(reason))));
}

/// Writes a line to standard error if that is read. A closed or full pipe must neither change how an action ends nor hold
/// it up: a pipe that is ready takes `PIPE_BUF` bytes at once (pipe(7)).
fn complain(line: &str) {
    let stderr = std::io::stderr();
    let mut ready = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut ready, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
        let end = (0..=line.len().min(PIPE_BUF - 1)).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
        let _ = stderr.lock().write_all(format!("{}\n", &line[..end]).as_bytes());
    }
}

/// As much as Pacemaker keeps. The whole of it is in the log.
fn shortened(reason: &str) -> String {
    if reason.len() <= LONGEST_REASON {
        return reason.to_owned();
    }
    let end = (0..=LONGEST_REASON - 3).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", &reason[..end])
}

/// Text from outside must not begin a line of its own in a log.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_where_pacemaker_keeps_it() {
        assert_eq!(shortened("short"), "short");
        let long = shortened(&"ä".repeat(100));
        assert_eq!((long.len(), long.ends_with("ä...")), (127, true));
    }

    #[test]
    fn a_message_stays_on_its_line() {
        assert_eq!(one_line("a\nocf-exit-reason:all is well\r\t\u{1b}[0m"), "a ocf-exit-reason:all is well   [0m");
    }
}
