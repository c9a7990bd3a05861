use super::*;

/// As PostgreSQL 15 writes it: a blank line before each line that a further promotion adds.
const FILE: &[u8] = b"1\t0/3000060\tno recovery target specified\n\n2\t0/5000000\tno recovery target specified\n";

fn history(published: &str) -> TimelineHistory {
    published.parse().unwrap()
}

fn lsn(text: &str) -> Lsn {
    text.parse().unwrap()
}

#[test]
fn file_of_two_promotions_is_read() {
    let history = TimelineHistory::parse(Timeline(3), FILE).unwrap();
    let reason = "no recovery target specified".to_owned();
    let first = Switch { timeline: Timeline(1), at: lsn("0/3000060"), reason: reason.clone() };
    let second = Switch { timeline: Timeline(2), at: lsn("0/5000000"), reason };
    assert_eq!(history.switches(), [first, second]);
    assert_eq!(history.timeline(), Timeline(3));
    assert!(history.is_whole());
}

#[test]
fn comments_blanks_and_missing_reasons_are_no_trouble() {
    let file = b"# comment\n\r\n  \t\n  1\t0/30\n 2 0/00000040\tbefore 2026-01-01 00:00:00+00\r\n# 9\n4\t0/40";
    let history = TimelineHistory::parse(Timeline(5), file).unwrap();
    assert_eq!(history.to_string(), "1@0/30,2@0/40,4@0/40,5");
    assert_eq!(history.switches()[1].reason, "before 2026-01-01 00:00:00+00");
    assert_eq!(TimelineHistory::parse(Timeline(7), b""), Ok(TimelineHistory::first(Timeline(7))));
}

#[test]
fn garbage_is_an_error_that_names_its_line() {
    let parse = |file: &[u8]| TimelineHistory::parse(Timeline(3), file).unwrap_err();
    for bad in ["x", "1", "1\t", "1\t0", "1\tx/y", "-1\t0/30", "+1\t0/30", "1.\t0/30", "4294967296\t0/30", "1\t0/30,"] {
        assert_eq!(parse(format!("#\n{bad}\n").as_bytes()), HistoryError::BadLine(2), "{bad}");
    }
    assert_eq!(parse(b"\xFF\xFE\0"), HistoryError::BadLine(1));
    assert_eq!(parse(&vec![b'\n'; MAX_FILE_LEN + 1]), HistoryError::TooLong(MAX_FILE_LEN + 1));
}

#[test]
fn timelines_rise_below_the_files_own_and_switch_points_never_fall() {
    let parse = |file: &[u8]| TimelineHistory::parse(Timeline(3), file).unwrap_err();
    assert_eq!(parse(b"2\t0/30\n1\t0/40"), HistoryError::OutOfOrder(2));
    assert_eq!(parse(b"1\t0/30\n1\t0/40"), HistoryError::OutOfOrder(2));
    assert_eq!(parse(b"1\t0/30\n2\t0/20"), HistoryError::OutOfOrder(2));
    assert_eq!(parse(b"3\t0/30"), HistoryError::OutOfOrder(1));
    assert_eq!(parse(b"0\t0/30"), HistoryError::OutOfOrder(1));
}

#[test]
fn published_form_is_read_back() {
    for text in ["1", "1@0/3000060,2", "1@0/3000060,2@0/5000000,3", "..,7@16/B374D848,8", "..,9"] {
        assert_eq!(history(text).to_string(), text);
    }
    let read = TimelineHistory::parse(Timeline(3), FILE).unwrap();
    assert_eq!(history(&read.to_string()), read.shortened());
}

#[test]
fn published_form_is_bounded() {
    let file: String = (1..=40).map(|n| format!("{n}\t{n:X}/0\tx\n")).collect();
    let whole = TimelineHistory::parse(Timeline(41), file.as_bytes()).unwrap();
    let text = whole.to_string();
    assert!(text.starts_with("..,25@19/0,26@1A/0,") && text.ends_with(",40@28/0,41"), "{text}");
    assert_eq!(history(&text), whole.shortened());
    assert_eq!(whole.shortened().switches().len(), MAX_PUBLISHED);
    assert_eq!(whole.shortened().to_string(), text);
    let seventeen: String = (1..=17).map(|n| format!("{n}@0/{n:X},")).collect();
    assert!(format!("{seventeen}18").parse::<TimelineHistory>().is_err());
}

#[test]
fn text_that_is_no_published_history_is_refused() {
    for bad in [
        "",
        ",",
        "0",
        "x",
        "1,2",
        "1@0/30",
        "1@,2",
        "@0/30,2",
        "2@0/30,2",
        "1@0/30,1@0/40,3",
        "..",
        "..,",
        "1 ",
        "1@0/30,2@0/20,3",
    ] {
        assert_eq!(bad.parse::<TimelineHistory>(), Err(BadPublished(bad.to_owned())), "{bad}");
    }
}

#[test]
fn ancestors_are_on_the_history_up_to_their_switch_point() {
    let three = history("1@0/3000060,2@0/5000000,3");
    let lineage = |timeline, at| three.lineage(Timeline(timeline), lsn(at));
    assert_eq!(lineage(1, "0/3000060"), Lineage::Ancestor);
    assert_eq!(lineage(1, "0/3000061"), Lineage::PastSwitch(lsn("0/3000060")));
    assert_eq!(lineage(2, "0/5000000"), Lineage::Ancestor);
    assert_eq!(lineage(2, "0/5000001"), Lineage::PastSwitch(lsn("0/5000000")));
    assert_eq!(lineage(3, "FF/0"), Lineage::Ancestor);
    assert_eq!(lineage(4, "0/30"), Lineage::Stranger);
    assert!(three.contains(Timeline(2), lsn("0/4000000")));
    assert!(!three.contains(Timeline(1), lsn("0/4000000")), "timeline 1 was left before");
    assert_eq!(history("1@0/30,3").lineage(Timeline(2), lsn("0/20")), Lineage::Stranger, "2 is another branch");
}

#[test]
fn shortened_history_admits_that_it_forgot() {
    let short = history("..,7@0/70,8");
    assert_eq!(short.lineage(Timeline(6), lsn("0/10")), Lineage::Forgotten);
    assert_eq!(short.lineage(Timeline(7), lsn("0/70")), Lineage::Ancestor);
    assert_eq!(short.lineage(Timeline(9), lsn("0/70")), Lineage::Stranger);
    assert!(!short.contains(Timeline(6), lsn("0/10")));
}

#[test]
fn each_byte_of_wal_has_one_timeline() {
    let three = history("1@0/30,2@0/50,3");
    let at = |text| three.timeline_at(lsn(text)).0;
    assert_eq!([at("0/0"), at("0/2F"), at("0/30"), at("0/4F"), at("0/50"), at("1/0")], [1, 1, 2, 2, 3, 3]);
    assert_eq!(three.begin(Timeline(1)), None);
    assert_eq!(three.begin(Timeline(2)), Some(lsn("0/30")));
    assert_eq!(three.begin(Timeline(3)), Some(lsn("0/50")));
    assert_eq!(three.begin(Timeline(4)), None);
    assert_eq!(three.switch_point(Timeline(2)), Some(lsn("0/50")));
    assert_eq!(three.switch_point(Timeline(3)), None);
    assert_eq!(three.timelines().collect::<Vec<_>>(), [Timeline(1), Timeline(2), Timeline(3)]);
}

macro_rules! forks {
    ($($name:ident: $left:literal, $right:literal => $fork:expr;)*) => { $(
        #[test]
        fn $name() {
            let fork: Option<(u32, Option<&str>)> = $fork;
            let fork = fork.map(|(timeline, at)| Fork { timeline: Timeline(timeline), at: at.map(lsn) });
            assert_eq!(history($left).fork(&history($right)), fork);
            assert_eq!(history($right).fork(&history($left)), fork, "the other way round");
        }
    )* };
}

forks! {
    same_timeline_has_not_forked: "1", "1" => Some((1, None));
    child_left_its_parent: "1", "1@0/30,2" => Some((1, Some("0/30")));
    grandchild_left_its_ancestor: "1@0/30,2", "1@0/30,2@0/50,3" => Some((2, Some("0/50")));
    two_children_of_one: "1@0/30,2", "1@0/40,3" => Some((1, Some("0/30")));
    two_timelines_with_one_number: "1@0/30,2", "1@0/40,2" => Some((1, Some("0/30")));
    their_children_are_no_kin: "1@0/30,2@0/60,3", "1@0/40,2@0/60,3" => Some((1, Some("0/30")));
    nothing_in_common: "1", "2" => None;
    shortened_is_compared_as_far_as_it_goes: "..,7@0/70,8", "1@0/10,6@0/60,7@0/70,8" => Some((8, None));
    shortened_and_diverged: "..,7@0/70,8", "1@0/10,6@0/60,7@0/71,8" => Some((7, Some("0/70")));
    forgotten_in_both: "..,7@0/70,8", "1@0/10,2" => None;
}

#[test]
fn files_are_named_as_postgresql_names_them() {
    assert_eq!(file_name(Timeline(10)), "0000000A.history");
    assert_eq!(timeline_of_file("0000000A.history"), Some(Timeline(10)));
    for bad in ["0000000a.history", "A.history", "0000000A.history.tmp", "+000000A.history", "0000000A", "００"] {
        assert_eq!(timeline_of_file(bad), None, "{bad}");
    }
}

#[test]
fn a_history_that_cannot_be_read_is_published_without_its_beginning() {
    let forgotten = TimelineHistory::forgotten(Timeline(3));
    assert_eq!(forgotten.to_string(), "..,3");
    assert_eq!(history("..,3"), forgotten);
    assert_eq!(forgotten.lineage(Timeline(2), lsn("0/30")), Lineage::Forgotten);
}
