//! The promoted node, in tables.

mod recorded_only;

use super::words::listed;
use super::*;
use crate::rules::table;

/// Three nodes; the record, and what was published, `?` if that cannot be read.
pub(in crate::rules) fn recorded(record: &str, published: &str) -> Facts {
    Facts {
        members: ["srv1", "srv2", "srv3"].into_iter().map(NodeName::new).collect(),
        record: if record.is_empty() { Record::default() } else { record.parse().unwrap() },
        published: match published {
            "?" => None,
            "" => Some(Published::default()),
            text => Some(text.parse().unwrap()),
        },
        ..Facts::default()
    }
}

/// A situation, in words: `srv1=1#5` is a vote, `srv2=-` none, `srv2:1#5` left when it was stopped, `*srv2` runs as a primary, `/srv2` passed over, `!srv3` barred, `&srv3` banned, `%srv3` without room, `^srv2` of priority 1, `>srv1` ordered.
/// The rest: the record; what was published, `?` if that cannot be read. All of it seen from srv1.
pub(super) fn chosen((situation, record, published): (&str, &str, &str)) -> String {
    match choose(&facts(situation, record, published), Some(&NodeName::new("srv1"))) {
        Choice::Node { node, warnings, .. } if warnings.is_empty() => node.to_string(),
        Choice::Node { node, warnings, .. } => format!("{node}, {}", kinds(&warnings)),
        Choice::NoNode(refusal) => format!("none: {}", format!("{refusal:?}").split(['(', ' ']).next().unwrap()),
    }
}

/// The facts of such a situation.
pub(super) fn facts(situation: &str, record: &str, published: &str) -> Facts {
    let mut facts = recorded(record, published);
    for word in situation.split_whitespace() {
        if let Some((node, vote)) = word.split_once('=') {
            match vote.replace(',', " ").replace('|', ",").parse() {
                Ok(vote) => facts.count_vote(&NodeName::new(node), vote),
                Err(_) => _ = facts.votes.insert(NodeName::new(node), None),
            }
        } else if let Some((node, left)) = word.split_once(':') {
            let ballot = left.replace(',', " ").replace('|', ",").replace('~', "=").parse().unwrap();
            facts.count_stopped(&NodeName::new(node), ballot);
        } else if let Some(node) = word.strip_prefix('*') {
            facts.primaries.insert(NodeName::new(node));
        } else if let Some(node) = word.strip_prefix('/') {
            facts.passed_over.insert(NodeName::new(node));
        } else if let Some(node) = word.strip_prefix('!') {
            facts.barred.insert(NodeName::new(node), Bar::NoFailover);
        } else if let Some(node) = word.strip_prefix('&') {
            facts.barred.insert(NodeName::new(node), Bar::Banned);
        } else if let Some(node) = word.strip_prefix('%') {
            facts.barred.insert(NodeName::new(node), Bar::NoRoom);
        } else if let Some(node) = word.strip_prefix('^') {
            facts.priority.insert(NodeName::new(node), 1);
        } else if let Some(node) = word.strip_prefix('>') {
            facts.ordered = Some(NodeName::new(node));
        }
    }
    facts
}

fn kinds(warnings: &[Warning]) -> String {
    let kind = |warning: &Warning| match warning {
        Warning::Silent(nodes) => format!("silent {}", listed(nodes)),
        Warning::Barred { node, bytes, .. } => format!("{node} is {bytes} ahead"),
        Warning::Unfinished(node, _) => format!("{node} unfinished"),
        Warning::Unreadable(node, _) => format!("{node} unreadable"),
        Warning::Adopted(timeline, node) => format!("timeline {timeline} of {node} adopted"),
        Warning::Ordered(_) => "ordered".to_owned(),
    };
    warnings.iter().map(kind).collect::<Vec<_>>().join(", ")
}

// The node that holds the most.
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
    no_node_voted: ("srv1=- srv2=-", "", "") => "none: NoVotes";
    no_node_is_there: ("", "", "") => "none: NoVotes";
}

#[test]
fn who_is_not_the_best_makes_room_for_the_former_primary() {
    let votes = [("srv1", "1#5"), ("srv2", "1#9"), ("srv3", "1#9")];
    let votes = votes.map(|(node, vote)| (NodeName::new(node), vote.parse().ok()));
    let facts = Facts { votes: votes.into(), published: Some(Published::default()), ..Facts::default() };
    let [srv1, srv2, srv3] = ["srv1", "srv2", "srv3"].map(NodeName::new);
    let chosen = |candidate: &NodeName, former: Option<&NodeName>| match choose_for(&facts, candidate, former) {
        Choice::Node { node, .. } => node,
        Choice::NoNode(refusal) => panic!("{refusal}"),
    };
    assert_eq!(chosen(&srv1, Some(&srv3)), srv3);
    assert_eq!(chosen(&srv1, None), srv2);
    assert_eq!(chosen(&srv2, Some(&srv3)), srv2, "a tie is the candidate's");
}

// Which history counts. 0/100 is #256.
table! { chosen;
    // PAF #180: the stale ex-primary alone, and with a lagging peer.
    stale_alone: ("srv1=1#200", "2@0/100 srv2 0 kept", "") => "none: History";
    stale_with_a_lagging_peer: ("srv1=1#300 srv3=1#100", "2@0/100 srv2 0 kept", "") => "none: History";
    stale_beside_a_current_one: ("srv1=1#9000 srv2=2#300,history=1@0/100|2", "2@0/100 srv2 0 kept", "") => "srv2";
    diverged_with_a_later_number: ("srv1=3#9000,history=1@0/50|3 srv2=2#300,history=1@0/100|2", "2@0/100 srv2 0 kept", "") => "srv2";
    // The primary died before anybody followed its timeline: what it alone had is gone with it.
    the_last_promotion_does_not_count_yet: ("srv1=1#256 srv2=1#250", "2@0/100 srv3 0", "") => "srv1";
    but_the_one_before_it_does: ("srv1=1#250", "3@0/200 srv3 0; 2@0/100 srv2 0 kept", "") => "none: History";
    who_was_on_the_one_before_it_may: (
        "srv1=2#500,history=1@0/100|2", "3@0/200 srv3 0; 2@0/100 srv2 0 kept", "") => "srv1";
    two_that_do_not_count_yet: ("srv1=1#250", "3@0/200 srv3 0; 2@0/100 srv2 0", "") => "srv1";
    unless_a_node_has_it: ("srv1=1#256 srv3=2#300,history=1@0/100|2", "2@0/100 srv3 0", "") => "srv3";
    strayed_never_counts: ("srv1=1#257", "2@0/100 srv3 0", "") => "none: History";
    an_intended_promotion_that_never_happened: ("srv1=1#300", "2@0/100 srv3 0 intended", "") => "srv1";
    an_intended_promotion_that_happened: ("srv1=1#300 srv2=2#290,history=1@0/100|2", "2@0/100 srv3 0 intended", "") => "srv2";
    the_shutdown_checkpoint_is_missing: ("srv1=2#500,history=1@0/100|2", "2@0/100 srv2 0 kept end=0/200", "") => "none: History";
    behind_does_not_win_over_short: ("srv1=1#256 srv3=2#300,history=1@0/100|2", "2@0/100 srv2 0 end=0/200", "") => "none: History";
    the_shutdown_checkpoint_is_here: ("srv1=2#512,history=1@0/100|2", "2@0/100 srv2 0 kept end=0/200", "") => "srv1";
}

// Which database it is.
table! { chosen;
    another_database_has_no_vote: ("srv1=2#300,history=1@0/100|2,system=7 srv2=9#9000,history=8@0/1|9,system=8",
        "2@0/100 srv1 0 kept system=7", "") => "srv1";
    all_are_of_another_database: ("srv1=1#300,system=8 srv2=1#300,system=8", "2@0/100 srv1 0 kept system=7", "")
        => "none: OtherDatabase";
    an_older_agent_does_not_say: ("srv1=2#300,history=1@0/100|2", "2@0/100 srv1 0 kept system=7", "") => "srv1";
    no_record_and_two_databases: ("srv1=1#300,system=7 srv2=1#400,system=8", "", "") => "none: SeveralDatabases";
}

// What is not read to its end.
table! { chosen;
    it_may_hold_more: ("srv1=1#100 srv2=1#50,extent=atleast", "", "") => "none: Unfinished";
    it_was_waited_for: ("srv1=1#100 srv2=1#50,extent=atleast /srv2", "", "") => "srv1, srv2 unfinished";
    it_holds_the_most_already: ("srv1=1#100 srv2=1#101,extent=atleast", "", "") => "srv2";
    not_with_promises: ("srv1=1#100 srv2=1#50,extent=atleast /srv2", "", "srv2: ANY 1 (srv1, srv3)") => "none: Unfinished";
    the_last_primary_reads: ("srv1=1#100 srv3=1#90,extent=atleast", "", "srv3: ANY 1 (srv1, srv2)") => "none: Unfinished";
    its_disk_fails: ("srv1=1#100 srv2=1#50,extent=unread:Input/output_error", "", "") => "srv1, srv2 unreadable";
    its_disk_fails_with_promises: (
        "srv1=1#100 srv2=1#50,extent=unread:Input/output_error", "", "srv2: ANY 1 (srv1, srv3)") => "none: Unreadable";
    who_has_diverged_is_not_waited_for: (
        "srv1=2#300,history=1@0/100|2 srv2=1#257,extent=atleast", "2@0/100 srv1 0 kept", "") => "srv1";
}

// What a node has left that was stopped. `~` stands for `=`.
table! { chosen;
    it_counts: ("srv2=1#120 srv3:1#100", "", "srv1: ANY 1 (srv2, srv3)") => "srv2";
    it_is_not_promoted: ("srv2=1#120 srv3:1#130", "", "") => "srv2, srv3 is 10 ahead";
    it_may_hold_what_was_acknowledged: ("srv2=1#120 srv3:1#130", "", "srv1: ANY 1 (srv2, srv3)") => "none: BarredHoldsMore";
    no_other_node_is_there: ("srv3:1#130", "", "") => "none: AllBarred";
    the_primary_was_stopped: (
        "srv2=2#500,history=1@0/100|2 srv1:2#512,history~1@0/100|2", "2@0/100 srv1 0 kept", "") => "none: AllBarred";
    the_primary_was_stopped_and_had_sent_all: (
        "srv2=2#512,history=1@0/100|2 srv1:2#512,history~1@0/100|2", "2@0/100 srv1 0 kept", "") => "srv2";
}

// A name proves nothing.
table! { chosen;
    the_primary_restored_from_a_backup: (
        "srv1=2#300,history=1@0/100|2 srv3=2#400,history=1@0/100|2", "2@0/100 srv1 0 kept", "srv1: ANY 1 (srv2, srv3)")
        => "none: Synchronous";
    the_primary_copied_from_a_laggard: (
        "srv1=2#400,history=1@0/100|2,directory=replaced srv3=2#400,history=1@0/100|2", "2@0/100 srv1 0 kept",
        "srv1: ANY 1 (srv2, srv3)") => "none: Synchronous";
    the_primary_lacks_what_it_had_noted: (
        "srv1=2#400,history=1@0/100|2 srv3=2#400,history=1@0/100|2", "2@0/100 srv1 0 kept known=0/300@5",
        "srv1: ANY 1 (srv2, srv3)") => "none: Synchronous";
    the_primary_as_it_was: (
        "srv1=2#800,history=1@0/100|2 srv3=2#400,history=1@0/100|2", "2@0/100 srv1 0 kept known=0/300@5",
        "srv1: ANY 1 (srv2, srv3)") => "srv1";
    a_voter_restored_from_a_backup: (
        "srv2=2#400,history=1@0/100|2,directory=replaced srv3=2#420,history=1@0/100|2", "2@0/100 srv1 0 kept",
        "srv1: ANY 1 (srv2, srv3)") => "none: Synchronous";
    an_heir_restored_from_a_backup: (
        "srv2=2#250,history=1@0/80|2 srv3=2#300,history=1@0/80|2", "2@0/80 srv2 0 kept known=0/200@5",
        "srv2: -; srv1 + srv2: ANY 1 (srv2, srv4)") => "none: Synchronous";
}

// The nodes that may not, and those that must.
table! { chosen;
    barred_is_not_chosen: ("srv1=1#100 srv2=1#100 !srv1", "", "") => "srv2";
    barred_and_ahead: ("srv1=1#100 srv2=1#120 !srv2", "", "") => "srv1, srv2 is 20 ahead";
    barred_and_ahead_with_promises: ("srv1=1#100 srv2=1#120 srv3=1#100 !srv2", "", "srv9: ANY 1 (srv1, srv2, srv3)") => "none: BarredHoldsMore";
    barred_and_ahead_outside_the_quorum: ("srv1=1#100 srv2=1#120 !srv2", "", "srv9: ANY 1 (srv1)") => "srv1, srv2 is 20 ahead";
    full_and_ahead: ("srv1=1#100 srv2=1#120 %srv2", "", "") => "srv1, srv2 is 20 ahead";
    full_and_ahead_with_promises: ("srv1=1#100 srv2=1#120 srv3=1#100 %srv2", "", "srv9: ANY 1 (srv1, srv2, srv3)") => "none: BarredHoldsMore";
    all_are_full: ("srv1=1#100 srv2=1#120 %srv1 %srv2", "", "") => "none: AllBarred";
    all_barred: ("srv1=1#100 !srv1", "", "") => "none: AllBarred";
    ordered_is_chosen: ("srv1=1#1 srv2=1#9 >srv1", "", "") => "srv1, ordered";
    ordered_and_best: ("srv1=1#9 srv2=1#1 >srv1", "", "") => "srv1";
    ordered_against_history: ("srv1=1#200 >srv1", "2@0/100 srv2 0 kept", "") => "srv1, ordered";
    ordered_against_promises: ("srv1=1#200 >srv1", "", "srv3: ANY 1 (srv1, srv2)") => "srv1, ordered";
    ordered_and_full: ("srv1=1#1 srv2=1#9 >srv2 %srv2", "", "") => "none: AllBarred";
    ordered_and_barred: ("srv1=1#1 srv2=1#9 >srv2 !srv2", "", "") => "srv2, ordered";
    ordered_and_banned: ("srv1=1#1 srv2=1#9 >srv2 &srv2", "", "") => "none: AllBarred";
    banned_and_ahead: ("srv1=1#100 srv2=1#120 &srv2", "", "") => "srv1, srv2 is 20 ahead";
    banned_and_ahead_with_promises: ("srv1=1#100 srv2=1#120 srv3=1#100 &srv2", "", "srv9: ANY 1 (srv1, srv2, srv3)") => "none: BarredHoldsMore";
    the_old_primary_is_back_beside_the_banned: ("srv1=1#130 srv2=1#100 srv3=1#120 &srv3", "", "srv1: ANY 1 (srv1, srv2, srv3)") => "srv1";
    ordered_without_a_vote: ("srv1=1#9 srv2=- >srv2", "", "") => "srv2, ordered";
    ordered_and_not_there: ("srv1=1#9 srv3=1#1 >srv2", "", "") => "srv1";
    ordered_beside_a_running_primary: ("srv1=1#9 srv2=1#9 >srv1 *srv2", "", "") => "none: RunningPrimary";
    ordered_and_running_as_a_primary: ("srv1=1#9 srv2=1#1 >srv1 *srv1", "", "") => "srv1";
    ordered_elsewhere: ("srv1=1#9 srv2=1#1 >srv2", "", "") => "srv2, ordered";
}

#[test]
fn an_operator_keeps_back_whom_he_names_only() {
    let barred = [("srv1", Bar::NoFailover), ("srv2", Bar::TooFarBehind), ("srv3", Bar::Banned)];
    let barred = barred.into_iter().map(|(node, bar)| (NodeName::new(node), bar)).collect();
    let kept = Facts { barred, ..Facts::default() }.kept_back();
    assert_eq!(kept, ["srv1", "srv3"].map(NodeName::new).into());
}

// Acknowledged commits.
table! { chosen;
    asynchronous: ("srv1=1#5", "", "srv2: -") => "srv1";
    promises_unknown: ("srv1=1#5", "", "?") => "none: Synchronous";
    one_of_two_may_hold_it: ("srv1=1#5", "", "srv3: ANY 1 (srv1, srv2)") => "none: Synchronous";
    both_of_two_vote: ("srv1=1#5 srv2=1#4", "", "srv3: ANY 1 (srv1, srv2)") => "srv1";
    both_hold_everything: ("srv1=1#5", "", "srv3: ANY 2 (srv1, srv2)") => "srv1";
    first_is_treated_as_any: ("srv1=1#5", "", "srv3: FIRST 1 (srv1, srv2)") => "none: Synchronous";
    the_old_primary_votes: ("srv1=1#5 srv3=1#6", "", "srv3: ANY 1 (srv1, srv2)") => "srv3";
    a_strayed_one_does_not_count: ("srv1=2#300,history=1@0/100|2 srv2=1#9000", "2@0/100 srv3 0 kept", "srv3: ANY 1 (srv1, srv2)") => "none: Synchronous";
    a_silent_one_does_not_count: ("srv1=1#5 srv2=-", "", "srv3: ANY 1 (srv1, srv2)") => "none: Synchronous";
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
    settings_too_low: (&["1#1 settings=low"], None) => Some(Bar::SettingsTooLow);
    settings_raised: (&["1#1 settings=low", "1#2"], None) => None;
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
    let banned =
        "clear the ban of srv2 (pcs constraint --full): it may hold acknowledged commits that the others lack; ";
    let more = Refusal::BarredHoldsMore(srv2(), Bar::Banned).to_string();
    assert!(more.starts_with(banned), "{more}");
}

#[test]
fn the_reasons_say_what_helps() {
    let srv1 = || NodeName::new("srv1");
    let barred = [(srv1(), Bar::NoFailover), (NodeName::new("srv2"), Bar::TooFarBehind)].into_iter().collect();
    assert_eq!(
        Refusal::AllBarred(barred).to_string(),
        "all that could be promoted are barred (srv1: its node attribute says nofailover; \
         srv2: it was further behind than maxlag allows)"
    );
}

fn text(warning: Warning) -> String {
    warning.to_string()
}

table! { text;
    warns_of_silence: Warning::Silent(vec![NodeName::new("srv1"), NodeName::new("srv2")])
        => "srv1, srv2 did not vote: what they hold is not known";
    warns_of_the_barred: Warning::Barred { node: NodeName::new("srv2"), bar: Bar::NoFailover, bytes: 20 }
        => "srv2 holds 20 bytes of WAL more and is not promoted, because its node attribute says nofailover";
    warns_of_an_order: Warning::Ordered("srv2 should be promoted".to_owned())
        => "promoted by the operator's order; without it: srv2 should be promoted";
}
