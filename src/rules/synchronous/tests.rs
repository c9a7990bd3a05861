//! Named rows for the published line, the verdict and the steps.

use std::collections::BTreeSet;

use super::*;
use crate::location::Lsn;
use crate::node::NodeName;
use crate::rules::table;

fn names(text: &str) -> BTreeSet<NodeName> {
    text.split_whitespace().map(NodeName::new).collect()
}

fn reread(text: &str) -> String {
    text.parse::<Published>().map_or_else(|error| format!("! {error}"), |published| published.to_string())
}

table! { reread;
    asynchronous:       "srv1: -"                             => "srv1: -";
    synchronous:        "srv1: ANY 1 (srv2, srv3)"            => "srv1: ANY 1 (srv2, srv3)";
    a_change:           "srv1: srv2; srv1: -"                 => "srv1: FIRST 1 (srv2); srv1: -";
    closed_with_heirs:  "a + c + b: ANY 1 (*) @ \"0/FF\" ~ x, y; a: -" => "a + b + c: ANY 1 (*) @ \"0/FF\" ~ x, y; a: -";
    strange_names:      "\"node-1\": \"a;b\" ~ \"pg: @\""     => "\"node-1\": FIRST 1 (\"a;b\") ~ \"pg: @\"";
    nothing_published:  ""                                    => "! the list of synchronous standbys ends early";
    no_primary:         "ANY 1 (a)"                           => "! unexpected \"ANY\" at byte 0 of the synchronous standbys";
    no_position:        "a: - @ \"0\""                        => "! unexpected \"0\" at byte 7 of the synchronous standbys";
    rest:               "a: - -"                              => "! unexpected \"-\" at byte 5 of the synchronous standbys";
}

/// Members, one guard => the receivers that may hold a commit (strangers in brackets) and how many votes it takes.
fn electorate((members, guard): (&str, &str)) -> String {
    let published: Published = guard.parse().unwrap();
    let Electorate { voters, strangers, needed } = published.0[0].electorate(&names(members));
    let voters = voters.iter().map(NodeName::to_string);
    let strangers = strangers.iter().map(|name| format!("[{name}]"));
    format!("{needed} of {}", voters.chain(strangers).collect::<Vec<_>>().join(" "))
}

table! { electorate;
    async_needs_no_standby:     ("p a b",   "p: -")                         => "0 of ";
    one_of_two_needs_both:      ("p a b",   "p: ANY 1 (a, b)")              => "2 of a b";
    first_counts_as_any:        ("p a b",   "p: FIRST 1 (a, b)")            => "2 of a b";
    two_of_two_needs_one:       ("p a b",   "p: ANY 2 (a, b)")              => "1 of a b";
    two_of_four_needs_three:    ("p a b c d", "p: ANY 2 (a, b, c, d)")      => "3 of a b c d";
    own_name_is_inert:          ("p a b",   "p: ANY 1 (p, a, b)")           => "2 of a b";
    own_name_in_other_case:     ("p a b",   "p: ANY 1 (P, a)")              => "1 of a";
    only_its_own_name:          ("p a b",   "p: ANY 1 (p)")                 => "0 of ";
    names_in_any_case:          ("p srv2",  "p: ANY 1 (SRV2)")              => "1 of srv2";
    same_name_in_two_cases:     ("p a A",   "p: ANY 1 (a)")                 => "2 of A a";
    named_twice_counts_once:    ("p a b",   "p: ANY 1 (a, A, b)")           => "2 of a b";
    more_than_named_needs_one:  ("p a b",   "p: ANY 3 (a, b)")              => "1 of a b";
    srv1_is_no_prefix:          ("p srv1 srv10", "p: ANY 1 (srv1)")         => "1 of srv1";
    stranger_in_the_list:       ("p a",     "p: ANY 1 (a, barman)")         => "2 of a [barman]";
    stranger_in_two_cases:      ("p a",     "p: ANY 1 (a, x, X)")           => "2 of a [x]";
    star_is_every_member:       ("p a b",   "p: *")                         => "2 of a b";
    star_and_a_member:          ("p a b",   "p: ANY 1 (a, *)")              => "2 of a b";
    star_and_who_was_seen:      ("p a b",   "p: * ~ a, pg_receivewal")      => "3 of a b [pg_receivewal]";
    star_two_and_a_stranger:    ("p a b",   "p: ANY 2 (*) ~ pg_receivewal") => "2 of a b [pg_receivewal]";
    seen_counts_under_star_only: ("p a b",  "p: ANY 1 (a) ~ x")             => "1 of a";
    primary_left_the_cluster:   ("a b",     "p: ANY 1 (p, a)")              => "1 of a";
}

fn facts(published: Option<&str>, votes: &str) -> PromotionFacts {
    let vote = |text: &str| match text.strip_suffix('?') {
        Some(node) => (NodeName::new(node), None),
        None => (NodeName::new(text), Some(Lsn(0x100))),
    };
    PromotionFacts {
        candidate: NodeName::new(votes.split([' ', '?']).next().unwrap_or_default()),
        members: names("p a b c"),
        published: published.map(|text| if text.is_empty() { Published::default() } else { text.parse().unwrap() }),
        votes: votes.split_whitespace().map(vote).collect(),
        last_primary: None,
        operator: Operator::Silent,
    }
}

/// What was published, the votes (`?`: without a position) => the verdict.
fn judge((published, votes): (Option<&str>, &str)) -> String {
    let verdict = verdict(&facts(published, votes));
    let word = match verdict {
        Verdict::Safe(_) => "safe",
        Verdict::Unsafe(_) => "unsafe",
        Verdict::Overridden { .. } => "overridden",
    };
    format!("{word}: {verdict}").replace(" or run `pgsqlms promote-anyway` and lose them", " or …")
}

table! { judge;
    nothing_known:       (None, "a b c")                        => "unsafe: what the last primary promised is not known: \
        acknowledged commits may be missing here; start the last primary, or …";
    never_a_primary:     (Some(""), "a")                        => "safe: nothing was promised";
    asynchronous_one:    (Some("p: -"), "a")                    => "safe: replication was asynchronous";
    both_vote:           (Some("p: ANY 1 (a, b)"), "b a")       => "safe: 2 of 2 needed synchronous standbys vote: a, b";
    one_of_the_two:      (Some("p: ANY 1 (a, b)"), "a")         => "unsafe: commits acknowledged by p under ANY 1 (a, b) \
        may be missing here: start p, or b, or …";
    neither_of_the_two:  (Some("p: ANY 1 (a, b)"), "c")         => "unsafe: commits acknowledged by p under ANY 1 (a, b) \
        may be missing here: start p, or a and b, or …";
    no_position_no_vote: (Some("p: ANY 1 (a, b)"), "a b?")      => "unsafe: commits acknowledged by p under ANY 1 (a, b) \
        may be missing here: start p, or b, or …";
    primary_is_back:     (Some("p: ANY 1 (a, b)"), "c p")       => "safe: p votes and holds every acknowledged commit";
    primary_undecided:   (Some("p: ANY 1 (a, b)"), "a p?")      => "unsafe: commits acknowledged by p under ANY 1 (a, b) \
        may be missing here: start p, or b, or …";
    any_two_of_three:    (Some("p: ANY 2 (a, b, c)"), "a b")    => "safe: 2 of 2 needed synchronous standbys vote: a, b";
    one_of_three:        (Some("p: ANY 2 (a, b, c)"), "a")      => "unsafe: commits acknowledged by p under \
        ANY 2 (a, b, c) may be missing here: start p, or 1 of b, c, or …";
    candidate_outside:   (Some("p: ANY 1 (a)"), "b a")          => "safe: 1 of 1 needed synchronous standbys vote: a";
    outsider_alone:      (Some("p: ANY 1 (a)"), "b c")          => "unsafe: commits acknowledged by p under ANY 1 (a) \
        may be missing here: start p, or a, or …";
    stranger_may_hold:   (Some("p: ANY 1 (a, x)"), "a b c")     => "unsafe: commits acknowledged by p under ANY 1 (a, x) \
        may be missing here: x may hold them and cannot vote; start p, or …";
    star_seen_clean:     (Some("p: *"), "a b c")                => "safe: 3 of 3 needed synchronous standbys vote: a, b, c \
        (provided nothing else connected under `*`)";
    star_and_a_backup:   (Some("p: * ~ pg_receivewal"), "a b c") => "unsafe: commits acknowledged by p under FIRST 1 (*) \
        may be missing here: pg_receivewal may hold them and cannot vote; start p, or …";
    weaker_and_stronger: (Some("p: -; p: ANY 1 (a, b)"), "a")   => "unsafe: commits acknowledged by p under ANY 1 (a, b) \
        may be missing here: start p, or b, or …";
    both_promises:       (Some("p: ANY 1 (a); p: ANY 1 (b)"), "c") => "unsafe: commits acknowledged by p under ANY 1 (a) \
        may be missing here: start p, or a; also commits acknowledged by p under ANY 1 (b) may be missing here: \
        start p, or b, or …";
    heir_votes:          (Some("p + b: ANY 1 (a, b)"), "b")     => "safe: b votes and holds every acknowledged commit";
    heir_is_away:        (Some("p + b: ANY 1 (a, b)"), "a")     => "unsafe: commits acknowledged by p under ANY 1 (a, b) \
        may be missing here: start p or b, or …";
    promoted_then_died:  (Some("a: -; p + a: ANY 1 (a, b)"), "b") => "unsafe: commits acknowledged by p under \
        ANY 1 (a, b) may be missing here: start p or a, or …";
}

fn last_primary(reached: u64) -> LastPrimary {
    LastPrimary { node: NodeName::new("p"), began: Lsn(0), reached: Lsn(reached) }
}

/// The text for the operator, the last primary having been at `last_known`.
fn overridden((votes, last_known): (&str, Option<u64>)) -> String {
    let published = Some("p: ANY 1 (a, b)");
    let operator = Operator::AcceptsLoss;
    let Verdict::Overridden { loss, .. } =
        verdict(&PromotionFacts { last_primary: last_known.map(last_primary), operator, ..facts(published, votes) })
    else {
        return "not overridden".to_owned();
    };
    loss.to_string()
}

table! { overridden;
    known_loss:       ("a", Some(0x180)) => "what follows 0/100 may be lost: 128 bytes up to 0/180, and what was written \
        since that was published";
    no_known_loss:    ("a", Some(0x100)) => "what follows 0/100 may be lost: nothing up to 0/100, but what was written \
        since that was published";
    no_bound:         ("a", None)        => "what follows 0/100 may be lost, and how much that is, is not known";
    own_position_unknown: ("a?", Some(0x180)) => "how much may be lost is not known";
    nothing_to_override: ("a b", None)   => "not overridden";
}

#[test]
fn an_override_says_what_stood_against_it() {
    let (operator, last_primary) = (Operator::AcceptsLoss, Some(last_primary(0x180)));
    let facts = PromotionFacts { operator, last_primary, ..facts(Some("p: ANY 1 (a, b)"), "a") };
    assert_eq!(
        verdict(&facts).to_string(),
        "promoted by the operator's order although commits acknowledged by p under ANY 1 (a, b) may be missing here: \
         start p, or b; what follows 0/100 may be lost: 128 bytes up to 0/180, and what was written since that was published"
    );
}

/// A primary `p` of `p a b c`, at 0/200, managed as given; `streaming` is how far each has flushed.
fn on_primary(published: &str, effective: &str, streaming: &str) -> PrimaryFacts {
    let flushed = streaming.split_whitespace().map(|at| {
        let (node, at) = at.split_once('@').unwrap_or((at, "0"));
        (NodeName::new(node), Lsn(u64::from_str_radix(at, 16).unwrap()))
    });
    PrimaryFacts {
        primary: NodeName::new("p"),
        members: names("p a b c"),
        published: if published.is_empty() { Published::default() } else { published.parse().unwrap() },
        effective: effective.parse().unwrap(),
        now: Lsn(0x200),
        flushed: flushed.collect(),
        connected: BTreeSet::from(["a".to_owned(), "pg_receivewal".to_owned()]),
    }
}

fn shown(step: Step) -> String {
    match step {
        Step::Publish(published) => format!("publish {published}"),
        Step::Apply(setting) => format!("apply {setting}"),
        Step::Nothing => "nothing".to_owned(),
    }
}

/// The DBA's setting: published, in effect, the streaming standbys => the next step.
fn observe((published, effective, streaming): (&str, &str, &str)) -> String {
    shown(next_step(&on_primary(published, effective, streaming), Management::Observed))
}

table! { observe;
    first_look:          ("", "a, b", "")                        => "publish p: FIRST 1 (a, b)";
    known:               ("p: a, b", "a, b", "")                 => "nothing";
    weakened:            ("p: ANY 2 (a, b)", "any 1 (a, b)", "") => "publish p: ANY 1 (a, b); p: ANY 2 (a, b) @ \"0/200\"";
    none_has_caught_up:  ("p: ANY 1 (a, b); p: ANY 2 (a, b) @ \"0/200\"", "any 1 (a, b)", "a@1FF") => "nothing";
    one_caught_up:       ("p: -; p: ANY 1 (a, b) @ \"0/200\"", "", "a@200")
        => "publish p: -; p + a: ANY 1 (a, b) @ \"0/200\"";
    all_caught_up:       ("p: -; p: ANY 1 (a, b) @ \"0/200\"", "", "a@200 b@201 c@300") => "publish p: -";
    enough_for_a_quorum: ("p: ANY 1 (a); p: ANY 1 (a, b) @ \"0/200\"", "any 1 (a)", "a@200") => "publish p: ANY 1 (a)";
    off_protects_nothing: ("p: ANY 1 (a); p: -", "any 1 (a)", "") => "publish p: ANY 1 (a)";
    closed_earlier:      ("p: ANY 1 (a); p: ANY 1 (b) @ \"0/100\"", "any 1 (a)", "a@100") => "publish p: ANY 1 (a)";
    predecessor_stays:   ("q + p: ANY 1 (p, a)", "any 1 (a)", "")
        => "publish p: ANY 1 (a); q + p: ANY 1 (p, a) @ \"0/200\"";
    predecessor_unheld:  ("q: ANY 1 (p, a)", "any 1 (a)", "a@200")
        => "publish p: ANY 1 (a); q + a: ANY 1 (p, a) @ \"0/200\"";
    predecessor_settled: ("p: ANY 1 (a); q + p: ANY 1 (p, a) @ \"0/200\"", "any 1 (a)", "a@200")
        => "publish p: ANY 1 (a)";
    in_effect_again:     ("p: -; p + a: ANY 1 (a, b) @ \"0/100\"", "any 1 (a, b)", "")
        => "publish p: ANY 1 (a, b)";
    primary_once_more:   ("p + a: ANY 1 (a, b)", "any 1 (a, b)", "") => "publish p: ANY 1 (a, b)";
    strangers_under_star: ("p: *", "*", "")                      => "publish p: FIRST 1 (*) ~ a, pg_receivewal";
    strangers_add_up:    ("p: * ~ barman", "*", "")              => "publish p: FIRST 1 (*) ~ a, pg_receivewal; p: FIRST 1 (*) ~ a, barman, pg_receivewal";
    strangers_came_later: ("p: ANY 1 (a); p: * @ \"0/200\"", "any 1 (a)", "") => "nothing";
    strangers_are_not_its: ("q + p: *", "any 1 (a)", "")
        => "publish p: ANY 1 (a); q + p: FIRST 1 (*) @ \"0/200\"";
    strangers_are_kept:  ("p: * ~ a, b, pg_receivewal", "*", "") => "nothing";
}

/// Under what was published first: published, the receivers that confirm WAL, the streaming ones => the next step.
fn under_star((published, connected, streaming): (&str, &str, &str)) -> String {
    let connected = connected.split_whitespace().map(str::to_owned).collect();
    let effective = published.parse::<Published>().unwrap().0[0].setting.to_string();
    shown(next_step(&PrimaryFacts { connected, ..on_primary(published, &effective, streaming) }, Management::Observed))
}

table! { under_star;
    a_receiver_comes:     ("p: * ~ a", "a x", "")  => "publish p: FIRST 1 (*) ~ a, x";
    it_is_gone:           ("p: * ~ a, x", "a", "") => "publish p: FIRST 1 (*) ~ a; p: FIRST 1 (*) ~ a, x";
    the_end_of_what_it_has: ("p: * ~ a; p: * ~ a, x", "a", "") => "publish p: FIRST 1 (*) ~ a; p: FIRST 1 (*) @ \"0/200\" ~ a, x";
    it_alone_has_it:      ("p: * ~ a; p: * @ \"0/200\" ~ a, x", "a", "a@1FF b@1FF") => "nothing";
    one_has_it_and_all_must_vote: ("p: * ~ a; p: * @ \"0/200\" ~ a, x", "a", "a@200 b@1FF") => "publish p: FIRST 1 (*) ~ a";
    one_has_it_and_two_must_vote: ("p: ANY 2 (*) ~ a; p: ANY 2 (*) @ \"0/200\" ~ a, x", "a", "a@200 b@1FF")
        => "publish p: ANY 2 (*) ~ a; p + a: ANY 2 (*) @ \"0/200\" ~ a, x";
    two_are_gone_in_turn: ("p: * ~ a, y; p: * @ \"0/100\" ~ a, x, y", "a", "")
        => "publish p: FIRST 1 (*) ~ a; p: FIRST 1 (*) ~ a, y";
    it_is_back:           ("p: * ~ a; p: * @ \"0/200\" ~ a, x", "a x", "") => "publish p: FIRST 1 (*) ~ a, x";
    a_node_is_gone:       ("p: * ~ a, B", "", "")  => "nothing";
}

/// Our setting: published, in effect, how many wanted, the streaming standbys => the next step.
fn manage((published, effective, wanted, streaming): (&str, &str, u32, &str)) -> String {
    let (streaming, strictness) = match streaming.strip_prefix("strict") {
        Some(streaming) => (streaming, Strictness::Strict),
        None => (streaming, Strictness::Lenient),
    };
    let wanted = wanted.try_into().unwrap();
    shown(next_step(&on_primary(published, effective, streaming), Management::Quorum { wanted, strictness }))
}

table! { manage;
    publish_first:       ("p: -", "", 1, "a b")                  => "publish p: -; p: ANY 1 (a, b)";
    then_apply:          ("p: -; p: ANY 1 (a, b)", "", 1, "a b") => "apply ANY 1 (a, b)";
    then_forget:         ("p: -; p: ANY 1 (a, b)", "any 1 (a, b)", 1, "a b") => "publish p: ANY 1 (a, b)";
    then_rest:           ("p: ANY 1 (a, b)", "ANY 1 (a, b)", 1, "a b") => "nothing";
    never_published:     ("", "", 2, "a b c")                    => "publish p: -; p: ANY 2 (a, b, c)";
    shrink_publishes:    ("p: ANY 1 (a, b)", "ANY 1 (a, b)", 1, "b") => "publish p: ANY 1 (a, b); p: ANY 1 (b)";
    shrink_applies:      ("p: ANY 1 (a, b); p: ANY 1 (b)", "ANY 1 (a, b)", 1, "b") => "apply ANY 1 (b)";
    shrink_waits:        ("p: ANY 1 (a, b); p: ANY 1 (b)", "ANY 1 (b)", 1, "b@1FF")
        => "publish p: ANY 1 (b); p: ANY 1 (a, b) @ \"0/200\"";
    shrink_ends:         ("p: ANY 1 (b); p: ANY 1 (a, b) @ \"0/200\"", "ANY 1 (b)", 1, "b@200") => "publish p: ANY 1 (b)";
    fewer_than_wanted:   ("p: ANY 1 (a)", "ANY 1 (a)", 2, "a")   => "nothing";
    strangers_and_itself: ("p: ANY 1 (a)", "ANY 1 (a)", 1, "a x p") => "nothing";
    closed_opens_again:  ("p: ANY 1 (b); p + b: ANY 1 (a, b) @ \"0/100\"", "ANY 1 (b)", 1, "a b")
        => "publish p: ANY 1 (b); p: ANY 1 (a, b)";
    abandoned_closes:    ("p: -; p: ANY 1 (a)", "", 1, "")
        => "publish p: -; p: ANY 1 (a) @ \"0/200\"";
    lenient_lets_go:     ("p: ANY 1 (a)", "ANY 1 (a)", 1, "")    => "publish p: ANY 1 (a); p: -";
    strict_waits:        ("p: ANY 1 (a)", "ANY 1 (a)", 1, "strict") => "nothing";
    strict_from_nothing: ("p: -", "", 1, "strict")               => "publish p: -; p: ANY 1 (a, b, c)";
    strict_lowers_to_one: ("p: ANY 2 (a, b); p: ANY 1 (a)", "ANY 2 (a, b)", 2, "strict a") => "apply ANY 1 (a)";
}

#[test]
fn strict_and_alone_waits_for_its_own_name() {
    let facts = PrimaryFacts { members: names("p"), ..on_primary("p: -; p: ANY 1 (p)", "", "") };
    let management = Management::Quorum { wanted: 1.try_into().unwrap(), strictness: Strictness::Strict };
    assert_eq!(shown(next_step(&facts, management)), "apply ANY 1 (p)");
}

/// Published by predecessors, own setting, how managed, other voters => what `p` sets and publishes before it is promoted.
fn promote((published, effective, management, voters): (&str, &str, Management, &str)) -> String {
    let (setting, published) = before_promotion(&on_primary(published, effective, voters), management);
    format!("{setting} | {published}")
}

const STRICT: Management = Management::Quorum { wanted: std::num::NonZeroU32::MIN, strictness: Strictness::Strict };

table! { promote;
    own_setting_besides: ("q: ANY 1 (p, a)", "any 1 (q, a)", Management::Observed, "a")
        => "ANY 1 (q, a) | p: ANY 1 (q, a); q + p: ANY 1 (p, a)";
    managed_names_voters: ("q: ANY 1 (p, a)", "", STRICT, "a b")
        => "ANY 1 (a, b) | p: ANY 1 (a, b); q + p: ANY 1 (p, a)";
    once_more: ("p + a: ANY 1 (a, b); q: a", "any 1 (a, b)", Management::Observed, "")
        => "ANY 1 (a, b) | p: ANY 1 (a, b); q + p: FIRST 1 (a)";
    first_of_all: ("", "", Management::Observed, "") => " | p: -";
}

#[test]
fn after_an_override_the_past_does_not_count() {
    assert_eq!(Published::starting_over(&NodeName::new("a"), SyncSetting::Off).to_string(), "a: -");
}
