//! Each row of a table is a small history and its findings; most are histories of something that went wrong, because
//! a checker that never fails proves nothing.

use super::*;

/// Two primaries.
mod primaries;

/// `ok`, `fail` or `info` and the number, with `<n` for the commit that it saw before: `1ok 2ok<1 3info`. Client 1.
fn attempts(text: &str) -> Vec<Attempt> {
    text.split_whitespace().map(attempt).collect()
}

fn attempt(word: &str) -> Attempt {
    let (word, seen) = word.split_once('<').map_or((word, None), |(word, seen)| (word, seen.parse().ok()));
    let (number, outcome) = word.split_at(word.find(char::is_alphabetic).unwrap());
    let outcome = match outcome {
        "ok" => Outcome::Ok,
        "fail" => Outcome::Fail,
        "info" => Outcome::Info,
        other => panic!("no outcome: {other}"),
    };
    let seq: u32 = number.parse().unwrap();
    Attempt {
        client: 1,
        seq: seq.into(),
        sent: Moment(u64::from(seq) * 1000),
        ended: Moment(u64::from(seq) * 1000 + 500),
        outcome,
        instance: seen.map(|_| server('A', 1)),
        seen,
        reason: None,
    }
}

fn server(letter: char, timeline: u32) -> Instance {
    Instance { started: i64::from(u32::from(letter)), timeline, node: letter.to_string() }
}

fn rows(text: &str) -> Vec<RowId> {
    text.split_whitespace().map(|seq| RowId { client: 1, seq: seq.parse().unwrap() }).collect()
}

fn found(attempts_text: &str, rows_text: &str) -> String {
    let account = account(&attempts(attempts_text), &rows(rows_text));
    let sets = [
        ("lost", &account.lost),
        ("twice", &account.twice),
        ("phantom", &account.phantom),
        ("observed", &account.observed_then_lost),
    ];
    let mut words: Vec<String> =
        sets.iter().filter(|(_, rows)| !rows.is_empty()).map(|(name, rows)| format!("{name} {rows}")).collect();
    words.extend((account.gaps > 0).then(|| format!("gaps {}", account.gaps)));
    words.extend(account.went_back.iter().map(|back| format!("{} did not see {}", back.seq, back.acknowledged)));
    words.join(", ")
}

macro_rules! accounts {
    ($($name:ident: $attempts:expr, $rows:expr => $found:expr;)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(found($attempts, $rows), $found);
        })*
    };
}

accounts! {
    // attempts                                     rows         found
    all_there:            "1ok 2ok 3ok",            "1 2 3"   => "";
    nothing_at_all:       "",                       ""        => "";
    planted_loss_at_end:  "1ok 2ok 3ok",            "1"       => "lost 2 (client 1: 2-3)";
    planted_hole:         "1ok 2ok 3ok",            "1 3"     => "lost 1 (client 1: 2), gaps 1";
    planted_duplicate:    "1ok 2ok",                "1 2 2"   => "twice 1 (client 1: 2)";
    refused_but_there:    "1ok 2fail",              "1 2"     => "phantom 1 (client 1: 2)";
    never_attempted:      "1ok",                    "1 7"     => "phantom 1 (client 1: 7)";
    unknown_and_there:    "1ok 2info",              "1 2"     => "";
    unknown_and_gone:     "1ok 2info",              "1"       => "";
    refused_and_gone:     "1ok 2fail 3ok",          "1 3"     => "";
    seen_and_gone:        "1ok 2info 3ok<2",        "1 3"     => "observed 1 (client 1: 2)";
    seen_and_there:       "1info 2ok<1",            "1 2"     => "";
    sees_its_own:         "1ok 2ok<1 3fail 4ok<2",  "1 2 4"   => "";
    planted_time_travel:  "1ok 2ok<1 3ok<1",        "1 2 3"   => "3 did not see 2";
    travel_by_an_unknown: "1ok 2ok<1 3info<1",      "1 2 3"   => "3 did not see 2";
}

/// Milliseconds of acknowledgements; a mark is a word of letters before its time: `0 10 cut15 2000`; `...` for attempts
/// that fail until the end, at 3000.
fn outages_in(text: &str) -> String {
    let (mut acks, mut marks) = (Vec::new(), Vec::new());
    let failing = text.ends_with("...");
    for word in text.trim_end_matches("...").split_whitespace() {
        let (name, time) = word.split_at(word.find(char::is_numeric).unwrap());
        let at = Moment(time.parse::<u64>().unwrap() * 1000);
        match name {
            "" => acks.push(at),
            "healed" => marks.push(Mark { at, kind: MarkKind::End, text: name.to_owned() }),
            name => marks.push(Mark { at, kind: MarkKind::Begin, text: name.to_owned() }),
        }
    }
    let outages = outages(&acks, failing, &marks, Moment(3_000_000));
    let show = |outage: Option<Outage>| match outage {
        Some(outage) => format!("{}{}", outage.lasted().as_millis(), if outage.over { "" } else { "..." }),
        None => "none".to_owned(),
    };
    let marks = outages.by_mark.iter().map(|fault| format!(" {}={}", fault.mark.text, show(fault.outage)));
    show(outages.longest) + &marks.collect::<String>()
}

macro_rules! outage_tables {
    ($($name:ident: $history:expr => $outages:expr;)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(outages_in($history), $outages);
        })*
    };
}

outage_tables! {
    never_a_commit:                 "cut100 ..."                       => "none cut=none";
    one_commit:                     "10"                               => "none";
    longest_of_three:               "0 10 900 910 2990"                => "2080";
    order_of_recording_is_nothing:  "910 0 2990 10 900"                => "2080";
    a_late_start_is_not_an_outage:        "2500 2600 2990"                   => "390";
    a_quiet_end_is_not_an_outage:       "0 10 20"                          => "10";
    never_back:                     "0 10 20 ..."                      => "2980...";
    never_back_after_a_fault:       "0 10 cut15 ..."                   => "2990... cut=2990...";
    one_fault:                      "0 10 cut15 1945 1950 2990"        => "1935 cut=1935";
    an_ack_still_on_its_way:        "0 10 cut15 20 1950 2990"          => "1930 cut=1930";
    two_faults:                     "0 kill5 700 stop800 810 1900"     => "1090 kill=700 stop=1090";
    an_end_ends_nothing:            "0 cut5 healed300 900 910 1000"    => "900 cut=900";
    an_outage_over_two_marks:       "0 cut5 fence500 2000 2990"        => "2000 cut=2000 fence=2000";
    a_fault_without_effect:         "0 10 note11 12 cut13 14 2014"     => "2000 note=2 cut=2000";
    a_mark_at_a_commit:             "0 1000 cut1000 1500"              => "1000 cut=500";
    each_mark_has_its_own:          "0 a5 10 1000 b1000 2500"          => "1500 a=990 b=1500";
    shortly_before_the_next_mark:   "0 a5 10 990 b1000 2500"           => "1510 a=980 b=1510";
    long_before_the_next_mark:      "0 a5 10 500 b1000 2500"           => "2000 a=2000 b=2000";
    a_mark_after_the_last_commit:   "0 10 20 note2500"                 => "10 note=none";
}

#[test]
fn a_proof_of_less_than_a_millisecond_is_not_rounded_away() {
    let ack = |letter, sent, acked| Ack {
        instance: server(letter, 1),
        proof: Proof::Ackable,
        sent: Moment(sent),
        acked: Moment(acked),
    };
    let found = primaries(&[ack('A', 0, 10), ack('B', 0, 10), ack('A', 20, 30), ack('B', 20, 30)]);
    assert_eq!((found.dual_ackable_ms, found.never_two()), (1, false));
}

fn history(text: &str) -> History {
    let start = Start { first_client: 1, clients: 1 };
    History { start, attempts: attempts(text), ended: Some(Moment(5_000_000)), ..History::default() }
}

#[test]
fn a_good_history_passes_and_reads_well() {
    let mut history = history("1ok 2fail 3info");
    history.attempts.push(Attempt { ended: Moment(1_934_500), ..attempt("4ok") });
    history.ended = Some(Moment(1_940_000));
    history.marks.push(Mark { at: Moment(1600), kind: MarkKind::Begin, text: "power off srv1".to_owned() });
    let report = history.check(&rows("1 3 4"));
    assert_eq!(report.problems(), Vec::<String>::new());
    let expected = "\
acknowledged commits: 2 of 4 (refused 1, unknown 1)
acknowledged commits lost: 0
commits there twice: 0
rows never committed: 0
unknown commits that are there: 1
write outage: 1.93 s
  power off srv1 (at 0.002 s): 1.93 s
two primaries at once: never";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn every_problem_is_named() {
    let mut history = history("1ok 2ok<1 3ok<1 4fail");
    let beat = |letter, sent| Beat {
        instance: server(letter, 1),
        proof: Proof::Writable,
        sent: Moment(sent),
        acked: Moment(sent + 2000),
    };
    history.beats = vec![beat('B', 0), beat('C', 50_000), beat('B', 100_000)];
    let report = history.check(&rows("2 2 3 4"));
    let expected = [
        "acknowledged commits lost: 1 (client 1: 1)",
        "rows there twice: 1 (client 1: 2)",
        "rows never committed: 1 (client 1: 4)",
        "A on timeline 1 did not show client 1 its acknowledged commit 2 (1 such)",
        // The writer's own commits count as well.
        "two primaries at once: writable 1 ms, ackable 0 ms, witnesses 3; B on timeline 1 accepted writes at 0.002 s \
         and 0.100 s, A on timeline 1 at 0.003 s",
    ];
    assert_eq!(report.problems(), expected);
}

#[test]
fn moments_are_microseconds() {
    assert_eq!(Moment::after(std::time::Duration::from_millis(1500)), Moment(1_500_000));
    assert_eq!(Moment(1_500_000).to_string(), "1.500 s");
}

#[test]
fn a_history_without_commits_proves_nothing() {
    assert!(!history("1fail 2info").check(&[]).passed());
}

#[test]
fn rows_of_other_writers_are_not_ours() {
    let foreign = [RowId { client: 2, seq: 1 }, RowId { client: 0, seq: 1 }, RowId { client: 1, seq: 1 }];
    assert!(history("1ok").check(&foreign).passed());
}

#[test]
fn the_json_report_has_the_figures() {
    let report = history("1ok 2ok").check(&rows("1"));
    let twin: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(twin["passed"], false);
    assert_eq!((&twin["ops"], &twin["ok"]), (&2.into(), &2.into()));
    assert_eq!(twin["acked_lost"]["count"], 1);
    assert_eq!(twin["acked_lost"]["ranges"][0]["first"], 2);
    assert_eq!(
        (&twin["dup"]["count"], &twin["dual_ackable_ms"], &twin["witnesses"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert_eq!((&twin["outage"]["seconds"], &twin["outage"]["over"]), (&0.001.into(), &true.into()));
}

#[test]
fn many_ranges_are_cut_short() {
    let scattered: Rows = (0..20).map(|n| RowId { client: 1, seq: n * 2 }).collect();
    let text = scattered.to_string();
    assert!(text.starts_with("20 (client 1: 0, client 1: 2, "), "{text}");
    assert!(text.ends_with(" and 12 more ranges)"), "{text}");
}

mod journals {
    use super::*;

    fn journal(events: &[Event], tail: &str) -> Result<History, JournalError> {
        let lines: String = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        fs::write(&path, lines + tail).unwrap();
        History::read(&path)
    }

    fn start() -> Event {
        Event::Start(Start { first_client: 1, clients: 1 })
    }

    #[test]
    fn is_read_as_it_was_recorded() {
        let whole = history("1ok<0 2info");
        let mut events = vec![start()];
        events.extend(whole.attempts.iter().cloned().map(Event::Attempt));
        events.push(Event::End { at: Moment(5_000_000) });
        assert_eq!(journal(&events, "").unwrap(), whole);
    }

    #[test]
    fn of_a_killed_writer_leaves_one_attempt_of_each_client_open() {
        let start = Event::Start(Start { first_client: 1, clients: 2 });
        let killed = journal(&[start, Event::Attempt(attempt("1ok"))], "{\"attempt\":{\"cli").unwrap();
        let of_client_2 = |seq| RowId { client: 2, seq };
        assert!(killed.check(&[rows("1 2"), vec![of_client_2(1)]].concat()).passed());
        assert!(!killed.check(&rows("1 2 3")).passed());
        assert!(!killed.check(&[rows("1"), vec![of_client_2(2)]].concat()).passed());
    }

    #[test]
    fn with_a_broken_line_in_the_middle_is_refused() {
        let error = journal(&[start()], "nonsense\n{\"end\":{\"at\":1}}\n").unwrap_err();
        assert!(error.to_string().starts_with("line 2 of the journal"), "{error}");
    }
}

mod node_contents {
    use super::*;

    /// `P` or `S`, the system, the timeline (`-` for none), the LSN, the digest: `P 1 2 100 abc`. Target LSN: 100.
    fn differences(states: &[&str]) -> String {
        let states = states.iter().enumerate().map(|(index, text)| {
            let words: Vec<&str> = text.split_whitespace().collect();
            NodeState {
                node: format!("srv{}", index + 1),
                in_recovery: words[0] == "S",
                system_identifier: words[1].parse().unwrap(),
                timeline: words[2].parse().ok(),
                lsn: words[3].parse().unwrap(),
                rows: 1,
                digest: words[4].to_owned(),
            }
        });
        let nodes = Nodes { states: states.collect(), target: 100 };
        nodes.differences().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    macro_rules! nodes {
        ($($name:ident: $states:expr => $differences:expr;)*) => {
            $(#[test]
            fn $name() {
                assert_eq!(differences(&$states), $differences);
            })*
        };
    }

    nodes! {
        equal:             ["P 1 2 100 abc", "S 1 2 100 abc"] => "";
        a_little_ahead:    ["P 1 2 100 abc", "S 1 2 108 abc"] => "";
        no_primary:        ["S 1 2 100 abc", "S 1 2 100 abc"] => "no node is a primary";
        two_primaries:     ["P 1 2 100 abc", "P 1 1 100 abc"] => "several nodes are primaries: srv1, srv2";
        another_system:    ["P 1 2 100 abc", "S 7 2 100 abc"] => "srv2 has another system identifier than the primary";
        older_timeline:    ["P 1 2 100 abc", "S 1 1 100 abc"] => "srv2 does not receive the primary's timeline";
        not_streaming:     ["P 1 2 100 abc", "S 1 - 100 abc"] => "srv2 does not receive the primary's timeline";
        behind:            ["P 1 2 100 abc", "S 1 2 99 abc"]  => "srv2 has not replayed all that the primary had";
        other_content:     ["P 1 2 100 abc", "S 1 2 100 xyz"] => "srv2 holds other rows than the primary";
        both_are_named:    ["S 1 2 9 abc", "P 1 2 100 abc", "S 1 2 100 x"] =>
            "srv1 has not replayed all that the primary had; srv3 holds other rows than the primary";
    }
}
