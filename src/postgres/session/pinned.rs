//! The settings that a session of the agent relies on, independently of postgresql.conf, the role and the database.

/// Settings that every role may set, each with the first major version that has it. Serializable transactions are refused by a
/// standby, and `search_path` decides which operators are meant. The agent ends its waits itself; a backend that it has left
/// must not wait for a lock for ever.
const EVERY_ROLE: [(u32, &str); 11] = [
    (0, "default_transaction_isolation=read\\ committed"),
    (0, "default_transaction_read_only=off"),
    (0, "default_transaction_deferrable=off"),
    (0, "statement_timeout=0"),
    (0, "lock_timeout=10s"),
    (0, "idle_in_transaction_session_timeout=0"),
    (0, "search_path="),
    (0, "role=none"),
    (0, "local_preload_libraries="),
    (14, "idle_session_timeout=0"),
    (17, "transaction_timeout=0"),
];

/// Settings that only a superuser may set: what would run in the session, or take note of it. A login event trigger that writes
/// fails on a standby, and one that sleeps keeps all sessions out. `session_preload_libraries` is not among them: where a library is
/// missing, no client gets in either, and the monitor says so.
const SUPERUSER: [(u32, &str); 2] = [(0, "pg_stat_statements.track=none"), (17, "event_triggers=off")];

/// The options for a server of this major version when a session begins. `is_superuser` is a guess: a server refuses a session with
/// an option that its role may not set.
pub(super) fn options(version: u32, is_superuser: bool) -> String {
    let superuser = SUPERUSER.iter().filter(|_| is_superuser);
    let known = EVERY_ROLE.iter().chain(superuser).filter(|(since, _)| *since <= version);
    let options: Vec<String> = known.map(|(_, setting)| format!("-c {setting}")).collect();
    options.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_gets_only_options_that_it_knows() {
        for (version, knows_timeout, knows_triggers) in [(0, false, false), (13, false, false), (17, true, true)] {
            let options = options(version, true);
            assert!(options.starts_with("-c default_transaction_isolation=read\\ committed -c "), "{options}");
            assert_eq!(options.contains("transaction_timeout=0 "), knows_timeout, "{version}: {options}");
            assert_eq!(options.contains("event_triggers=off"), knows_triggers, "{version}: {options}");
        }
    }

    #[test]
    fn another_role_is_not_refused_for_what_it_may_not_set() {
        let options = options(18, false);
        assert!(!options.contains("event_triggers") && !options.contains("pg_stat_statements"), "{options}");
        assert!(options.contains("idle_session_timeout=0") && options.contains("search_path= "), "{options}");
    }
}
