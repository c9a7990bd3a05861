//! Whether Pacemaker does not promote the candidates: it has no action left to do, and there is no primary. Then something keeps
//! it from promoting them that the agent cannot read (a rule with a date, another attribute, too many failures), and the
//! others must not wait.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::node::NodeName;
use crate::rules::cut_off::Break;
use crate::score::Score;

/// For so long a node may be a candidate before Pacemaker is asked what it does.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Since when nodes are candidates, counted from the start of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidates(BTreeMap<NodeName, Candidacy>);

/// How long that has been so for one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidacy {
    time: Break,
    /// Pacemaker was asked: it will not promote the node.
    not_promoted: bool,
}

/// What Pacemaker does at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// The nodes on which the resource has the role of the primary.
    pub promoted: BTreeSet<NodeName>,
    /// It has nothing left to do.
    pub idle: bool,
}

impl Candidates {
    /// The candidates as they are `now`, when a standby without an upstream sees that these nodes are promotable.
    #[must_use]
    pub fn seen(&self, promotable: &BTreeSet<NodeName>, now: Duration) -> Self {
        let candidacy = |node: &NodeName| {
            let noted = self.0.get(node);
            let time = Break::seen(noted.map(|candidacy| candidacy.time), now);
            let not_promoted =
                noted.is_some_and(|candidacy| candidacy.not_promoted && candidacy.time.since == time.since);
            (node.clone(), Candidacy { time, not_promoted })
        };
        Self(promotable.iter().map(candidacy).collect())
    }

    /// Whether it is time to ask Pacemaker.
    pub fn is_due(&self) -> bool {
        self.0.values().any(|candidacy| candidacy.is_due())
    }

    /// The candidates after Pacemaker was asked; nothing where it did not answer. While it is busy, or there is a primary, their
    /// time begins anew.
    #[must_use]
    pub fn judged(mut self, roles: Option<&Roles>) -> Self {
        let Some(roles) = roles else { return self };
        for candidacy in self.0.values_mut().filter(|candidacy| candidacy.is_due()) {
            match roles.idle && roles.promoted.is_empty() {
                true => candidacy.not_promoted = true,
                false => candidacy.time.since = candidacy.time.seen,
            }
        }
        self
    }

    /// The candidates that Pacemaker does not promote.
    pub fn not_promoted(&self) -> BTreeSet<NodeName> {
        self.0.iter().filter(|(_, candidacy)| candidacy.not_promoted).map(|(node, _)| node.clone()).collect()
    }

    /// The nodes that `me`, which is just being promoted, need not leave the role to: Pacemaker has preferred it to them
    /// although their scores are better.
    pub fn behind(&self, me: &NodeName, scores: &BTreeMap<NodeName, Score>) -> BTreeSet<NodeName> {
        let better = |node: &NodeName| scores.get(node) > scores.get(me);
        self.not_promoted().into_iter().filter(better).collect()
    }

    /// Whether there is nothing to note.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads what the text of [`Candidates`] says; nothing from nonsense.
    pub fn read(text: &str) -> Self {
        let candidacy = |line: &str| {
            let (node, rest) = line.split_once(' ')?;
            let (time, not_promoted) = rest.strip_suffix(NOT_PROMOTED).map_or((rest, false), |time| (time, true));
            Some((NodeName::new(node), Candidacy { time: Break::read(time)?, not_promoted }))
        };
        Self(text.lines().filter_map(candidacy).collect())
    }
}

impl Candidacy {
    fn is_due(&self) -> bool {
        !self.not_promoted && self.time.seen.saturating_sub(self.time.since) >= PATIENCE
    }
}

const NOT_PROMOTED: &str = " not-promoted";

/// A line for each node: `srv3 86400000 86412000 not-promoted`.
impl fmt::Display for Candidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (node, Candidacy { time, not_promoted }) in &self.0 {
            writeln!(f, "{node} {time}{}", if *not_promoted { NOT_PROMOTED } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn nodes(names: &str) -> BTreeSet<NodeName> {
        names.split_whitespace().map(NodeName::new).collect()
    }

    /// What one monitor after the other sees: `3: srv2 srv3` are promotable in second 3; Pacemaker is idle, `busy`, `silent`,
    /// or has a `primary` → whom it does not promote in the end, and how often it was asked.
    fn passed(looks: &str) -> (String, u32) {
        let (mut noted, mut asked) = (String::new(), 0);
        for look in looks.split(", ") {
            let (second, words) = look.split_once(':').unwrap();
            let promotable: Vec<&str> = words.split_whitespace().filter(|word| word.starts_with("srv")).collect();
            let says = |word: &str| words.split_whitespace().any(|said| said == word);
            let roles = Roles { promoted: nodes(if says("primary") { "srv1" } else { "" }), idle: !says("busy") };
            let now = Duration::from_secs(second.parse().unwrap());
            let seen = Candidates::read(&noted).seen(&nodes(&promotable.join(" ")), now);
            asked += u32::from(seen.is_due());
            noted = if seen.is_due() { seen.judged((!says("silent")).then_some(&roles)) } else { seen }.to_string();
        }
        let not_promoted = Candidates::read(&noted).not_promoted();
        (not_promoted.iter().map(NodeName::as_str).collect::<Vec<_>>().join(" "), asked)
    }

    fn over(names: &str, asked: u32) -> (String, u32) {
        (names.to_owned(), asked)
    }

    table! { passed;
        no_node_is_promotable: "0:, 3:, 30:" => over("", 0);
        it_may_still_be_promoted: "0: srv3, 3: srv3, 9: srv3" => over("", 0);
        it_is_not: "0: srv3, 3: srv3, 9: srv3, 12: srv3" => over("srv3", 1);
        nor_is_anybody_else: "0: srv2 srv3, 5: srv2 srv3, 10: srv2 srv3" => over("srv2 srv3", 1);
        it_is_asked_once: "0: srv3, 10: srv3, 13: srv3, 16: srv3 busy" => over("srv3", 1);
        pacemaker_is_busy: "0: srv3, 10: srv3 busy, 13: srv3, 19: srv3" => over("", 1);
        and_then_it_is_not: "0: srv3, 10: srv3 busy, 13: srv3, 20: srv3" => over("srv3", 2);
        there_is_a_primary: "0: srv1 srv3, 10: srv1 srv3 primary, 13: srv1 srv3, 19: srv1 srv3" => over("", 1);
        pacemaker_does_not_answer: "0: srv3, 10: srv3 silent, 13: srv3 silent" => over("", 2);
        until_it_does: "0: srv3, 10: srv3 silent, 13: srv3" => over("srv3", 2);
        it_was_not_promotable_meanwhile: "0: srv3, 5:, 7: srv3, 12: srv3" => over("", 0);
        another_one_follows: "0: srv3, 10: srv3, 13: srv2 srv3, 22: srv2 srv3" => over("srv3", 1);
        and_is_not_promoted_too: "0: srv3, 10: srv3, 13: srv2 srv3, 23: srv2 srv3" => over("srv2 srv3", 2);
        it_has_yielded: "0: srv3, 10: srv3, 13: srv2" => over("", 1);
        not_seen_for_long: "0: srv3, 10: srv3, 2000: srv3" => over("", 1);
        the_machine_was_restarted: "100: srv3, 110: srv3, 5: srv3" => over("", 1);
    }

    /// Whom Pacemaker does not promote; the scores; srv1 is being promoted → to whom it need not leave the role.
    fn left_behind((not_promoted, scores): (&str, &str)) -> String {
        let noted: String =
            not_promoted.split_whitespace().map(|node| format!("{node} 0 10000 not-promoted\n")).collect();
        let scores = scores.split_whitespace().map(|word| word.split_once('=').unwrap());
        let scores = scores.map(|(node, score)| (NodeName::new(node), score.parse().unwrap())).collect();
        let behind = Candidates::read(&noted).behind(&NodeName::new("srv1"), &scores);
        behind.iter().map(NodeName::as_str).collect::<Vec<_>>().join(" ")
    }

    table! { left_behind;
        it_had_the_better_score: ("srv3", "srv1=1 srv3=1000") => "srv3";
        no_node_is_left_unpromoted: ("", "srv1=1 srv3=1000") => "";
        // It may have been promotable again: Pacemaker had to choose one of the two.
        it_had_no_better_score: ("srv3", "srv1=1 srv3=1") => "";
        it_had_a_lesser_score: ("srv3", "srv1=1000 srv3=1") => "";
        it_has_no_score_any_more: ("srv3", "srv1=1") => "";
        we_were_not_promoted_ourselves: ("srv1 srv3", "srv1=1 srv3=1001") => "srv3";
    }

    fn read_again(text: &str) -> String {
        Candidates::read(text).to_string()
    }

    table! { read_again;
        nothing: "" => "";
        as_it_was_written: "srv2 1000 2000\nsrv3 1000 12000 not-promoted\n" => "srv2 1000 2000\nsrv3 1000 12000 not-promoted\n";
        nonsense: "srv2\nsrv3 x 5\n 7\nsrv4 1 2 passed\n" => "";
    }

    #[test]
    fn what_makes_no_sense_is_not_due() {
        assert!(!Candidates::read("srv2 99999 2\n").is_due() && Candidates::default().is_empty());
    }
}
