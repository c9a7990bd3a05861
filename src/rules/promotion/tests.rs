//! Who is promoted, in tables.

use super::*;
use crate::rules::table;

/// A situation, in words: `srv1=1#5` is a vote, `srv2=-` none, `!srv3` barred, `%srv3` without room, `^srv2` of priority 1, `>srv1` ordered.
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
        } else if let Some(node) = word.strip_prefix('%') {
            facts.barred.insert(NodeName::new(node), Bar::NoRoom);
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
    behind_does_not_win_over_short: ("srv1=1#256 srv3=2#300,history=1@0/100|2", "2@0/100 srv2 0 end=0/200", "") => "nobody: History";
    the_shutdown_checkpoint_is_here: ("srv1=2#512,history=1@0/100|2", "2@0/100 srv2 0 kept end=0/200", "") => "srv1";
}

// Who may not, and who must.
table! { chosen;
    barred_is_not_chosen: ("srv1=1#100 srv2=1#100 !srv1", "", "") => "srv2";
    barred_and_ahead: ("srv1=1#100 srv2=1#120 !srv2", "", "") => "srv1, srv2 is 20 ahead";
    barred_and_ahead_with_promises: ("srv1=1#100 srv2=1#120 srv3=1#100 !srv2", "", "srv9: ANY 1 (srv1, srv2, srv3)") => "nobody: BarredHoldsMore";
    barred_and_ahead_outside_the_quorum: ("srv1=1#100 srv2=1#120 !srv2", "", "srv9: ANY 1 (srv1)") => "srv1, srv2 is 20 ahead";
    full_and_ahead: ("srv1=1#100 srv2=1#120 %srv2", "", "") => "srv1, srv2 is 20 ahead";
    full_and_ahead_with_promises: ("srv1=1#100 srv2=1#120 srv3=1#100 %srv2", "", "srv9: ANY 1 (srv1, srv2, srv3)") => "nobody: BarredHoldsMore";
    all_are_full: ("srv1=1#100 srv2=1#120 %srv1 %srv2", "", "") => "nobody: AllBarred";
    all_barred: ("srv1=1#100 !srv1", "", "") => "nobody: AllBarred";
    ordered_is_chosen: ("srv1=1#1 srv2=1#9 >srv1", "", "") => "srv1, ordered";
    ordered_and_best: ("srv1=1#9 srv2=1#1 >srv1", "", "") => "srv1";
    ordered_against_history: ("srv1=1#200 >srv1", "2@0/100 srv2 0 kept", "") => "srv1, ordered";
    ordered_against_promises: ("srv1=1#200 >srv1", "", "srv3: ANY 1 (srv1, srv2)") => "srv1, ordered";
    ordered_and_full: ("srv1=1#1 srv2=1#9 >srv2 %srv2", "", "") => "nobody: AllBarred";
    ordered_and_barred: ("srv1=1#1 srv2=1#9 >srv2 !srv2", "", "") => "srv2, ordered";
    ordered_without_a_vote: ("srv1=1#9 srv2=- >srv2", "", "") => "srv2, ordered";
    ordered_and_not_there: ("srv1=1#9 srv3=1#1 >srv2", "", "") => "srv1";
    ordered_elsewhere: ("srv1=1#9 srv2=1#1 >srv2", "", "") => "srv2, ordered";
}

#[test]
fn an_operator_keeps_back_whom_he_names_only() {
    let barred = [("srv1", Bar::NoFailover), ("srv2", Bar::TooFarBehind)];
    let barred = barred.into_iter().map(|(node, bar)| (NodeName::new(node), bar)).collect();
    let kept = Facts { barred, ..Facts::default() }.kept_back();
    assert_eq!(kept, [NodeName::new("srv1")].into());
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

/// What srv1 says, one ballot after the other; what it is barred for before.
fn barred_after((ballots, before): (&[&str], Option<Bar>)) -> Option<Bar> {
    let srv1 = NodeName::new("srv1");
    let barred = before.map(|bar| (srv1.clone(), bar)).into_iter().collect();
    let mut facts = Facts { barred, ..Facts::default() };
    for ballot in ballots {
        facts.count(&srv1, ballot.parse().unwrap());
    }
    assert_eq!(facts.votes[&srv1].as_ref().map(|vote| vote.lsn().0), Some(ballots.len() as u64));
    facts.barred.get(&srv1).copied()
}

table! { barred_after;
    room: (&["1#1"], None) => None;
    no_room: (&["1#1 room=none"], None) => Some(Bar::NoRoom);
    room_again: (&["1#1 room=none", "1#2"], None) => None;
    room_and_barred: (&["1#1"], Some(Bar::NoFailover)) => Some(Bar::NoFailover);
    no_room_and_barred: (&["1#1 room=none", "1#2"], Some(Bar::TooFarBehind)) => Some(Bar::TooFarBehind);
}

#[test]
fn a_full_disk_is_named_with_what_helps() {
    let srv2 = || NodeName::new("srv2");
    let all = Refusal::AllBarred([(srv2(), Bar::NoRoom), (NodeName::new("srv3"), Bar::NoFailover)].into());
    let wanted = "free space on srv2: all that could be promoted are barred (srv2: No space left on device for pg_wal;";
    assert!(all.to_string().starts_with(wanted), "{all}");
    let more = Refusal::BarredHoldsMore(srv2(), Bar::NoRoom).to_string();
    assert!(more.starts_with("free space on srv2: ") && more.ends_with("No space left on device for pg_wal"), "{more}");
    let more = Refusal::BarredHoldsMore(srv2(), Bar::NoFailover).to_string();
    assert!(more.ends_with("and is barred from promotion"), "{more}");
}

#[test]
fn the_reasons_say_what_helps() {
    let srv1 = || NodeName::new("srv1");
    let vote: Vote = "1#512".parse().unwrap();
    let standing = || lineage::standing(&vote, &"2@0/100 srv2 0 kept".parse().unwrap());
    let reason = "start srv2, or run pgsqlms promote-anyway: srv1 diverged from timeline 2 (srv2) at 0/100";
    assert_eq!(Refusal::History(vec![(srv1(), standing())]).to_string(), reason);
    let all = (0..3).map(|_| (srv1(), standing())).collect();
    assert_eq!(Refusal::History(all).to_string(), format!("{reason}, and 2 more like it"));
    let barred = [(srv1(), Bar::NoFailover), (NodeName::new("srv2"), Bar::TooFarBehind)].into_iter().collect();
    assert_eq!(
        Refusal::AllBarred(barred).to_string(),
        "all that could be promoted are barred (srv1: its node attribute says nofailover; \
         srv2: it was further behind than maxlag allows)"
    );
}

fn told(warning: Warning) -> String {
    warning.to_string()
}

table! { told;
    warns_of_silence: Warning::Silent(vec![NodeName::new("srv1"), NodeName::new("srv2")])
        => "srv1, srv2 did not vote: what they hold is not known";
    warns_of_the_barred: Warning::Barred { node: NodeName::new("srv2"), bar: Bar::NoFailover, bytes: 20 }
        => "srv2 holds 20 bytes of WAL more and is not promoted, because its node attribute says nofailover";
    warns_of_an_order: Warning::Ordered("srv2 should be promoted".to_owned())
        => "promoted by the operator's order, although srv2 should be promoted";
}
