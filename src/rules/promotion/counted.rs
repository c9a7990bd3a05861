//! What nodes say of themselves, and what of it counts in an election.

use std::collections::BTreeSet;

use super::{Bar, Facts};
use crate::node::NodeName;
use crate::record::{Promotion, Stage};
use crate::rules::lineage;
use crate::rules::office;
use crate::rules::synchronous::{Published, SyncSetting};
use crate::vote::{Ballot, Vote};

impl Facts {
    /// The nodes that an operator keeps from being promoted.
    pub fn kept_back(&self) -> BTreeSet<NodeName> {
        self.barred.iter().filter(|(_, bar)| bar.is_by_operator()).map(|(node, _)| node.clone()).collect()
    }

    /// Reads the ballot of a node, which counts if it was cast since the last promotion. One that was cast after a later promotion
    /// than any on record shows that this record is not the last.
    pub fn read(&mut self, node: &NodeName, ballot: Ballot) {
        let newest = self.record.newest_timeline();
        match ballot.after.filter(|after| Some(*after) > newest) {
            Some(after) => _ = self.ahead.insert(node.clone(), after),
            None => _ = self.ahead.remove(node),
        }
        match ballot.counts(&self.record) {
            true => self.count(node, ballot),
            false => _ = self.votes.entry(node.clone()).or_default(),
        }
    }

    /// Counts what a node has said last: its vote, whether a promotion would fail, and whether it recovers. No other node
    /// knows that.
    pub fn count(&mut self, node: &NodeName, ballot: Ballot) {
        let would_fail = match (ballot.room, ballot.settings_too_low) {
            (false, _) => Some(Bar::NoRoom),
            (true, true) => Some(Bar::SettingsTooLow),
            (true, false) => None,
        };
        match (would_fail, self.barred.get(node)) {
            (Some(bar), None | Some(Bar::NoRoom | Bar::SettingsTooLow)) => _ = self.barred.insert(node.clone(), bar),
            (None, Some(Bar::NoRoom | Bar::SettingsTooLow)) => _ = self.barred.remove(node),
            _ => {}
        }
        for (is_so, nodes) in [(ballot.recovering, &mut self.recovering), (ballot.primary, &mut self.primaries)] {
            match is_so {
                true => _ = nodes.insert(node.clone()),
                false => _ = nodes.remove(node),
            }
        }
        match ballot.forked || office::is_namesake(node, &ballot, &self.record, &self.members) {
            true => _ = self.votes.remove(node),
            false => self.count_vote(node, ballot.vote),
        }
    }

    /// Counts what a node has left that was stopped cleanly: it cannot be promoted, and what it holds is known.
    pub fn count_stopped(&mut self, node: &NodeName, ballot: Ballot) {
        if ballot.forked || office::is_namesake(node, &ballot, &self.record, &self.members) {
            return;
        }
        let is_end = |last: &&mut Promotion| last.node == *node && last.timeline == ballot.vote.timeline();
        // That it is on that timeline shows that what was announced has happened.
        let begin = ballot.vote.history.begin(ballot.vote.timeline());
        let is_last =
            |last: &&mut Promotion| last.stage > Stage::Intended || (is_end(last) && begin == Some(last.switch));
        if let Some(last) = self.record.0.iter_mut().find(is_last).filter(is_end) {
            last.end = last.end.max(Some(ballot.vote.lsn()));
        }
        self.barred.entry(node.clone()).or_insert(Bar::Stopped);
        self.count_vote(node, ballot.vote);
    }

    /// Counts a vote, unless it is of another database.
    pub fn count_vote(&mut self, node: &NodeName, vote: Vote) {
        match lineage::foreign(&vote, &self.record) {
            Some(foreign) => {
                self.votes.remove(node);
                self.foreign.insert(node.clone(), foreign.own);
            }
            None => {
                self.foreign.remove(node);
                self.votes.insert(node.clone(), Some(vote));
            }
        }
    }

    /// Whether commits may have been acknowledged that a standby had to confirm, or that is unknown.
    pub(super) fn is_synchronous(&self) -> bool {
        let promised = |published: &Published| published.0.iter().any(|guard| guard.setting != SyncSetting::Off);
        self.published.as_ref().is_none_or(promised)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::recorded;
    use super::super::{Choice, Refusal, choose};
    use super::*;
    use crate::rules::table;

    /// The ballots of nodes, as srv1 reads them, whose own WAL reaches 2#512; the record that it knows; the ordered node. → The
    /// winner as srv1 sees it.
    fn wins((ballots, record, ordered): (&str, &str, &str)) -> String {
        let mut facts = recorded(record, "");
        facts.ordered = (!ordered.is_empty()).then(|| NodeName::new(ordered));
        for ballot in ballots.split("; ") {
            let (node, ballot) = ballot.split_once(": ").unwrap();
            facts.read(&NodeName::new(node), ballot.parse().unwrap());
        }
        facts.count_vote(&NodeName::new("srv1"), "2#512 history=1@0/100,2".parse().unwrap());
        match choose(&facts, None) {
            Choice::Node { node, .. } => node.to_string(),
            Choice::NoNode(Refusal::OlderRecord(node, timeline)) => format!("{node} knows timeline {timeline}"),
            Choice::NoNode(refusal) => format!("{refusal:?}"),
        }
    }

    const TWO: &str = "2@0/100 srv3 0 kept";

    table! { wins;
        all_know_the_same: ("srv2: 2#500 history=1@0/100,2 after=2", TWO, "") => "srv1";
        // The CIB was lost, and srv1 was not there when srv2 was promoted.
        another_knows_a_later_promotion: ("srv2: 3#700 history=1@0/100,2@0/180,3 after=3", TWO, "")
            => "srv2 knows timeline 3";
        one_of_two_does: ("srv2: 2#500 history=1@0/100,2 after=2; srv3: 2#400 history=1@0/100,2 after=3", TWO, "")
            => "srv3 knows timeline 3";
        nothing_is_on_record: ("srv2: 2#500 history=1@0/100,2 after=2", "", "") => "srv2 knows timeline 2";
        until_it_has_the_same_record: (
            "srv2: 2#500 history=1@0/100,2 after=3; srv2: 2#500 history=1@0/100,2 after=2", TWO, "") => "srv1";
        a_ballot_from_before: ("srv2: 1#9000 history=1", TWO, "") => "srv1";
        an_operator_decides: ("srv2: 3#700 history=1@0/100,2@0/180,3 after=3", TWO, "srv1") => "srv1";
        who_wrote_anothers_timeline: ("srv2: 2#9000 history=1@0/100,2 after=2 forked=yes", TWO, "") => "srv1";
        who_wrote_an_earlier_one: ("srv2: 1#255 history=1 after=2 forked=yes", TWO, "") => "srv1";
    }

    #[test]
    fn what_a_fork_has_left_counts_for_nothing() {
        let mut facts = recorded(TWO, "");
        let ballot = "2#9000 history=1@0/100,2 forked=yes".parse().unwrap();
        facts.count_stopped(&NodeName::new("srv2"), ballot);
        assert!(facts.votes.is_empty() && facts.barred.is_empty());
    }
}
