//! Finds in the journals when each step of a switchover or a failover was done.

use anyhow::{Context, Result};

use super::story::Step;
use crate::journal::{AGENT, Entry};
use crate::lab::{RESOURCE, VIP_RESOURCE};

/// The journals of all nodes since something was done to the cluster.
#[derive(Debug)]
pub(super) struct Journals(pub(super) Vec<Entry>);

impl Journals {
    /// The steps of a switchover, in the order of time.
    pub(super) fn switchover(&self, old: &str, new: &str) -> Result<Vec<Step>> {
        sorted(vec![
            self.done("demote", RESOURCE, old, format!("{old} demoted: it runs as a standby"))?,
            self.done("stop", VIP_RESOURCE, old, format!("the virtual address has left {old}"))?,
            self.elected(new)?,
            self.done("promote", RESOURCE, new, format!("{new} promoted"))?,
            self.done("start", VIP_RESOURCE, new, format!("{new} has the virtual address"))?,
        ])
    }

    /// The steps of a failover, in the order of time.
    pub(super) fn failover(&self, old: &str, new: &str) -> Result<Vec<Step>> {
        sorted(vec![
            self.state(old, "lost", format!("detected: {old} has left the membership"))?,
            self.fenced(old)?,
            self.elected(new)?,
            self.done("promote", RESOURCE, new, format!("{new} promoted"))?,
            self.done("start", VIP_RESOURCE, new, format!("{new} has the virtual address"))?,
        ])
    }

    /// The steps of a node's return, in the order of time.
    pub(super) fn comeback(&self, node: &str) -> Result<Vec<Step>> {
        let mut started =
            self.done("start", RESOURCE, node, format!("{node} has started PostgreSQL; its agent said:"))?;
        let words = self.words(node).filter(|entry| entry.at <= started.at);
        let mut words: Vec<String> = words.map(|entry| entry.text().to_owned()).collect();
        words.dedup();
        started.what.extend(words);
        sorted(vec![self.state(node, "member", format!("{node} is a member again"))?, started])
    }

    /// The agent's last log line on a node about synchronous commits.
    pub(super) fn promise(&self, node: &str) -> Option<String> {
        let said = self.words(node).map(|entry| entry.text().to_owned());
        said.filter(|message| message.starts_with("synchronous replication: ")).last()
    }

    /// Pacemaker asked for an operation, and it succeeded.
    fn done(&self, operation: &str, resource: &str, node: &str, what: String) -> Result<Step> {
        let start = format!("Result of {operation} operation for {resource} on {node}: ");
        self.find(&what, "pacemaker-controld", |entry| {
            let result = entry.text().strip_prefix(&start)?.to_lowercase();
            let ok = result.starts_with("ok") || result.starts_with("0 (ok");
            ok.then(|| Step::new(entry.at, &what))
        })
    }

    fn state(&self, node: &str, state: &str, what: String) -> Result<Step> {
        let wanted = format!("Node {node} state is now {state}");
        self.find(&what, "pacemaker-controld", |entry| {
            (entry.node != node && entry.text() == wanted).then(|| Step::new(entry.at, &what))
        })
    }

    fn fenced(&self, node: &str) -> Result<Step> {
        self.find(&format!("{node} fenced"), "pacemaker-fenced", |entry| {
            let message = entry.text();
            let (_, rest) = message.split_once(&format!(" targeting {node} "))?;
            // Pacemaker 2.0 says `on`.
            let by = rest.strip_prefix("by ").or_else(|| rest.strip_prefix("on "))?.split_whitespace().next()?;
            let ok = message.starts_with("Operation '") && rest.contains(": OK");
            ok.then(|| Step::new(entry.at, format!("{node} fenced by {by}")))
        })
    }

    fn elected(&self, node: &str) -> Result<Step> {
        self.find(&format!("{node} won the election"), AGENT, |entry| {
            let votes = entry.text().strip_prefix("won the election: ").filter(|_| entry.node == node)?;
            let mut step = Step::new(entry.at, format!("{node} won the election:"));
            step.what.extend(ballots(votes));
            Some(step)
        })
    }

    fn words(&self, node: &str) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(move |entry| entry.node == node && entry.program == AGENT)
    }

    fn find(&self, what: &str, program: &str, wanted: impl Fn(&Entry) -> Option<Step>) -> Result<Step> {
        let by_program = self.0.iter().filter(|entry| entry.program == program);
        by_program.filter_map(wanted).next().with_context(|| format!("no node's journal says `{what}`"))
    }
}

fn sorted(mut steps: Vec<Step>) -> Result<Vec<Step>> {
    steps.sort_by_key(|step| step.at);
    Ok(steps)
}

/// `srv1 (3#83894920 received=... history=...), srv2 (no vote)` in a line for each node.
fn ballots(votes: &str) -> Vec<String> {
    votes
        .split_inclusive(')')
        .map(|one| one.trim_start_matches(", "))
        .map(|one| ballot(one).unwrap_or(one.to_owned()))
        .collect()
}

fn ballot(vote: &str) -> Option<String> {
    let (node, holds) = vote.strip_suffix(')')?.split_once(" (")?;
    let Some((timeline, lsn)) = holds.split_whitespace().next()?.split_once('#') else {
        return Some(format!("{node}: {holds}"));
    };
    let lsn: u64 = lsn.parse().ok()?;
    Some(format!("{node} holds WAL up to {:X}/{:X} on timeline {timeline}", lsn >> 32, lsn & 0xffff_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `seconds node program message`, as the nodes have written them.
    fn journals(lines: &str) -> Journals {
        let entry = |line: &str| {
            let mut words = line.trim().splitn(4, ' ');
            let mut word = || words.next().unwrap().to_owned();
            Entry { at: word().parse().unwrap(), node: word(), program: word(), message: word() }
        };
        Journals(lines.trim().lines().map(entry).collect())
    }

    fn texts(steps: &[Step]) -> Vec<String> {
        steps.iter().map(|step| format!("{} {}", step.at, step.what.join(" | "))).collect()
    }

    #[test]
    fn steps_of_a_switchover() {
        let journals = journals(
            "10 srv1 pacemaker-controld notice: Requesting local execution of demote operation for pgsqld on srv1
             11 srv1 pgsqlms (pgsqld) started as a standby
             12 srv1 pacemaker-controld notice: Result of demote operation for pgsqld on srv1: OK
             14 srv1 pacemaker-controld notice: Result of stop operation for pgsql-vip on srv1: OK
             16 srv2 pgsqlms (pgsqld) won the election: srv1 (no vote), srv2 (2#83894600 received=0/5002148 history=1@0/50000A0,2)
             17 srv2 pacemaker-controld notice: Result of promote operation for pgsqld on srv2: OK
             18 srv2 pacemaker-controld notice: Result of start operation for pgsql-vip on srv2: OK",
        );
        let expected = [
            "12 srv1 demoted: it runs as a standby",
            "14 the virtual address has left srv1",
            "16 srv2 won the election: | srv1: no vote | srv2 holds WAL up to 0/5002148 on timeline 2",
            "17 srv2 promoted",
            "18 srv2 has the virtual address",
        ];
        assert_eq!(texts(&journals.switchover("srv1", "srv2").unwrap()), expected);
    }

    #[test]
    fn steps_of_a_failover_by_an_older_pacemaker() {
        let journals = journals(
            "10 srv1 pacemaker-controld  notice: Node srv2 state is now lost
             11 srv1 pacemaker-fenced  notice: Operation 'reboot' [899] targeting srv2 using fence-srv2 returned 0
             12 srv3 pacemaker-fenced  notice: Operation 'reboot' targeting srv2 by srv1 for pacemaker-controld.283@srv1: OK (complete)
             14 srv3 pgsqlms (pgsqld) won the election: srv3 (3#4294967304)
             15 srv3 pacemaker-controld  notice: Result of promote operation for pgsqld on srv3: ok
             16 srv3 pacemaker-controld  notice: Result of start operation for pgsql-vip on srv3: 0 (ok)",
        );
        let expected = [
            "10 detected: srv2 has left the membership",
            "12 srv2 fenced by srv1",
            "14 srv3 won the election: | srv3 holds WAL up to 1/8 on timeline 3",
            "15 srv3 promoted",
            "16 srv3 has the virtual address",
        ];
        assert_eq!(texts(&journals.failover("srv2", "srv3").unwrap()), expected);
    }

    #[test]
    fn a_failed_operation_is_not_a_step() {
        let journals =
            journals("1 srv2 pacemaker-controld notice: Result of promote operation for pgsqld on srv2: error");
        let error = journals.failover("srv1", "srv2").unwrap_err();
        assert_eq!(error.to_string(), "no node's journal says `detected: srv1 has left the membership`");
        assert!(journals.done("promote", RESOURCE, "srv2", "x".into()).is_err());
    }

    #[test]
    fn a_comeback_with_the_agents_own_words() {
        let journals = journals(
            "5 srv1 pacemaker-controld notice: Node srv2 state is now member
             6 srv2 pgsqlms (pgsqld) it crashed
             6 srv2 pgsqlms (pgsqld) it crashed
             8 srv2 pacemaker-controld notice: Result of start operation for pgsqld on srv2: OK
             9 srv2 pgsqlms (pgsqld) later",
        );
        let expected = ["5 srv2 is a member again", "8 srv2 has started PostgreSQL; its agent said: | it crashed"];
        assert_eq!(texts(&journals.comeback("srv2").unwrap()), expected);
    }

    #[test]
    fn an_unknown_kind_of_vote_is_shown_as_it_is() {
        assert_eq!(ballots("srv1 (a#b)"), ["srv1 (a#b)"]);
        assert_eq!(ballots("unknown"), ["unknown"]);
    }

    #[test]
    fn the_last_promise_counts() {
        let journals = journals(
            "1 srv1 pgsqlms (pgsqld) synchronous replication: a
             2 srv1 pgsqlms (pgsqld) synchronous replication: b
             3 srv1 pgsqlms (pgsqld) promoted",
        );
        assert_eq!(journals.promise("srv1").as_deref(), Some("synchronous replication: b"));
        assert_eq!(journals.promise("srv2"), None);
    }
}
