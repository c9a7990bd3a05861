use super::*;
use crate::location::Timeline;
use crate::rules::table;

/// `srv2@3` keeps WAL from 3 MB on, `+` is in use, `!` is lost, `?` keeps nothing yet; `x:mine@3` is not the agent's.
fn slots(text: &str) -> Vec<Slot> {
    let slot = |word: &str| {
        let (node, place) = word.split_once('@').unwrap();
        let name = node.strip_prefix("x:").map_or_else(|| name_of(&NodeName::new(node)), str::to_owned);
        let restart = place.trim_end_matches(['+', '!']).parse().ok().map(|mb: u64| Lsn(mb << 20));
        Slot { name, restart, active: place.ends_with('+'), lost: place.ends_with('!') }
    };
    text.split_whitespace().map(slot).collect()
}

fn shown(steps: &[Step]) -> String {
    let short = |name: &str| name.replace("pgsqlms_", "");
    let step = |step: &Step| match step {
        Step::Create(name) => format!("+{}", short(name)),
        Step::Recreate(name) => format!("!{}", short(name)),
        Step::Advance(name, lsn) => format!("{}>{}", short(name), lsn.0 >> 20),
        Step::Drop(name) => format!("-{}", short(name)),
    };
    steps.iter().map(step).collect::<Vec<_>>().join(" ")
}

fn nodes(names: &str) -> BTreeSet<NodeName> {
    names.split_whitespace().map(NodeName::new).collect()
}

/// The configured nodes beside srv1, the primary; the nodes that wish a slot, and those that wish none; srv1's slots.
fn primary((configured, on, off, has): (&str, &str, &str, &str)) -> String {
    let wishes = nodes(on).into_iter().map(|node| (node, Wish::Slot));
    let wishes = wishes.chain(nodes(off).into_iter().map(|node| (node, Wish::NoSlot))).collect();
    let configured = nodes(&format!("srv1 {configured}"));
    shown(&on_primary(&NodeName::new("srv1"), configured.len() > 1, &configured, &wishes, &slots(has)))
}

table! { primary;
    all_there: ("srv2 srv3", "srv2 srv3", "", "srv2@3 srv3@3+") => "";
    none_there: ("srv2 srv3", "srv1 srv2 srv3", "", "") => "+srv2 +srv3";
    who_says_nothing_gets_none: ("srv2 arbiter", "srv2", "", "") => "+srv2";
    a_node_that_is_down_keeps_its_slot: ("srv2 srv3", "srv2", "", "srv2@3+ srv3@1") => "";
    even_a_lost_one_which_holds_nothing: ("srv2 srv3", "srv2", "", "srv2@3+ srv3@1!") => "";
    lost: ("srv2", "srv2", "", "srv2@3!") => "!srv2";
    never_reserved: ("srv2", "srv2", "", "srv2@?") => "!srv2";
    lost_and_in_use: ("srv2", "srv2", "", "srv2@?+") => "";
    removed_from_the_cluster: ("srv2", "srv2", "", "srv2@3+ srv3@1") => "-srv3";
    removed_and_still_connected: ("srv2", "srv2", "", "srv2@3+ srv3@1+") => "";
    no_longer_wished: ("srv2 srv3", "srv2", "srv3", "srv2@3+ srv3@1") => "-srv3";
    no_longer_wished_and_in_use: ("srv2 srv3", "srv2", "srv3", "srv2@3+ srv3@1+") => "";
    a_wish_of_a_stranger: ("srv2", "srv2 srv9", "", "srv2@3") => "";
    a_slot_for_itself: ("srv2", "srv2", "", "srv2@3 srv1@3") => "-srv1";
    those_of_others: ("srv2", "srv2", "", "srv2@3 x:backup@1 x:pgsqlms@1") => "";
    slots_are_not_kept_any_more: ("", "", "", "srv2@3 srv3@3+ x:backup@1") => "-srv2";
}

/// What the primary srv1 has published, in MB; the slots of srv2.
fn standby((published, has): (&str, &str)) -> String {
    let nodes = slots(published)
        .into_iter()
        .map(|slot| (NodeName::new(slot.name.replace("pgsqlms_", "")), slot.restart.unwrap()));
    let positions = Positions { timeline: Timeline(2), nodes: nodes.collect() };
    shown(&on_standby(&NodeName::new("srv2"), &positions, &slots(has)))
}

table! { standby;
    they_are_made: ("srv1@3 srv2@3 srv3@3", "") => "+srv1 +srv3";
    they_move_on: ("srv1@5 srv2@3 srv3@4", "srv1@3 srv3@3") => "srv1>5 srv3>4";
    they_do_not_go_back: ("srv1@3 srv2@3 srv3@4", "srv1@5 srv3@4") => "";
    lost_ones_are_made_anew: ("srv1@3 srv3@4", "srv1@3! srv3@?") => "!srv1 !srv3";
    one_that_is_in_use_moves_itself: ("srv1@3 srv3@4", "srv1@3 srv3@3+") => "";
    whom_the_primary_forgot: ("srv1@3 srv2@3", "srv1@3 srv3@3 x:mine@1") => "-srv3";
    the_primary_keeps_none: ("", "srv1@3 srv3@3+") => "-srv1";
}

fn setup((reads, slot, bounded, redo, has): (bool, &str, Option<bool>, u64, &str)) -> Setup {
    Setup { reads_our_file: reads, slot: slot.to_owned(), bounded, redo: Lsn(redo << 20), slots: slots(has) }
}

/// Whether such a server keeps and uses slots.
fn modes((mode, reads, slot, bounded): (Slots, bool, &str, Option<bool>)) -> (bool, bool) {
    let setup = setup((reads, slot, bounded, 0, ""));
    (keeps(mode, &setup), uses(mode, &setup))
}

table! { modes;
    bounded: (Slots::Auto, true, "", Some(true)) => (true, true);
    unbounded: (Slots::Auto, true, "", Some(false)) => (false, false);
    unbounded_and_asked_for: (Slots::On, true, "", Some(false)) => (true, true);
    turned_off: (Slots::Off, true, "pgsqlms_srv1", Some(true)) => (false, false);
    without_the_include: (Slots::Auto, false, "", Some(true)) => (true, false);
    a_slot_of_the_dba: (Slots::Auto, true, "mine", Some(true)) => (true, false);
    a_slot_of_the_dba_that_gives_way: (Slots::On, true, "mine", Some(true)) => (true, true);
    postgresql_12: (Slots::On, true, "", None) => (false, false);
}

const OURS: &str = "pgsqlms_srv2";

/// Mode, whether our file is read, `primary_slot_name`, where redo begins in MB, the slots.
fn due((mode, reads, slot, redo, has): (Slots, bool, &str, u64, &str)) -> bool {
    is_due(mode, &setup((reads, slot, Some(true), redo, has)))
}

table! { due;
    all_is_well: (Slots::Auto, true, OURS, 100, "srv1@100 srv3@120") => false;
    close: (Slots::Auto, true, OURS, 100, "srv1@84 srv3@120") => false;
    behind: (Slots::Auto, true, OURS, 100, "srv1@83 srv3@120") => true;
    behind_and_in_use: (Slots::Auto, true, OURS, 100, "srv1@83+ srv3@120") => false;
    lost_ones: (Slots::Auto, true, OURS, 100, "srv1@100! srv3@120") => true;
    no_slots_yet: (Slots::Auto, true, OURS, 100, "") => true;
    streams_without: (Slots::Auto, true, "", 100, "srv1@100") => true;
    unused_ones: (Slots::Off, true, "", 100, "srv1@100") => true;
    off_and_gone: (Slots::Off, true, "", 100, "") => false;
    off_and_in_use: (Slots::Off, true, OURS, 100, "") => true;
    no_include: (Slots::Auto, false, "", 100, "") => false;
    no_include_and_asked_for: (Slots::On, false, "", 100, "") => true;
    the_dbas_own: (Slots::Auto, true, "mine", 100, "") => false;
}

/// Whether srv2 uses slots, what the primary has published, `primary_slot_name` now → what it should be.
fn used((uses, published, now): (bool, Option<&str>, &str)) -> Option<String> {
    let positions: Option<Positions> = published.map(|text| text.parse().unwrap());
    slot_to_use(&NodeName::new("srv2"), uses, positions.as_ref(), now)
}

table! { used;
    there_is_one: (true, Some("2 srv1=0/1 srv2=0/1"), "") => Some(OURS.to_owned());
    it_is_set: (true, Some("2 srv1=0/1 srv2=0/1"), OURS) => None;
    copied_with_the_data: (true, Some("2 srv1=0/1 srv2=0/1"), "pgsqlms_srv3") => Some(OURS.to_owned());
    there_is_none: (true, Some("2 srv1=0/1 srv3=0/1"), OURS) => Some(String::new());
    there_are_none: (true, Some("2"), OURS) => Some(String::new());
    unknown: (true, None, OURS) => None;
    not_yet: (true, None, "") => None;
    not_used_any_more: (false, Some("2 srv1=0/1 srv2=0/1"), OURS) => Some(String::new());
    never_used: (false, None, "") => None;
    the_dbas: (false, None, "mine") => None;
    the_dbas_gives_way: (true, Some("2 srv1=0/1 srv2=0/1"), "mine") => Some(OURS.to_owned());
    the_dbas_stays_without_a_slot: (true, Some("2"), "mine") => None;
}

#[test]
fn positions_are_read_as_they_were_written() {
    let kept = slots("srv2@3+ srv3@1! srv4@2 srv5@2");
    let positions =
        |redo| Positions::new(&NodeName::new("srv1"), Timeline(5), redo, &nodes("srv1 srv2 srv3 srv4"), &kept);
    let text = "5 srv1=0/500000 srv2=0/300000 srv4=0/200000";
    assert_eq!(positions(Lsn(5 << 20)).to_string(), text);
    assert_eq!(text.parse(), Ok(positions(Lsn(5 << 20))));
    let none = Positions::new(&NodeName::new("srv1"), Timeline(5), Lsn(7), &nodes("srv1 srv2"), &[]);
    assert_eq!((none.to_string(), "5".parse()), ("5".to_owned(), Ok(none)));
    for bad in ["", "x", "5 srv1", "5 srv1=7", "srv1=0/1"] {
        assert!(bad.parse::<Positions>().is_err(), "{bad:?}");
    }
}

/// Whether the first is worth publishing after the second.
fn news((new, known): (&str, Option<&str>)) -> bool {
    let read = |text: &str| text.parse::<Positions>().unwrap();
    read(new).is_news(known.map(read).as_ref())
}

table! { news;
    first: ("5", None) => true;
    nothing: ("5", Some("5")) => false;
    promoted: ("6 srv1=0/1", Some("5 srv1=0/1")) => true;
    moved_a_little: ("5 srv1=0/1000000", Some("5 srv1=0/1")) => false;
    moved_by_a_segment: ("5 srv1=0/1000001", Some("5 srv1=0/1")) => true;
    moved_back: ("5 srv1=0/1", Some("5 srv1=0/2")) => true;
    one_more: ("5 srv1=0/1 srv2=0/1", Some("5 srv1=0/1")) => true;
    one_less: ("5 srv1=0/1", Some("5 srv1=0/1 srv2=0/1")) => true;
    another: ("5 srv1=0/1 srv3=0/1", Some("5 srv1=0/1 srv2=0/1")) => true;
}

#[test]
fn the_newest_primary_counts() {
    let read = |text: &str| text.parse::<Positions>().unwrap();
    let published =
        |list: &[(&str, &str)]| list.iter().map(|(node, text)| (NodeName::new(*node), read(text))).collect();
    let newest =
        |list: &[(&str, &str)]| Positions::newest(&NodeName::new("srv2"), published(list)).map(|it| it.timeline.0);
    assert_eq!(newest(&[("srv1", "5"), ("srv3", "6")]), Some(6));
    assert_eq!(newest(&[("srv1", "7"), ("srv2", "6")]), Some(7));
    assert_eq!(newest(&[("srv1", "5"), ("srv2", "6")]), None);
    assert_eq!(newest(&[]), None);
}
