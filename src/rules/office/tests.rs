//! What a running primary is to the cluster, in tables.

use super::*;
use crate::rules::synchronous::Published;
use crate::rules::table;

fn nodes(names: &str) -> BTreeSet<NodeName> {
    names.split_whitespace().map(NodeName::new).collect()
}

fn record_of(text: &str) -> Record {
    if text.is_empty() { Record::default() } else { text.parse().unwrap() }
}

/// The votes (`srv3=-` for none; `+srv2` streams from srv1), rivals, the record, promises → what the primary on srv1 is.
fn srv1((votes, rivals, record, promises): (&str, &str, &str, &str)) -> String {
    let published: Published = if promises.is_empty() { Published::default() } else { promises.parse().unwrap() };
    let mut facts = Facts {
        members: nodes("srv1 srv2 srv3"),
        record: record_of(record),
        published: Some(published),
        ..Facts::default()
    };
    let mut followers = BTreeSet::new();
    for (node, vote) in votes.split_whitespace().map(|word| word.split_once('=').unwrap()) {
        let name = NodeName::new(node.trim_start_matches('+'));
        if node.starts_with('+') {
            // It has the primary's database, independently of the record.
            facts.votes.insert(name.clone(), vote.replace(',', " ").replace('|', ",").parse().ok());
            followers.insert(name);
            continue;
        }
        match vote.replace(',', " ").replace('|', ",").parse() {
            Ok(vote) => facts.count_vote(&name, vote),
            Err(_) => _ = facts.votes.insert(name, None),
        }
    }
    match office(&NodeName::new("srv1"), &facts, &followers, &nodes(rivals.trim_matches('-')), rivals != "-") {
        Office::Elected => "elected".to_owned(),
        Office::Adopted(record) => format!("adopted after {record}"),
        Office::NewDatabase => "a new database".to_owned(),
        Office::Waits(Wait::Quorum) => "waits for quorum".to_owned(),
        Office::Waits(Wait::Votes(nodes)) => format!("waits for {}", nodes[0]),
        Office::Stray(Stray::Beside(node)) => format!("stray beside {node}"),
        Office::Stray(Stray::Lacks(node)) => format!("stray, lacks what {node} has"),
        Office::Stray(Stray::AnotherDatabase(node)) => format!("stray, another database than {node}"),
        Office::Stray(Stray::ForeignBeside(node)) => format!("stray, another database beside {node}"),
    }
}

const TWO: &str = "2@0/100 srv1 0 kept history=1@0/100,2";
const OF_SRV2: &str = "2@0/100 srv2 0 kept history=1@0/100,2";
const ANNOUNCED: &str = "3@0/300 srv1 0 intended history=1@0/100,2@0/300,3; 2@0/100 srv2 0 kept history=1@0/100,2";
const BEGUN: &str = "3@0/300 srv2 0 intended history=1@0/100,2@0/300,3; 2@0/100 srv2 0 kept history=1@0/100,2";
const THREE: &str = "3@0/300 srv1 0 kept history=1@0/100,2@0/300,3; 2@0/100 srv2 0 kept history=1@0/100,2";

table! { srv1;
    the_elected: ("srv1=2#900,history=1@0/100|2", "", TWO, "") => "elected";
    the_elected_beside_one_that_may_be: ("srv1=2#900,history=1@0/100|2", "srv2", TWO, "") => "elected";
    as_announced: ("srv1=3#900,history=1@0/100|2@0/300|3", "", ANNOUNCED, "") => "elected";
    on_the_first_timeline: ("srv1=1#900", "", "1@0/0 srv1 0 kept history=1", "") => "elected";
    promoted_by_hand_beside_the_primary: ("srv1=3#900,history=1@0/100|2@0/300|3", "srv2", OF_SRV2, "")
        => "stray beside srv2";
    of_one_timeline_beside_the_primary: ("srv1=2#900,history=1@0/100|2", "srv2", OF_SRV2, "") => "stray beside srv2";
    without_quorum: ("srv1=3#900,history=1@0/100|2@0/300|3", "-", OF_SRV2, "") => "waits for quorum";
    promoted_by_hand_and_one_is_silent: (
        "srv1=3#900,history=1@0/100|2@0/300|3 srv3=-", "", OF_SRV2, "") => "waits for srv3";
    promoted_by_hand_and_nothing_is_lost: (
        "srv1=3#900,history=1@0/100|2@0/300|3 srv3=2#768,history=1@0/100|2", "", OF_SRV2, "")
        => format!("adopted after {THREE}");
    promoted_by_hand_and_another_has_more: (
        "srv1=3#900,history=1@0/100|2@0/300|3 srv3=2#776,history=1@0/100|2", "", OF_SRV2, "")
        => "stray, lacks what srv3 has";
    promoted_by_hand_and_the_last_primary_is_known_to_have_more: (
        "srv1=3#900,history=1@0/100|2@0/300|3", "", "2@0/100 srv2 0 kept history=1@0/100,2 known=0/308@5", "")
        => "stray, lacks what srv2 has";
    promoted_by_hand_and_promises_are_not_covered: (
        "srv1=3#900,history=1@0/100|2@0/300|3", "", OF_SRV2, "srv2: ANY 1 (srv1, srv3)") => "stray, lacks what srv2 has";
    switched_over_by_hand: (
        "srv1=3#900,history=1@0/100|2@0/300|3 +srv2=3#890,history=1@0/100|2@0/300|3 +srv3=3#890,history=1@0/100|2@0/300|3",
        "", OF_SRV2, "srv2: ANY 1 (srv1, srv2, srv3)") => format!("adopted after {THREE}");
    no_record: ("srv1=3#900,history=1@0/100|2@0/300|3 srv3=2#768,history=1@0/100|2", "", "", "") => "adopted after ";
    no_record_and_another_has_more: ("srv1=1#900 srv3=1#908", "", "", "") => "stray, lacks what srv3 has";
    no_record_and_an_old_primary_has_diverged: (
        "srv1=3#900,history=1@0/100|2@0/300|3 srv3=2#9000,history=1@0/100|2", "", "", "") => "adopted after ";
    in_the_place_of_another_and_alone: ("srv1=2#900,history=1@0/100|2 +srv3=2#890,history=1@0/100|2", "", OF_SRV2, "")
        => format!("adopted after {OF_SRV2}");
    in_the_place_of_another_and_one_does_not_follow: (
        "srv1=2#900,history=1@0/100|2 srv3=2#890,history=1@0/100|2", "", OF_SRV2, "") => "stray, lacks what srv3 has";
    at_the_point_of_an_announced_one_that_has_ended: (
        "srv1=3#900,history=1@0/100|2@0/300|3 srv2=3#800,history=1@0/100|2@0/300|3", "", BEGUN, "")
        => "stray, lacks what srv2 has";
    at_the_point_of_an_announced_one_that_another_follows: (
        "srv1=3#900,history=1@0/100|2@0/300|3 srv3=3#800,history=1@0/100|2@0/300|3", "", BEGUN, "")
        => "stray, lacks what srv3 has";
    at_the_point_of_an_announced_one_that_has_not_happened: (
        "srv1=3#900,history=1@0/100|2@0/300|3 srv2=2#768,history=1@0/100|2", "", BEGUN, "")
        => format!("adopted after {THREE}");
    on_a_timeline_that_was_left: ("srv1=1#250", "", OF_SRV2, "") => "stray, lacks what srv2 has";
    a_new_database: ("srv1=1#900,system=8 +srv2=1#890,system=8", "", "2@0/100 srv2 0 kept system=7", "")
        => "a new database";
    a_new_database_that_no_standby_follows: ("srv1=1#900,system=8", "", "2@0/100 srv2 0 kept system=7", "") => "a new database";
    a_new_database_and_others_have_a_third: (
        "srv1=1#900,system=8 srv2=1#900,system=9", "", "2@0/100 srv2 0 kept system=7", "") => "a new database";
    a_new_database_and_one_has_not_voted: (
        "srv1=1#900,system=8 +srv2=1#890,system=8 srv3=-", "", "2@0/100 srv2 0 kept system=7", "") => "waits for srv3";
    a_new_database_on_the_timeline_of_the_old_one: (
        "srv1=2#900,history=1@0/100|2,system=8", "", "2@0/100 srv1 0 kept history=1@0/100,2 system=7", "") => "a new database";
    a_fresh_database_beside_the_primary: ("srv1=1#900,system=8", "srv2", "2@0/100 srv2 0 kept system=7", "")
        => "stray, another database beside srv2";
    a_new_database_and_one_does_not_follow_it: (
        "srv1=1#900,system=8 +srv3=1#890,system=8 srv2=2#900,history=1@0/100|2,system=7", "", "2@0/100 srv2 0 kept system=7", "")
        => "stray, another database than srv2";
    a_fresh_database_beside_the_old_one: (
        "srv1=1#900,system=8 srv2=2#900,history=1@0/100|2,system=7", "", "2@0/100 srv2 0 kept system=7", "")
        => "stray, another database than srv2";
}

/// The scores, the last primary on record, the nodes that are none → those that may be the primary beside srv1; all are online but
/// srv4.
fn beside_srv1((scores, last, none): (&str, &str, &str)) -> String {
    let scores = scores.split_whitespace().map(|word| word.split_once('=').unwrap());
    let scores = scores.map(|(node, score)| (NodeName::new(node), score.parse().unwrap())).collect();
    let record = record_of(&if last.is_empty() { String::new() } else { format!("2@0/100 {last} 0 kept") });
    let rivals = rivals(&NodeName::new("srv1"), &nodes("srv1 srv2 srv3"), &scores, &record, &nodes(none));
    rivals.iter().map(NodeName::as_str).collect::<Vec<_>>().join(" ")
}

table! { beside_srv1;
    by_its_score: ("srv1=1000 srv2=1001 srv3=990", "", "") => "srv2";
    by_the_record: ("srv1=1000 srv2=1000", "srv2", "") => "srv2";
    it_is_the_last_itself: ("srv1=1001 srv2=1000", "srv1", "") => "";
    it_follows_or_has_voted: ("srv2=1001", "srv2", "srv2") => "";
    it_is_not_there: ("srv4=1001", "srv4", "") => "";
    no_other: ("srv1=1 srv2=1000 srv3=-1000", "", "") => "";
}

/// The vote of srv1, in whose directory a primary ran last; the record → whose timeline it has written.
fn wrote((vote, record): (&str, &str)) -> Option<String> {
    let vote: Vote = vote.parse().unwrap();
    wrote_anothers_timeline(&NodeName::new("srv1"), &vote, &record_of(record), &nodes("srv1 srv2"))
        .map(|node| node.to_string())
}

table! { wrote;
    its_own: ("2#900 history=1@0/100,2", TWO) => None;
    anothers: ("2#900 history=1@0/100,2", OF_SRV2) => Some("srv2".to_owned());
    an_earlier_one: ("1#256", OF_SRV2) => None;
    one_that_has_diverged: ("2#900 history=1@0/90,2", OF_SRV2) => None;
    a_copy_of_the_primary: ("2#900 history=1@0/100,2 directory=replaced", OF_SRV2) => None;
    the_node_was_renamed: ("2#900 history=1@0/100,2", "2@0/100 srv0 0 kept") => None;
    not_all_is_read: ("2#900 history=1@0/100,2 extent=atleast", OF_SRV2) => None;
    // Whether what was announced has happened is not on record before the first monitor of that primary.
    an_announced_one: ("3#900 history=1@0/100,2@0/300,3", BEGUN) => Some("srv2".to_owned());
    one_from_another_point_than_announced: ("3#900 history=1@0/100,2@0/2F0,3", BEGUN) => None;
    one_that_it_has_announced_itself: (
        "3#900 history=1@0/100,2@0/300,3", "3@0/300 srv1 0 intended; 2@0/100 srv2 0 kept") => None;
    one_that_was_announced_and_ended: (
        "3#900 history=1@0/100,2@0/300,3", "3@0/300 srv2 0 intended end=0/380; 2@0/100 srv1 0 kept") => Some("srv2".to_owned());
    anothers_before_the_last: ("2#900 history=1@0/100,2", "3@0/300 srv1 0 kept; 2@0/100 srv2 0 kept") => Some("srv2".to_owned());
    nothing_recorded: ("2#900 history=1@0/100,2", "") => None;
    of_another_database: ("2#900 history=1@0/100,2 system=8", "2@0/100 srv2 0 kept system=7") => None;
}

#[test]
fn the_reasons_say_what_helps() {
    let node = || NodeName::new("srv2");
    for stray in
        [Stray::Beside(node()), Stray::Lacks(node()), Stray::AnotherDatabase(node()), Stray::ForeignBeside(node())]
    {
        let reason = stray.reason("pgsqld");
        assert!(reason.contains("srv2") && reason.contains("`pgsqlms ") && reason.len() <= 150, "{reason}");
    }
}

#[test]
fn the_primary_by_its_score_is_one_that_has_not_voted() {
    let score = |(node, score): (&str, i32)| (NodeName::new(node), Score(score));
    let scores = [score(("srv1", 1000)), score(("srv2", 1001))].into();
    assert_eq!(primary(&nodes("srv1 srv2"), &scores, &nodes("")), Some(NodeName::new("srv2")));
    assert_eq!(primary(&nodes("srv1 srv2"), &scores, &nodes("srv2")), None);
    assert_eq!(primary(&nodes("srv1"), &scores, &nodes("")), None);
}

#[test]
fn a_running_primary_has_written_even_if_it_was_copied_before() {
    let vote: Vote = "2#900 history=1@0/100,2 directory=replaced".parse().unwrap();
    let whose =
        |record: &str| writes_anothers_timeline(&NodeName::new("srv1"), &vote, &record_of(record), &nodes("srv1 srv2"));
    assert_eq!(whose(OF_SRV2), Some(NodeName::new("srv2")));
    assert_eq!((whose(TWO), whose("2@0/100 srv0 0 kept")), (None, None));
}

/// The questions of each node → the answer of srv1.
fn answered(questions: &str) -> Option<String> {
    let questions = questions.split_whitespace().map(|word| word.split_once('=').unwrap());
    let questions = questions.map(|(node, question)| (NodeName::new(node), question.to_owned())).collect();
    asked_last(&NodeName::new("srv1"), &questions).map(str::to_owned)
}

table! { answered;
    no_node_asks: "" => None;
    only_itself: "srv1=3@0/100/5" => None;
    another: "srv1=3@0/100/9 srv2=3@0/100/5" => Some("3@0/100/5".to_owned());
    the_first_by_name_has_asked_before: "srv2=3@0/100/5 srv3=3@0/200/9" => Some("3@0/200/9".to_owned());
    the_last_by_name_has_asked_before: "srv2=3@0/100/9 srv3=3@0/200/5" => Some("3@0/100/9".to_owned());
    without_a_time: "srv2=3 srv3=3@0/200/5" => Some("3@0/200/5".to_owned());
}
