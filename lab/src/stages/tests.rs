use super::*;
use crate::history::{Event, Instance, Mark, MarkKind};

/// The client's record begins then.
const BEGAN: u64 = 1_795_825_622_270_000;

/// `milliseconds-after-BEGAN node program message`, as the nodes have written them.
fn entries(lines: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let mut words = line.trim().splitn(4, ' ');
        let mut word = || words.next().unwrap().to_owned();
        let at = BEGAN + word().parse::<u64>().unwrap() * 1000;
        Entry { at, node: word(), program: word(), message: word() }
    };
    lines.trim().lines().map(entry).collect()
}

/// Commits acknowledged at these milliseconds, by node; marks with their milliseconds.
fn history(acks: &[(u64, &str)], marks: &[(u64, &str)]) -> History {
    let mut history = History::default();
    for (at, node) in acks {
        let at = Moment(at * 1000);
        let instance = Some(Instance { started: 1, timeline: 1, node: (*node).to_owned() });
        let (client, seq, outcome) = (1, 1, Outcome::Ok);
        let attempt = Attempt { client, seq, sent: at, ended: at, outcome, instance, seen: None, reason: None };
        history.push(Event::Attempt(attempt));
    }
    for (at, text) in marks {
        let (at, text) = (Moment(at * 1000), (*text).to_owned());
        history.push(Event::Mark(Mark { at, kind: MarkKind::Begin, text }));
    }
    history
}

fn tables(history: &History, lines: &str) -> Vec<String> {
    of(history, BEGAN, &entries(lines)).iter().map(ToString::to_string).collect()
}

#[test]
fn a_power_cut() {
    let history =
        history(&[(5570, "srv1"), (5575, "srv1"), (13262, "srv2"), (13270, "srv2")], &[(5581, "cut the power")]);
    let lines = "
        6186 srv3 corosync [KNET  ] link: host: 1 link: 0 is down
        6818 srv3 corosync [TOTEM ] Token has not been received in 1237 ms
        7230 srv3 corosync [TOTEM ] A processor failed, forming new configuration: token timed out (1650ms), waiting 1980ms for consensus.
        7231 srv2 corosync [TOTEM ] A processor failed, forming new configuration: token timed out (1650ms), waiting 1980ms for consensus.
        9214 srv3 corosync [TOTEM ] A new membership (2.11) was formed. Members left: 1
        9231 srv2 pacemaker-controld notice: State transition S_IDLE -> S_POLICY_ENGINE
        9234 srv2 pacemaker-controld notice: Node srv1 state is now lost
        9235 srv3 pacemaker-controld notice: Node srv1 state is now lost
        9413 srv2 pacemaker-schedulerd error: Calculated transition 11 (with errors), saving inputs in /var/lib/pacemaker/pengine/pe-error-10.bz2
        10408 srv2 pacemaker-controld notice: Requesting fencing (reboot) targeting node srv1
        10562 srv2 pacemaker-fenced notice: Operation 'reboot' [474] targeting srv1 using fence-srv1 returned 0
        10571 srv2 pacemaker-fenced notice: Operation 'reboot' targeting srv1 by srv2 for pacemaker-controld.270@srv2: OK (Done)
        10945 srv3 pgsqlms (pgsqld) votes with 2#84414624 received=0/50810A0 replayed=0/50810A0 disk=0/50810A0 history=1@0/50000A0,2 after=2
        11210 srv2 pgsqlms (pgsqld) votes with 2#84414624 received=0/50810A0 replayed=0/50810A0 disk=0/50810A0 history=1@0/50000A0,2 after=2
        11425 srv2 pgsqlms (pgsqld) won the election: srv2 (2#84414624 received=0/50810A0), srv3 (2#84414624 received=0/50810A0)
        11642 srv2 pgsqlms (pgsqld) promoted
        11649 srv2 pacemaker-controld notice: Result of promote operation for pgsqld on srv2: OK
        12297 srv2 pacemaker-schedulerd error: Calculated transition 12 (with errors), saving inputs in /var/lib/pacemaker/pengine/pe-error-11.bz2
        12430 srv2 pacemaker-controld notice: Result of start operation for pgsql-vip on srv2: OK
        13250 srv3 postgres LOG:  fetching timeline history file for timeline 3 from primary server
        13252 srv3 postgres LOG:  started streaming WAL from primary at 0/5000000 on timeline 2
        13257 srv3 postgres LOG:  replication terminated by primary server
        17289 srv3 pacemaker-controld notice: Node srv1 state is now member";
    let expected = "cut the power: 7.69 s
     -0.006 s            last commit acknowledged, by srv1
     +1.649 s   1.655 s  token lost
     +3.633 s   1.984 s  ring formed without it
     +3.653 s   0.020 s  srv1: seen as lost
     +3.832 s   0.179 s  actions computed
     +4.827 s   0.995 s  srv1: fencing asked for
     +4.990 s   0.163 s  srv1: fenced
     +5.364 s   0.374 s  srv3: vote cast
     +5.629 s   0.265 s  srv2: vote cast
     +5.844 s   0.215 s  srv2: won the election
     +6.068 s   0.224 s  srv2: promoted
     +6.849 s   0.781 s  srv2: address up
     +7.671 s   0.822 s  srv3: standby streams
     +7.681 s   0.010 s  first commit acknowledged, by srv2";
    assert_eq!(tables(&history, lines), [expected]);
}

#[test]
fn a_switchover_on_an_older_pacemaker() {
    let history = history(&[(1000, "srv1"), (1500, "srv2")], &[(900, "move")]);
    let lines = "
        950 srv1 pgsqlms (pgsqld) votes with 1#1
        1100 srv1 pacemaker-controld  notice: Result of demote operation for pgsqld on srv1: 0 (ok)
        1150 srv1 pacemaker-controld  notice: Result of stop operation for pgsql-vip on srv1: ok
        1160 srv3 pacemaker-controld  notice: Result of stop operation for fence-srv1 on srv3: ok
        1200 srv2 pacemaker-controld  notice: Result of promote operation for pgsqld on srv2: error
        1300 srv2 pacemaker-controld  notice: Result of promote operation for pgsqld on srv2: ok
        1400 srv2 pacemaker-controld  notice: Result of start operation for pgsql-vip on srv2: ok
        3000 srv3 pacemaker-controld  notice: Result of promote operation for pgsqld on srv3: ok
        6600 srv3 postgres LOG:  started streaming WAL from primary at 0/5000000 on timeline 2
        9000 srv1 postgres LOG:  started streaming WAL from primary at 0/5000000 on timeline 2";
    let expected = "move: 0.50 s
     +0.050 s            srv1: vote cast
     +0.100 s   0.050 s  last commit acknowledged, by srv1
     +0.200 s   0.100 s  srv1: demoted
     +0.250 s   0.050 s  srv1: address gone
     +0.400 s   0.150 s  srv2: promoted
     +0.500 s   0.100 s  srv2: address up
     +0.600 s   0.100 s  first commit acknowledged, by srv2
     +5.700 s   5.100 s  srv3: standby streams";
    assert_eq!(tables(&history, lines), [expected]);
}

#[test]
fn a_short_or_unfinished_outage_has_no_table_of_its_own() {
    let acks = [(1000, "srv1"), (1200, "srv1"), (3000, "srv2")];
    assert_eq!(tables(&history(&acks, &[(1100, "a")]), "").len(), 1);
    assert_eq!(tables(&history(&acks, &[(1100, "a"), (1900, "b")]), "").len(), 1, "it goes on");
    assert!(tables(&history(&acks[..2], &[(1100, "a")]), "").is_empty(), "too short");
    assert!(tables(&history(&acks[..1], &[(1100, "a")]), "").is_empty(), "never over");
}

/// A line of a journal, as the node srv3 has it.
fn description_of(program: &str, message: &str) -> String {
    let entry = Entry { at: 0, node: "srv3".to_owned(), program: program.to_owned(), message: message.to_owned() };
    stage(&entry).map_or_else(|| "-".to_owned(), |(kind, node)| description(kind, node))
}

#[test]
fn lines_of_journals() {
    for (program, message, expected) in [
        ("pacemaker-controld", "notice: State transition S_ELECTION -> S_INTEGRATION", "srv3: elected coordinator"),
        ("pacemaker-controld", "notice: State transition S_ELECTION -> S_PENDING", "-"),
        ("pacemaker-controld", "notice: Requesting fencing (off) of node srv1", "srv1: fencing asked for"),
        ("pacemaker-controld", "notice: Result of start operation for pgsqld on srv3: OK", "srv3: PostgreSQL started"),
        ("pacemaker-controld", "notice: Result of monitor operation for pgsqld on srv3: OK", "-"),
        (
            "pacemaker-fenced",
            "notice: Operation 'off' targeting srv1 on srv2 for pacemaker-controld.1@srv2: OK",
            "srv1: fenced",
        ),
        (
            "pacemaker-fenced",
            "notice: Operation 'off' targeting srv1 by srv2 for pacemaker-controld.1@srv2: Error",
            "-",
        ),
        ("corosync", "[TOTEM ] A new membership (1.16) was formed. Members joined: 1", "-"),
        (
            "corosync",
            "[TOTEM ] A new membership (1.16) was formed. Members joined: 3 left: 1 2",
            "ring formed without it",
        ),
        ("corosync", "[TOTEM ] A processor failed, forming new configuration.", "token lost"),
        ("postgres", "LOG:  restarted WAL streaming at 0/5000000 on timeline 3", "-"),
        ("sudo", "(pgsqld) votes with 1", "-"),
    ] {
        assert_eq!(description_of(program, message), expected, "{message}");
    }
}
