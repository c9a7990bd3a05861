//! Who is to be promoted: lineage first, then the most WAL, and never at the cost of an acknowledged commit.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::location::Lsn;
use crate::node::NodeName;
use crate::record::{Record, Stage};
use crate::rules::lineage::{self, Standing};
use crate::rules::synchronous::{self, OVERRIDE_COMMAND, Operator, PromotionFacts, Published, Verdict};
use crate::vote::Vote;

/// Everything that the choice depends on; the same on every node.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The nodes that run an instance, with their votes; those that did not vote have none.
    pub votes: BTreeMap<NodeName, Option<Vote>>,
    /// All nodes of the cluster, there or not.
    pub members: BTreeSet<NodeName>,
    /// The promotions so far.
    pub record: Record,
    /// What the last primary promised about synchronous replication; none if it cannot be read.
    pub published: Option<Published>,
    /// Nodes that must not be promoted.
    pub barred: BTreeMap<NodeName, Bar>,
    /// What decides between nodes that hold the same; 0 unless set.
    pub priority: BTreeMap<NodeName, i32>,
    /// The node that an operator wants to be promoted, whatever is lost.
    pub ordered: Option<NodeName>,
}

/// Why a node must not be promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bar {
    /// An operator said so.
    NoFailover,
    /// It was further behind the last primary than `maxlag` allows.
    TooFarBehind,
}

/// Who is to be promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This node.
    Node {
        /// The node.
        node: NodeName,
        /// What it holds; nothing is known of a node that an operator ordered and that did not vote.
        vote: Option<Vote>,
        /// What a person should know about it.
        warnings: Vec<Warning>,
    },
    /// Nobody, for now.
    Nobody(Refusal),
}

/// Something that does not stand against a promotion, and that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// These run an instance and did not vote.
    Silent(Vec<NodeName>),
    /// This node holds more and must not be promoted.
    Barred {
        /// The node.
        node: NodeName,
        /// Why.
        bar: Bar,
        /// How many bytes of WAL it has that the chosen one lacks.
        bytes: u64,
    },
    /// An operator takes responsibility for this.
    Ordered(String),
}

/// Why nobody is to be promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody has voted.
    NoVotes,
    /// Nobody who voted holds the history that the cluster went on with.
    History(Vec<(NodeName, Standing)>),
    /// All that hold enough are barred.
    AllBarred(BTreeMap<NodeName, Bar>),
    /// The chosen one may lack acknowledged commits that this barred node holds.
    BarredHoldsMore(NodeName),
    /// Acknowledged commits may be missing.
    Synchronous(Box<synchronous::Refusal>),
}

/// Chooses who is to be promoted; of nodes that hold the same, `preferred`, then priority, then the first by name.
///
/// A node that has strayed from the cluster's history is never chosen. One that has missed the last promotion is chosen
/// only while that promotion's history does not count yet ([`Stage::Kept`]). Synchronous commits are
/// guarded by [`synchronous`]: the voters must include a holder of each, and the winner must hold what any voter holds.
pub fn choose(facts: &Facts, preferred: Option<&NodeName>) -> Choice {
    if let Some(ordered) = &facts.ordered {
        return by_order(facts, ordered);
    }
    let voted: Vec<(&NodeName, &Vote)> =
        facts.votes.iter().filter_map(|(node, vote)| Some((node, vote.as_ref()?))).collect();
    if voted.is_empty() {
        return Choice::Nobody(Refusal::NoVotes);
    }
    let record = facts.record.proven_by(voted.iter().map(|(_, vote)| *vote));
    let (fit, unfit) = fit(&voted, &record);
    let order = |a: &(&NodeName, &Vote), b: &(&NodeName, &Vote)| order(facts, preferred, a, b);
    let free = fit.iter().filter(|(node, _)| !facts.barred.contains_key(*node)).copied();
    let Some((node, vote)) = free.max_by(order) else {
        return Choice::Nobody(match fit.is_empty() {
            true => Refusal::History(unfit),
            false => Refusal::AllBarred(facts.barred.clone()),
        });
    };
    let barred = fit.iter().filter(|(other, _)| facts.barred.contains_key(*other)).copied().max_by(order);
    let ahead = barred.filter(|(_, theirs)| position(theirs) > position(vote));
    if let Err(refusal) = keeps_promises(facts, &record, node, ahead) {
        return Choice::Nobody(refusal);
    }
    let silent: Vec<NodeName> =
        facts.votes.iter().filter(|(_, vote)| vote.is_none()).map(|(node, _)| node.clone()).collect();
    let silent = (!silent.is_empty()).then_some(Warning::Silent(silent));
    let ahead = ahead.map(|(other, theirs)| Warning::Barred {
        node: other.clone(),
        bar: facts.barred[other],
        bytes: theirs.lsn().bytes_after(vote.lsn()),
    });
    let warnings = silent.into_iter().chain(ahead).collect();
    Choice::Node { node: node.clone(), vote: Some(vote.clone()), warnings }
}

/// Chooses for a node that Pacemaker wants to promote: among those that hold the most itself, else `former`, the primary
/// that has just been demoted for it. Everybody who can follow it still does.
pub fn choose_for(facts: &Facts, candidate: &NodeName, former: Option<&NodeName>) -> Choice {
    match choose(facts, Some(candidate)) {
        Choice::Node { node, .. } if node != *candidate => choose(facts, former),
        choice => choice,
    }
}

type Voter<'a> = (&'a NodeName, &'a Vote);

/// Those that hold the cluster's history, and the standing of the others.
fn fit<'a>(voted: &[Voter<'a>], record: &Record) -> (Vec<Voter<'a>>, Vec<(NodeName, Standing)>) {
    let standings: Vec<(Voter, Standing)> =
        voted.iter().map(|voter| (*voter, lineage::standing(voter.1, record))).collect();
    let with = |wanted: fn(&Standing) -> bool| -> Vec<Voter<'a>> {
        standings.iter().filter(|(_, standing)| wanted(standing)).map(|(voter, _)| *voter).collect()
    };
    let mut fit = with(|standing| *standing == Standing::Current);
    if fit.is_empty() {
        fit = with(|standing| matches!(standing, Standing::Behind(last) if last.stage < Stage::Kept));
    }
    let unfit = standings
        .into_iter()
        .filter(|((node, _), _)| fit.iter().all(|(other, _)| other != node))
        .map(|((node, _), standing)| (node.clone(), standing));
    let unfit = unfit.collect();
    (fit, unfit)
}

/// Which of two holds more: a later timeline beats any position, because a node on an earlier one has missed a promotion.
fn order(facts: &Facts, preferred: Option<&NodeName>, a: &Voter, b: &Voter) -> Ordering {
    let priority = |node: &NodeName| facts.priority.get(node).copied().unwrap_or(0);
    let rank = |(node, vote): &Voter| (position(vote), preferred == Some(*node), priority(node));
    rank(a).cmp(&rank(b)).then_with(|| b.0.cmp(a.0))
}

fn position(vote: &Vote) -> (crate::location::Timeline, Lsn) {
    (vote.timeline(), vote.lsn())
}

/// Whether promoting `node` loses no commit that was acknowledged with synchronous replication. What a strayed node holds
/// the winner need not hold, so its vote proves nothing.
fn keeps_promises(facts: &Facts, record: &Record, node: &NodeName, barred_ahead: Option<Voter>) -> Result<(), Refusal> {
    let counts = |vote: &&Vote| !matches!(lineage::standing(vote, record), Standing::Strayed { .. });
    let judge = |without: &BTreeMap<NodeName, Bar>| {
        let position = |(node, vote): (&NodeName, &Option<Vote>)| {
            let vote = vote.as_ref().filter(counts).filter(|_| !without.contains_key(node));
            (node.clone(), vote.map(Vote::lsn))
        };
        synchronous::verdict(&PromotionFacts {
            candidate: node.clone(),
            members: facts.members.clone(),
            published: facts.published.clone(),
            votes: facts.votes.iter().map(position).collect(),
            last_known: None,
            operator: Operator::Silent,
        })
    };
    if let Verdict::Unsafe(refusal) | Verdict::Overridden { refusal, .. } = judge(&BTreeMap::new()) {
        return Err(Refusal::Synchronous(Box::new(refusal)));
    }
    match barred_ahead {
        // The winner does not hold what these do: it must be safe without them.
        Some((holder, _)) if !matches!(judge(&facts.barred), Verdict::Safe(_)) => {
            Err(Refusal::BarredHoldsMore(holder.clone()))
        }
        _ => Ok(()),
    }
}

/// What an operator ordered, with what stands against it.
fn by_order(facts: &Facts, ordered: &NodeName) -> Choice {
    let vote = facts.votes.get(ordered).cloned().flatten();
    let without = choose(&Facts { ordered: None, ..facts.clone() }, Some(ordered));
    let warning = match without {
        Choice::Node { node, .. } if node == *ordered => None,
        Choice::Node { node, vote: Some(better), .. } => {
            let lost = vote.as_ref().map_or(better.lsn().0, |ours| better.lsn().bytes_after(ours.lsn()));
            Some(format!("{node} holds {lost} bytes of WAL more"))
        }
        Choice::Node { node, vote: None, .. } => Some(format!("{node} should be promoted")),
        Choice::Nobody(refusal) => Some(refusal.to_string()),
    };
    Choice::Node { node: ordered.clone(), vote, warnings: warning.map(Warning::Ordered).into_iter().collect() }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bar::NoFailover => "its node attribute says nofailover",
            Bar::TooFarBehind => "it was further behind than maxlag allows",
        })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Silent(nodes) => write!(f, "{} did not vote: what they hold is not known", listed(nodes)),
            Warning::Barred { node, bar, bytes } => {
                write!(f, "{node} holds {bytes} bytes of WAL more and is not promoted, because {bar}")
            }
            Warning::Ordered(against) => write!(f, "promoted by the operator's order, although {against}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoVotes => f.write_str("no node could tell how far its WAL reaches: see the system log"),
            Refusal::History(standings) => {
                let (first, others) =
                    standings.split_first().map_or((None, 0), |(first, rest)| (Some(first), rest.len()));
                let Some((node, standing)) = first else { return Ok(()) };
                write!(f, "start {}, or run {OVERRIDE_COMMAND}: {node} {standing}", standing.holder())?;
                if others > 0 { write!(f, ", and {others} more like it") } else { Ok(()) }
            }
            Refusal::AllBarred(barred) => {
                let barred: Vec<String> = barred.iter().map(|(node, bar)| format!("{node}: {bar}")).collect();
                write!(f, "all that could be promoted are barred ({})", barred.join("; "))
            }
            Refusal::BarredHoldsMore(node) => {
                write!(f, "{node} may hold acknowledged commits that the others lack, and is barred from promotion")
            }
            Refusal::Synchronous(refusal) => f.write_str(&refusal.brief()),
        }
    }
}

fn listed(nodes: &[NodeName]) -> String {
    nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// A situation, in words: `srv1=1#5` is a vote, `srv2=-` none, `!srv3` barred, `^srv2` of priority 1, `>srv1` ordered.
    /// The rest: the record; what was published, `?` if that cannot be read. All of it seen from srv1.
    fn chosen((situation, record, published): (&str, &str, &str)) -> String {
        let mut facts = Facts {
            members: ["srv1", "srv2", "srv3"].into_iter().map(NodeName::new).collect(),
            record: if record.is_empty() { Record::default() } else { record.parse().unwrap() },
            published: match published {
                "?" => None,
                "" => Some(Published::default()),
                text => Some(text.parse().unwrap()),
            },
            ..Facts::default()
        };
        for word in situation.split_whitespace() {
            if let Some((node, vote)) = word.split_once('=') {
                facts.votes.insert(NodeName::new(node), vote.replace(',', " ").replace('|', ",").parse().ok());
            } else if let Some(node) = word.strip_prefix('!') {
                facts.barred.insert(NodeName::new(node), Bar::NoFailover);
            } else if let Some(node) = word.strip_prefix('^') {
                facts.priority.insert(NodeName::new(node), 1);
            } else if let Some(node) = word.strip_prefix('>') {
                facts.ordered = Some(NodeName::new(node));
            }
        }
        match choose(&facts, Some(&NodeName::new("srv1"))) {
            Choice::Node { node, warnings, .. } if warnings.is_empty() => node.to_string(),
            Choice::Node { node, warnings, .. } => format!("{node}, {}", kinds(&warnings)),
            Choice::Nobody(refusal) => format!("nobody: {}", format!("{refusal:?}").split(['(', ' ']).next().unwrap()),
        }
    }

    fn kinds(warnings: &[Warning]) -> String {
        let kind = |warning: &Warning| match warning {
            Warning::Silent(nodes) => format!("silent {}", listed(nodes)),
            Warning::Barred { node, bytes, .. } => format!("{node} is {bytes} ahead"),
            Warning::Ordered(_) => "ordered".to_owned(),
        };
        warnings.iter().map(kind).collect::<Vec<_>>().join(", ")
    }

    // Who holds the most.
    table! { chosen;
        alone: ("srv1=1#100", "", "") => "srv1";
        a_tie_goes_to_the_preferred: ("srv1=1#100 srv2=1#100 ^srv2", "", "") => "srv1";
        others_tie_goes_by_name: ("srv1=1#1 srv3=1#9 srv2=1#9", "", "") => "srv2";
        others_tie_goes_by_priority: ("srv1=1#1 srv3=1#9 srv2=1#9 ^srv3", "", "") => "srv3";
        priority_does_not_beat_wal: ("srv1=1#1 srv3=1#8 srv2=1#9 ^srv3", "", "") => "srv2";
        they_hold_more: ("srv1=1#100 srv2=1#101", "", "") => "srv2";
        timeline_beats_wal: ("srv1=1#900 srv2=2#100", "", "") => "srv2";
        positions_compare_as_numbers: ("srv1=1#99 srv2=1#100", "", "") => "srv2";
        // PAF #131, #9: a node that does not vote must not hang the election.
        silent_nodes_are_named: ("srv1=1#100 srv2=- srv3=1#50", "", "") => "srv1, silent srv2";
        a_silent_node_does_not_hide_a_better_one: ("srv1=1#100 srv2=- srv3=1#500", "", "") => "srv3, silent srv2";
        nobody_voted: ("srv1=- srv2=-", "", "") => "nobody: NoVotes";
        nobody_is_there: ("", "", "") => "nobody: NoVotes";
    }

    #[test]
    fn who_is_not_the_best_makes_room_for_the_former_primary() {
        let votes = [("srv1", "1#5"), ("srv2", "1#9"), ("srv3", "1#9")];
        let votes = votes.map(|(node, vote)| (NodeName::new(node), vote.parse().ok()));
        let facts = Facts { votes: votes.into(), published: Some(Published::default()), ..Facts::default() };
        let [srv1, srv2, srv3] = ["srv1", "srv2", "srv3"].map(NodeName::new);
        let chosen = |candidate: &NodeName, former: Option<&NodeName>| match choose_for(&facts, candidate, former) {
            Choice::Node { node, .. } => node,
            Choice::Nobody(refusal) => panic!("{refusal}"),
        };
        assert_eq!(chosen(&srv1, Some(&srv3)), srv3);
        assert_eq!(chosen(&srv1, None), srv2);
        assert_eq!(chosen(&srv2, Some(&srv3)), srv2, "a tie is the candidate's");
    }

    // Which history counts. 0/100 is #256.
    table! { chosen;
        // PAF #180: the stale ex-primary alone, and with a lagging peer.
        stale_alone: ("srv1=1#200", "2@0/100 srv2 0 kept", "") => "nobody: History";
        stale_with_a_lagging_peer: ("srv1=1#300 srv3=1#100", "2@0/100 srv2 0 kept", "") => "nobody: History";
        stale_beside_a_current_one: ("srv1=1#9000 srv2=2#300,history=1@0/100|2", "2@0/100 srv2 0 kept", "") => "srv2";
        strayed_with_a_later_number: ("srv1=3#9000,history=1@0/50|3 srv2=2#300,history=1@0/100|2", "2@0/100 srv2 0 kept", "") => "srv2";
        // The primary died before anybody followed its timeline: what it alone had is gone with it.
        the_last_promotion_does_not_count_yet: ("srv1=1#256 srv2=1#250", "2@0/100 srv3 0", "") => "srv1";
        unless_somebody_has_it: ("srv1=1#256 srv3=2#300,history=1@0/100|2", "2@0/100 srv3 0", "") => "srv3";
        strayed_never_counts: ("srv1=1#257", "2@0/100 srv3 0", "") => "nobody: History";
        an_intended_promotion_that_never_happened: ("srv1=1#300", "2@0/100 srv3 0 intended", "") => "srv1";
        an_intended_promotion_that_happened: ("srv1=1#300 srv2=2#290,history=1@0/100|2", "2@0/100 srv3 0 intended", "") => "srv2";
        the_shutdown_checkpoint_is_missing: ("srv1=2#500,history=1@0/100|2", "2@0/100 srv2 0 kept end=0/200", "") => "nobody: History";
        the_shutdown_checkpoint_is_here: ("srv1=2#512,history=1@0/100|2", "2@0/100 srv2 0 kept end=0/200", "") => "srv1";
    }

    // Who may not, and who must.
    table! { chosen;
        barred_is_not_chosen: ("srv1=1#100 srv2=1#100 !srv1", "", "") => "srv2";
        barred_and_ahead: ("srv1=1#100 srv2=1#120 !srv2", "", "") => "srv1, srv2 is 20 ahead";
        barred_and_ahead_with_promises: ("srv1=1#100 srv2=1#120 srv3=1#100 !srv2", "", "srv9: ANY 1 (srv1, srv2, srv3)") => "nobody: BarredHoldsMore";
        barred_and_ahead_outside_the_quorum: ("srv1=1#100 srv2=1#120 !srv2", "", "srv9: ANY 1 (srv1)") => "srv1, srv2 is 20 ahead";
        all_barred: ("srv1=1#100 !srv1", "", "") => "nobody: AllBarred";
        ordered_is_chosen: ("srv1=1#1 srv2=1#9 >srv1", "", "") => "srv1, ordered";
        ordered_and_best: ("srv1=1#9 srv2=1#1 >srv1", "", "") => "srv1";
        ordered_against_history: ("srv1=1#200 >srv1", "2@0/100 srv2 0 kept", "") => "srv1, ordered";
        ordered_against_promises: ("srv1=1#200 >srv1", "", "srv3: ANY 1 (srv1, srv2)") => "srv1, ordered";
        ordered_elsewhere: ("srv1=1#9 srv2=1#1 >srv2", "", "") => "srv2, ordered";
    }

    // Acknowledged commits.
    table! { chosen;
        asynchronous: ("srv1=1#5", "", "srv2: -") => "srv1";
        promises_unknown: ("srv1=1#5", "", "?") => "nobody: Synchronous";
        one_of_two_may_hold_it: ("srv1=1#5", "", "srv3: ANY 1 (srv1, srv2)") => "nobody: Synchronous";
        both_of_two_vote: ("srv1=1#5 srv2=1#4", "", "srv3: ANY 1 (srv1, srv2)") => "srv1";
        both_hold_everything: ("srv1=1#5", "", "srv3: ANY 2 (srv1, srv2)") => "srv1";
        first_is_treated_as_any: ("srv1=1#5", "", "srv3: FIRST 1 (srv1, srv2)") => "nobody: Synchronous";
        the_old_primary_votes: ("srv1=1#5 srv3=1#6", "", "srv3: ANY 1 (srv1, srv2)") => "srv3";
        a_strayed_one_does_not_count: ("srv1=2#300,history=1@0/100|2 srv2=1#9000", "2@0/100 srv3 0 kept", "srv3: ANY 1 (srv1, srv2)") => "nobody: Synchronous";
        a_silent_one_does_not_count: ("srv1=1#5 srv2=-", "", "srv3: ANY 1 (srv1, srv2)") => "nobody: Synchronous";
    }

    #[test]
    fn the_reasons_say_what_helps() {
        let vote: Vote = "1#512".parse().unwrap();
        let standing = lineage::standing(&vote, &"2@0/100 srv2 0 kept".parse().unwrap());
        assert_eq!(
            Refusal::History(vec![(NodeName::new("srv1"), standing)]).to_string(),
            "start srv2, or run pgsqlms promote-anyway: srv1 diverged from timeline 2 (srv2) at 0/100"
        );
    }
}
