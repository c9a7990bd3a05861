//! A server that lives and does not let the agent in.

use std::fmt;
use std::time::Duration;

use crate::rules::cut_off::Break;

/// Storage that has not answered for this long makes a server dead: monitors have seen it again and again meanwhile.
pub const STORAGE_PATIENCE: Duration = Duration::from_secs(20);

/// What was noted of storage that hangs counts for so long.
const STORAGE_NOTED: Duration = Duration::from_secs(60);

/// Whether storage was found dead, `now`, by what monitors have noted of it: then nothing that is asked to end does so by itself.
pub fn has_dead_storage(noted: Option<Break>, now: Duration) -> bool {
    noted.is_some_and(|noted| {
        let is_recent = noted.seen <= now && now - noted.seen <= STORAGE_NOTED;
        is_recent && noted.lasted() >= STORAGE_PATIENCE
    })
}

/// How a session got no answer from a server that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hang {
    /// How long it was given; no time at all where others wait already.
    pub waited: Duration,
    /// A session waits for a lock before it is let in.
    pub waits_for_lock: bool,
}

/// As many sessions of one database that wait for a lock on a catalog are enough to know that another one would wait, too.
const CROWD: usize = 3;

/// Whether one of the processes with these titles waits for a lock and has not let its client in yet: what it reads then are
/// catalogs.
pub fn waits_for_lock(titles: &[String]) -> bool {
    waiting(titles).next().is_some()
}

/// Whether many of the processes with these titles wait so for the database `postgres`. Each stays until the lock is gone, also
/// when its client is.
pub fn is_crowded(titles: &[String]) -> bool {
    waiting(titles).filter(|database| *database == "postgres").nth(CROWD - 1).is_some()
}

/// The databases of the sessions that wait so; before the end of a title stand the host, the database and the role.
fn waiting(titles: &[String]) -> impl Iterator<Item = &str> {
    titles.iter().filter_map(|title| {
        let mut words = title.strip_suffix(" waiting")?.rsplit(' ');
        let is_entering = matches!(words.next(), Some("startup" | "authentication"));
        words.nth(1).filter(|_| is_entering)
    })
}

/// Whether one of the processes with these titles receives WAL. A server that is not to change titles does not show it.
pub fn streams(titles: &[String]) -> bool {
    titles.iter().any(|title| title.contains("walreceiver streaming "))
}

impl fmt::Display for Hang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.waited.is_zero() {
            return write!(f, "admits no session: sessions wait for a lock on a system catalog");
        }
        write!(f, "did not let the agent in within {:.1} s: ", self.waited.as_secs_f64())?;
        f.write_str(match self.waits_for_lock {
            true => "a session waits for a lock on a system catalog",
            false => "it answers at its socket, but logins or queries are slow",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn enters(title: &str) -> bool {
        waits_for_lock(&["checkpointer".to_owned(), title.to_owned()])
    }

    fn crowded((database, count): (&str, usize)) -> bool {
        is_crowded(&vec![format!("postgres {database} [local] startup waiting"); count])
    }

    table! { crowded;
        two_wait: ("postgres", 2) => false;
        three_wait: ("postgres", 3) => true;
        three_wait_elsewhere: ("app", 3) => false;
    }

    fn streaming(title: &str) -> bool {
        streams(&["checkpointer".to_owned(), title.to_owned()])
    }

    table! { streaming;
        it_receives: "walreceiver streaming 0/3000148" => true;
        it_receives_and_has_a_name: "main: walreceiver streaming 0/3000148" => true;
        it_tries: "walreceiver" => false;
        another_process: "walsender postgres [local] streaming 0/3000148" => false;
    }

    fn dead((noted, now): (&str, u64)) -> bool {
        has_dead_storage(Break::read(noted), Duration::from_secs(now))
    }

    table! { dead;
        it_answers: ("", 100) => false;
        it_has_hung_for_a_moment: ("100000 119000", 120) => false;
        it_hangs: ("100000 120000", 122) => true;
        not_seen_since: ("100000 120000", 181) => false;
        noted_before_the_machine_was_started: ("100000 120000", 5) => false;
    }

    table! { enters;
        at_the_door: "postgres postgres [local] startup waiting" => true;
        with_a_cluster_name: "main: postgres postgres 127.0.0.1(5000) authentication waiting" => true;
        a_slow_login: "postgres postgres [local] startup" => false;
        replay: "startup recovering 000000010000000000000001 waiting" => false;
        inside: "app app [local] UPDATE waiting" => false;
    }
}
