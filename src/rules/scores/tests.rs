//! Named rows for the ranking of standbys.

use super::*;
use crate::rules::table;

/// `srv2@90` streams and has flushed up to 90 MB, `+` is synchronous, `~` in catchup, `!` a backup, `@?` unreported.
fn replica(text: &str) -> Replica {
    let (name, place) = text.split_once('@').unwrap();
    let state = match place.chars().last() {
        Some('!') => SenderState::NotReplicating,
        Some('~') => SenderState::Catchup,
        _ => SenderState::Streaming,
    };
    let flushed = place.trim_end_matches(['!', '~', '+']).parse().ok().map(|mb: u64| Lsn(mb << 20));
    Replica { name: name.to_owned(), state, flushed, reports: flushed.is_some(), synchronous: place.ends_with('+') }
}

/// maxlag in MB, the replicas of srv1 at 1000 MB, the scores before → the scores after. Among the replicas: `!srv2` is
/// barred, `-srv2` lacks a logical slot, `^srv2` has priority 1, `?srv2` would fail, `new` says that srv1 was just promoted,
/// `wish` that a constraint prefers some node, and `adopted` that srv1 was not elected.
fn given((max_lag, replicas, before): (Option<u64>, &str, &str)) -> String {
    let before: BTreeMap<NodeName, Score> = before
        .split_whitespace()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(node, score)| (NodeName::new(node), score.parse().unwrap()))
        .collect();
    let nodes = |sign: char| -> BTreeSet<NodeName> {
        replicas.split_whitespace().filter_map(|word| word.strip_prefix(sign)).map(NodeName::new).collect()
    };
    let wanted = scores(&Standing {
        me: &NodeName::new("srv1"),
        members: &["srv1", "srv2", "srv3"].into_iter().map(NodeName::new).collect(),
        replicas: &replicas.split_whitespace().filter(|word| word.contains('@')).map(replica).collect::<Vec<_>>(),
        current: Lsn(1000 << 20),
        max_lag: max_lag.map(|mb| mb << 20),
        scores: &before,
        barred: &nodes('!'),
        lacking: &nodes('-'),
        unfit: &nodes('?'),
        priority: &nodes('^').into_iter().map(|node| (node, 1)).collect(),
        new: replicas.contains("new"),
        adopted: replicas.contains("adopted"),
        preference: replicas.contains("wish"),
    });
    wanted.iter().map(|(node, score)| format!("{node}={score}")).collect::<Vec<_>>().join(" ")
}

table! { given;
    furthest_first: (None, "srv2@900 srv3@950", "") => "srv1=1001 srv2=990 srv3=1000";
    equals_go_by_name: (None, "srv3@990 srv2@990", "") => "srv1=1001 srv2=1000 srv3=990";
    // PAF #126: scores that swap with every transaction restart transitions.
    close_ones_keep_their_order: (None, "srv2@990 srv3@995", "srv2=1000 srv3=990") => "srv1=1001 srv2=1000 srv3=990";
    a_clear_lead_changes_the_order: (None, "srv2@970 srv3@995", "srv2=1000 srv3=990") => "srv1=1001 srv2=990 srv3=1000";
    synchronous_goes_first: (None, "srv2@995 srv3@990+", "srv2=1000 srv3=990") => "srv1=1001 srv2=990 srv3=1000";
    one_is_gone: (None, "srv3@990", "srv2=1000 srv3=990") => "srv1=1001 srv2=-1000 srv3=1000";
    too_far_behind: (Some(20), "srv2@970 srv3@995", "") => "srv1=1001 srv2=-991 srv3=1000";
    at_the_bound: (Some(20), "srv2@980 srv3@995", "") => "srv1=1001 srv2=1000 srv3=990";
    all_too_far_behind: (Some(1), "srv2@970 srv3@995", "") => "srv1=1001 srv2=-991 srv3=-1001";
    a_backup_takes_no_rank: (None, "srv2@990 srv3@995!", "") => "srv1=1001 srv2=1000 srv3=-1";
    catching_up_and_reporting: (None, "srv2@500~ srv3@995", "") => "srv1=1001 srv2=990 srv3=1000";
    // SQL sorts NULL first: PAF gave such a standby 1000.
    not_yet_reported: (None, "srv2@?~ srv3@900", "") => "srv1=1001 srv2=-1000 srv3=1000";
    strangers_take_no_rank: (None, "pg_receivewal@1000 srv3@900 barman@950", "") => "srv1=1001 srv2=-1000 srv3=1000";
    srv2_is_not_srv20: (None, "srv20@1000 srv3@900", "") => "srv1=1001 srv2=-1000 srv3=1000";
    connected_to_myself: (None, "srv1@1000 srv2@900", "") => "srv1=1001 srv2=1000 srv3=-1000";
    twice_connected: (None, "srv2@800 srv2@995 srv2@999! srv3@900", "") => "srv1=1001 srv2=1000 srv3=990";
    hostile_names: (None, "(@1000 $(id)@1000 srv2|x@1000 @1000 srv2@900", "") => "srv1=1001 srv2=1000 srv3=-1000";
    // PAF #26, #220: after a break of the replication network no node could be promoted.
    last_good_stays_a_candidate: (None, "", "srv2=990 srv3=1000") => "srv1=1001 srv2=-1000 srv3=1";
    last_good_stays_for_long: (None, "", "srv2=-1000 srv3=1") => "srv1=1001 srv2=-1000 srv3=1";
    who_has_yielded_stays_out: (None, "srv3@990", "srv2=-1000000 srv3=990") => "srv1=1001 srv2=-1000000 srv3=1000";
    connecting_is_not_following: (None, "srv2@995! srv3@990", "srv2=-1000000") => "srv1=1001 srv2=-1000000 srv3=1000";
    nor_is_catching_up_without_a_word: (None, "srv2@?~ srv3@990", "srv2=-1000000") => "srv1=1001 srv2=-1000000 srv3=1000";
    nor_being_the_last_one_there: (None, "", "srv2=-1000000 srv3=-1000") => "srv1=1001 srv2=-1000000 srv3=-1000";
    nor_having_a_new_primary: (None, "new srv3@990", "srv2=-1000000") => "srv1=1001 srv2=-1000000 srv3=1000";
    until_it_follows: (None, "srv2@990", "srv2=-1000000") => "srv1=1001 srv2=1000 srv3=-1000";
    no_standby_was_ever_good: (None, "", "srv2=-1000 srv3=-1000") => "srv1=1001 srv2=-1000 srv3=-1000";
    new_primaries_wait_for_their_standbys: (None, "new srv3@990", "srv1=1000 srv2=1001 srv3=990") => "srv1=1001 srv2=1000 srv3=1000";
    but_invent_no_candidates: (None, "new srv3@990", "srv2=-1000") => "srv1=1001 srv2=-1000 srv3=1000";
    barred: (None, "srv2@990 srv3@900 !srv2", "") => "srv1=1001 srv2=-1000000 srv3=990";
    all_others_barred: (None, "srv2@990 !srv2 !srv3", "srv3=1000") => "srv1=1001 srv2=-1000000 srv3=-1000000";
    the_primary_itself_barred: (None, "srv2@990 srv3@990 !srv1", "") => "srv1=1001 srv2=1000 srv3=990";
    priority_decides_between_equals: (None, "srv2@990 srv3@985 ^srv3", "srv2=1000 srv3=990") => "srv1=1001 srv2=990 srv3=1000";
    priority_does_not_beat_wal: (None, "srv2@990 srv3@900 ^srv3", "") => "srv1=1001 srv2=1000 srv3=990";
    logical_slots_decide_between_equals: (None, "srv2@990 srv3@985 -srv2 ^srv2", "srv2=1000 srv3=990") => "srv1=1001 srv2=990 srv3=1000";
    logical_slots_do_not_beat_wal: (None, "srv2@990 srv3@900 -srv2", "") => "srv1=1001 srv2=1000 srv3=990";
    nor_promises: (None, "srv2@990+ srv3@990 -srv2", "") => "srv1=1001 srv2=1000 srv3=990";
    all_lack_some: (None, "srv2@990 srv3@990 -srv2 -srv3", "srv3=1000 srv2=990") => "srv1=1001 srv2=990 srv3=1000";
    // PAF #184: the preferred node was promoted before it had caught up, and gave the role back.
    a_preferred_node_returns: (None, "wish srv2@500~ srv3@995", "srv3=1000") => "srv1=1001 srv2=-1000000 srv3=1000";
    it_streams_and_is_far_behind: (None, "wish srv2@900 srv3@995", "srv2=-1000000 srv3=1000") => "srv1=1001 srv2=-1000000 srv3=1000";
    it_is_within_a_segment: (None, "wish srv2@990 srv3@995", "srv2=-1000000 srv3=1000") => "srv1=1001 srv2=990 srv3=1000";
    it_has_not_connected: (None, "wish srv3@995", "srv2=-1000 srv3=1000") => "srv1=1001 srv2=-1000000 srv3=1000";
    it_copies_a_backup: (None, "wish srv2@990! srv3@995", "srv3=1000") => "srv1=1001 srv2=-1000000 srv3=1000";
    one_that_lags_again_stays: (None, "wish srv2@500 srv3@995", "srv2=1000 srv3=990") => "srv1=1001 srv2=990 srv3=1000";
    the_last_good_stays_in_spite_of_a_wish: (None, "wish", "srv2=990 srv3=1000") => "srv1=1001 srv2=-1000000 srv3=1";
    too_far_behind_in_spite_of_a_wish: (Some(5), "wish srv2@990 srv3@999", "srv2=1000 srv3=990") => "srv1=1001 srv2=-1001 srv3=990";
    the_primary_before_one_that_is_adopted: (None, "adopted srv2@995 srv3@995", "srv1=990 srv2=1001 srv3=1000")
        => "srv1=1001 srv2=1 srv3=990";
    the_primary_before_one_that_was_elected: (None, "srv2@995 srv3@995", "srv1=990 srv2=1001 srv3=1000")
        => "srv1=1001 srv2=1000 srv3=990";
    it_does_not_stream: (None, "adopted srv3@995", "srv1=990 srv2=1001 srv3=1000") => "srv1=1001 srv2=-1000 srv3=1000";
    one_that_would_fail_goes_last: (None, "srv2@995+ srv3@400 ?srv2 ^srv2", "srv2=1000 srv3=990") => "srv1=1001 srv2=990 srv3=1000";
    all_would_fail: (None, "srv2@995 srv3@400 ?srv2 ?srv3", "") => "srv1=1001 srv2=1000 srv3=990";
    a_backup_is_no_last_good: (None, "srv3@995!", "srv2=-1000 srv3=1000") => "srv1=1001 srv2=-1000 srv3=-1";
}

fn counts((flush, sent): (Option<u64>, Option<u64>)) -> Option<u64> {
    flushed(flush.map(Lsn), sent.map(Lsn)).map(|lsn| lsn.0)
}

table! { counts;
    on_its_way: (Some(90), Some(100)) => Some(90);
    up_to_date: (Some(100), Some(100)) => Some(100);
    more_than_it_was_sent: (Some(101), Some(100)) => None;
    sent_is_unknown: (Some(90), None) => Some(90);
    silent: (None, Some(100)) => None;
}

#[test]
fn a_hundred_standbys_stay_promotable() {
    let names: Vec<String> = (0..150).map(|number| format!("srv{number:03}")).collect();
    let replicas: Vec<Replica> = names.iter().map(|name| replica(&format!("{name}@990"))).collect();
    let members = names.iter().map(NodeName::new).collect();
    let before = BTreeMap::new();
    let me = NodeName::new("srv000");
    let standing = Standing {
        me: &me,
        members: &members,
        replicas: &replicas,
        current: Lsn(0),
        max_lag: None,
        barred: &BTreeSet::new(),
        lacking: &BTreeSet::new(),
        unfit: &BTreeSet::new(),
        priority: &BTreeMap::new(),
        new: false,
        adopted: false,
        preference: false,
        scores: &before,
    };
    assert!(scores(&standing).values().all(|score| *score >= Score::CANDIDATE));
}

#[test]
fn only_changes_are_written() {
    let scores = |list: &[(&str, i32)]| -> BTreeMap<NodeName, Score> {
        list.iter().map(|(node, score)| (NodeName::new(*node), Score(*score))).collect()
    };
    let current = scores(&[("srv1", 1001), ("srv2", 1000), ("gone", 990)]);
    let wanted = scores(&[("srv1", 1001), ("srv2", 990), ("srv3", 1000)]);
    assert_eq!(changes(&wanted, &current), [(NodeName::new("srv2"), Score(990)), (NodeName::new("srv3"), Score(1000))]);
}
