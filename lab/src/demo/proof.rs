//! The findings from the client's record.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::show::{Show, addresses};
use super::story::{Finding, seconds};
use crate::client::{compare_nodes, read_rows};
use crate::history::{History, Moment, Nodes, Outage, Outcome, Report, outages};
use crate::hypervisor::Fencing;

/// How long the nodes may take to answer and to be equal.
const LIMIT: Duration = Duration::from_secs(30);

/// The longest time without an acknowledged commit after a mark and before the next one.
pub(super) fn outage(history: &History, mark: &str) -> Option<Outage> {
    let acknowledged = history.attempts.iter().filter(|attempt| attempt.outcome == Outcome::Ok);
    let acks: Vec<Moment> = acknowledged.map(|attempt| attempt.ended).collect();
    let all = outages(&acks, false, &history.marks, history.end());
    all.by_mark.into_iter().find(|fault| fault.mark.text == mark)?.outage
}

/// The node that acknowledged a commit at this moment.
pub(super) fn acknowledged_by(history: &History, at: Moment) -> Option<String> {
    let attempt = history.attempts.iter().find(|attempt| attempt.outcome == Outcome::Ok && attempt.ended == at)?;
    Some(attempt.instance.as_ref()?.node.clone())
}

impl Show<'_> {
    /// Ends the writing, and compares the client's record with the nodes' rows.
    pub(super) fn prove(&mut self) -> Result<()> {
        let history = self.writer.take().context("the client has stopped")?.stop()?;
        self.story.chapter("Proof: what the clients remember against what the nodes hold");
        let report = history.check(&read_rows(&self.access, &self.lab.vip().to_string(), LIMIT)?);
        let nodes = compare_nodes(&self.access, &addresses(self.lab), LIMIT)?;
        let victim = self.victim.map(crate::node::Node::name).context("no node has lost its power")?;
        let fencings = self.lab.fencings()?;
        let mut findings = findings(&report, &nodes, &fencings, victim);
        findings.extend(
            self.outages.iter().map(|(what, lasted)| Finding::plain(format!("outage, {what}"), seconds(*lasted))),
        );
        self.story.findings(&findings);
        let problems = problems(&report, &nodes, &fencings, victim);
        if !problems.is_empty() {
            bail!("the record shows what must not be: {}", problems.join("; "));
        }
        Ok(())
    }
}

fn findings(report: &Report, nodes: &Nodes, fencings: &[Fencing], victim: &str) -> Vec<Finding> {
    let account = &report.account;
    let two = if report.primaries.never_two() { "never" } else { "yes" };
    vec![
        Finding::plain("commits", format!("{} acknowledged of {} attempted", account.ok, account.attempts)),
        Finding::judged("acknowledged commits lost", account.lost.to_string(), account.lost.is_empty()),
        Finding::judged("commits there twice", account.twice.to_string(), account.twice.is_empty()),
        Finding::judged("rows never committed", account.phantom.to_string(), account.phantom.is_empty()),
        Finding::judged("two primaries at once", two, report.primaries.never_two()),
        Finding::judged("contents of all nodes", contents(nodes), nodes.differences().is_empty()),
        Finding::judged("fenced", fenced(fencings), unexpected_fencings(fencings, victim).is_none()),
    ]
}

fn contents(nodes: &Nodes) -> String {
    let differences = nodes.differences();
    match nodes.states.first() {
        Some(state) if differences.is_empty() => {
            let names: Vec<&str> = nodes.states.iter().map(|state| state.node.as_str()).collect();
            let timeline = state.timeline.map_or_else(String::new, |timeline| format!(", timeline {timeline}"));
            format!("equal ({} rows on {}{timeline})", state.rows, names.join(", "))
        }
        _ => differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    }
}

fn fenced(fencings: &[Fencing]) -> String {
    let nodes: Vec<&str> = fencings.iter().map(|fencing| fencing.node.as_str()).collect();
    match nodes[..] {
        [] => "no node".into(),
        [node] => format!("{node}, once"),
        _ => nodes.join(", "),
    }
}

/// The node that lost its power is fenced once, and nothing else is ever fenced.
fn unexpected_fencings(fencings: &[Fencing], victim: &str) -> Option<String> {
    match fencings {
        [only] if only.node == victim => None,
        _ => Some(format!("only {victim} was to be fenced, once; fenced: {}", fenced(fencings))),
    }
}

/// Everything that must not be, one sentence each.
fn problems(report: &Report, nodes: &Nodes, fencings: &[Fencing], victim: &str) -> Vec<String> {
    let mut problems = report.problems();
    problems.extend(nodes.differences().iter().map(ToString::to_string));
    problems.extend(unexpected_fencings(fencings, victim));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Attempt, Event, Instance, Mark, MarkKind, RowId, Start};

    fn commit(seq: i64, ended: u64, node: &str) -> Event {
        let instance = Instance { started: 1, timeline: 1, node: node.to_owned() };
        Event::Attempt(Attempt {
            client: 1,
            seq,
            sent: Moment(ended - 1),
            ended: Moment(ended),
            outcome: Outcome::Ok,
            instance: Some(instance),
            seen: None,
            reason: None,
        })
    }

    fn mark(at: u64, text: &str) -> Event {
        Event::Mark(Mark { at: Moment(at), kind: MarkKind::Begin, text: text.to_owned() })
    }

    fn history() -> History {
        let mut history = History::default();
        let events =
            [mark(5, "begin"), commit(1, 10, "srv1"), mark(11, "cut"), commit(2, 900, "srv2"), commit(3, 910, "srv2")];
        let start = Event::Start(Start { first_client: 1, clients: 1 });
        [start].into_iter().chain(events).for_each(|event| history.push(event));
        history
    }

    #[test]
    fn the_outage_after_a_mark_and_the_node_that_ended_it() {
        let history = history();
        let outage = outage(&history, "cut").unwrap();
        assert_eq!((outage.from, outage.until, outage.over), (Moment(10), Moment(900), true));
        assert_eq!(acknowledged_by(&history, outage.from).as_deref(), Some("srv1"));
        assert_eq!(acknowledged_by(&history, outage.until).as_deref(), Some("srv2"));
        assert_eq!(acknowledged_by(&history, Moment(11)), None);
    }

    fn fencing(node: &str) -> Fencing {
        Fencing { at: 0, node: node.to_owned(), action: "reboot".to_owned(), was_on: false }
    }

    #[test]
    fn only_the_node_without_power_may_be_fenced_and_only_once() {
        assert_eq!(unexpected_fencings(&[fencing("srv1")], "srv1"), None);
        for wrong in [vec![], vec![fencing("srv2")], vec![fencing("srv1"), fencing("srv1")]] {
            assert!(unexpected_fencings(&wrong, "srv1").is_some(), "{wrong:?}");
        }
    }

    #[test]
    fn a_lost_commit_is_a_problem_and_shown_as_one() {
        let rows: Vec<RowId> = [1, 2].map(|seq| RowId { client: 1, seq }).to_vec();
        let report = history().check(&rows);
        let all = problems(&report, &Nodes::default(), &[fencing("srv1")], "srv1");
        assert!(all.iter().any(|problem| problem == "acknowledged commits lost: 1 (client 1: 3)"), "{all:?}");
        let lost = findings(&report, &Nodes::default(), &[], "srv1").remove(1);
        assert_eq!(lost, Finding::judged("acknowledged commits lost", "1 (client 1: 3)", false));
    }
}
