//! What a shutdown that takes long is waiting for.

/// A clean shutdown ends when the shutdown checkpoint is written, every standby has it, and the WAL is archived
/// (`PostmasterStateMachine`, `src/backend/postmaster/postmaster.c`).
const AWAITED: [&str; 3] = ["checkpointer", "walsender", "archiver"];

/// The most processes that are listed.
const MOST: usize = 5;

/// What a server is waiting for that shuts down and whose processes have these titles, in one line.
pub fn waits_for(titles: &[String]) -> String {
    let is_awaited = |title: &&String| title.split(' ').any(|word| AWAITED.contains(&word));
    let awaited: Vec<&String> = titles.iter().filter(is_awaited).collect();
    let listed: Vec<&str> = if awaited.is_empty() {
        titles.iter().map(String::as_str).collect()
    } else {
        awaited.iter().map(|title| title.as_str()).collect()
    };
    match listed.len() {
        0 => "no process says what it is doing".to_owned(),
        all if all > MOST => format!("waits for {} and {} more", listed[..MOST].join(", "), all - MOST),
        _ => format!("waits for {}", listed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn waits(titles: &[&str]) -> String {
        waits_for(&titles.iter().map(|title| (*title).to_owned()).collect::<Vec<_>>())
    }

    table! { waits;
        a_standby_that_takes_in_nothing: &["walsender replicator 10.0.0.2(5000) streaming 0/3000060", "logger"]
            => "waits for walsender replicator 10.0.0.2(5000) streaming 0/3000060";
        an_archive_that_is_full: &["logger", "17/main: archiver failed on 000000010000000000000003"]
            => "waits for 17/main: archiver failed on 000000010000000000000003";
        the_checkpoint: &["checkpointer", "background writer"] => "waits for checkpointer";
        a_client_that_does_not_end: &["app shop 10.0.0.9(6000) COPY", "logger"] => "waits for app shop 10.0.0.9(6000) COPY, logger";
        a_role_called_like_a_process: &["archivers shop [local] idle"] => "waits for archivers shop [local] idle";
        nothing_but_a_postmaster: &[] => "no process says what it is doing";
        five: &["a", "b", "c", "d", "e"] => "waits for a, b, c, d, e";
        a_crowd: &["a", "b", "c", "d", "e", "f", "g"] => "waits for a, b, c, d, e and 2 more";
    }
}
