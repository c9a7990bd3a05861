use std::time::Duration;

use super::watch::{End, Moment, Sight, Watch, by_pacemaker};
use super::*;
use crate::rules::table;

fn member(role: Role, score: &str) -> Member {
    Member { is_online: true, role: Some(role), score: Some(score.to_owned()), ..Member::default() }
}

/// srv1 is the primary, srv2 and srv3 stream; commits wait for one of them.
fn healthy() -> Facts {
    let nodes = [("srv1", Role::Primary, "1001"), ("srv2", Role::Standby, "1000"), ("srv3", Role::Standby, "990")];
    let nodes = nodes.into_iter().map(|(node, role, score)| (NodeName::new(node), member(role, score)));
    let cluster = Cluster {
        has_quorum: true,
        has_fencing: true,
        clone: Some("pgsqld-clone".to_owned()),
        nodes: nodes.collect(),
        ..Cluster::default()
    };
    let synchronous = Some("ANY 1 (srv1, srv2, srv3)".to_owned());
    let instance = Instance { timeline: Some(8), lsn: Some(Lsn(0x600_0168)), synchronous };
    let instances = ["srv1", "srv2", "srv3"].map(|node| (NodeName::new(node), instance.clone()));
    let streaming = ["srv2", "srv3"].map(str::to_owned).into();
    let load = Load { sessions: 41, streaming, ..Load::default() };
    Facts { cluster, is_idle: true, instances: instances.into(), load: Some(load), ..Facts::default() }
}

fn node<'a>(facts: &'a mut Facts, name: &str) -> &'a mut Member {
    facts.cluster.nodes.get_mut(&NodeName::new(name)).unwrap()
}

fn instance<'a>(facts: &'a mut Facts, name: &str) -> &'a mut Instance {
    facts.instances.get_mut(&NodeName::new(name)).unwrap()
}

fn load(facts: &mut Facts) -> &mut Load {
    facts.load.as_mut().unwrap()
}

fn want(facts: &mut Facts, name: &str) {
    facts.wanted = Some(NodeName::new(name));
}

/// A change of the healthy cluster → `srv1 -> srv2` and its warnings, or the refusals.
fn judged(change: fn(&mut Facts)) -> String {
    let mut facts = healthy();
    change(&mut facts);
    let texts = |lines: &[Line], weight| -> Vec<String> {
        lines.iter().filter(|line| line.weight == weight).map(|line| line.text.clone()).collect()
    };
    match preflight(&facts) {
        Verdict::Already(node) => format!("{node} already"),
        Verdict::Refused(lines) => texts(&lines, Weight::Refusal).join(" | "),
        Verdict::Planned(plan) => {
            let warnings = texts(&plan.lines, Weight::Warning);
            [vec![format!("{} -> {}", plan.from, plan.to)], warnings].concat().join(" | ")
        }
    }
}

table! { judged;
    all_is_well: |_| {} => "srv1 -> srv2";
    a_node_is_wanted: |it| want(it, "srv3") => "srv1 -> srv3";
    the_primary_is_wanted: |it| want(it, "srv1") => "srv1 already";
    the_primary_is_wanted_in_maintenance: |it| { want(it, "srv1"); it.cluster.in_maintenance = true; } => "srv1 already";
    an_unknown_node: |it| want(it, "srv9") => "srv9 is not a node of this cluster: they are srv1, srv2, srv3";
    no_quorum: |it| it.cluster.has_quorum = false => "there is no quorum: start more nodes";
    maintenance: |it| it.cluster.in_maintenance = true => "maintenance mode is on: pcs property set maintenance-mode=false";
    no_clone: |it| it.cluster.clone = None => "the resource is not in a clone: make it promotable first";
    disabled: |it| it.cluster.is_disabled = true => "the resource is switched off: pcs resource enable it";
    to_be_fenced: |it| node(it, "srv3").is_unclean = true => "srv3 is to be fenced, and has not been: pcs stonith history";
    at_work: |it| it.is_idle = false => "Pacemaker is at work: try again when `crm_resource --wait` has returned";
    no_primary: |it| node(it, "srv1").role = None => "there is no primary: see pgsqlms status";
    two_primaries: |it| node(it, "srv3").role = Some(Role::Primary) => "srv1 and srv3 are primaries: see pgsqlms status";
    no_standby: |it| ["srv2", "srv3"].into_iter().for_each(|name| node(it, name).role = None)
        => "no standby could be promoted: see pgsqlms status";
    a_leftover: |it| _ = it.leftovers.insert("cli-ban-pgsqld-clone-on-srv3".to_owned())
        => "an earlier command has left cli-ban-pgsqld-clone-on-srv3: see `pcs constraint`, then pcs resource clear pgsqld-clone";
    a_preference: |it| it.has_preference = true
        => "srv1 -> srv2 | a location constraint prefers a node as the primary: Pacemaker may move it back afterwards";
}

table! { judged;
    offline: |it| { want(it, "srv2"); node(it, "srv2").is_online = false; }
        => "srv2 is offline: pcs cluster start srv2, or switch it on";
    in_standby: |it| { want(it, "srv2"); node(it, "srv2").in_standby = true; } => "srv2 is in standby: pcs node unstandby srv2";
    in_maintenance: |it| { want(it, "srv2"); node(it, "srv2").in_maintenance = true; }
        => "srv2 is in maintenance: pcs node unmaintenance srv2";
    stopped: |it| { want(it, "srv2"); node(it, "srv2").role = None; } => "srv2 does not run as a standby";
    failed: |it| { want(it, "srv2"); (node(it, "srv2").role, node(it, "srv2").reason) = (None, Some("it is broken".to_owned())); }
        => "srv2 does not run as a standby: it is broken";
    unmanaged: |it| node(it, "srv2").is_unmanaged = true
        => "srv2: Pacemaker does not manage PostgreSQL: pcs resource manage it";
    banned: |it| { want(it, "srv2"); it.barred.insert(NodeName::new("srv2"), Bar::Banned); }
        => "srv2 must not be promoted, a location constraint forbids it: clear the ban of srv2 (pcs constraint --full)";
    nofailover: |it| { want(it, "srv2"); it.barred.insert(NodeName::new("srv2"), Bar::NoFailover); }
        => "srv2 must not be promoted, its node attribute says nofailover";
    the_best_is_barred: |it| _ = it.barred.insert(NodeName::new("srv2"), Bar::NoFailover) => "srv1 -> srv3";
    no_room: |it| { want(it, "srv2"); it.fitness.insert(NodeName::new("srv2"), "room=none".parse().unwrap()); }
        => "a promotion of srv2 would fail: free space for pg_wal there";
    settings_too_low: |it| { want(it, "srv2"); it.fitness.insert(NodeName::new("srv2"), "max_connections=100/200".parse().unwrap()); }
        => "a promotion of srv2 would fail: raise max_connections from 100 to 200 there and restart it";
    the_best_is_unfit: |it| _ = it.fitness.insert(NodeName::new("srv2"), "room=none".parse().unwrap()) => "srv1 -> srv3";
    diverged: |it| { want(it, "srv3"); (node(it, "srv3").score, node(it, "srv3").reason) = (Some("-1000000".to_owned()), Some("diverged".to_owned())); }
        => "srv3 does not stream from srv1, score -1000000: diverged";
    no_score: |it| { want(it, "srv3"); node(it, "srv3").score = None; } => "srv3 does not stream from srv1, score none";
    the_primary_does_not_see_it: |it| _ = load(it).streaming.remove("srv2") => "srv2 does not stream from srv1, score 1000";
    another_timeline: |it| instance(it, "srv2").timeline = Some(7) => "srv2 is on timeline 7, srv1 on 8: pgsqlms rejoin on srv2";
    far_behind: |it| instance(it, "srv2").lsn = Some(Lsn(0)) => "srv2 is 96 MB behind: wait until it has caught up";
    a_little_behind: |it| instance(it, "srv2").lsn = Some(Lsn(0x400_0000)) => "srv1 -> srv2";
    nothing_is_reached: |it| { it.instances.clear(); it.load = None; }
        => "srv1 -> srv2 | what commits would wait for on srv2 was not seen";
}

table! { judged;
    commits_would_hang: |it| instance(it, "srv2").synchronous = Some("FIRST 2 (srv1, srv9)".to_owned())
        => "commits would hang: on srv2 they wait for 2 standby(s), and 1 of those named run";
    one_of_two_is_down: |it| { node(it, "srv3").role = None; instance(it, "srv2").synchronous = Some("2 (*)".to_owned()); }
        => "commits would hang: on srv2 they wait for 2 standby(s), and 1 of those named run";
    the_old_primary_counts: |it| { node(it, "srv3").role = None; } => "srv1 -> srv2";
    names_in_capitals: |it| instance(it, "srv2").synchronous = Some("\"SRV1\"".to_owned()) => "srv1 -> srv2";
    asynchronous: |it| instance(it, "srv2").synchronous = Some(String::new()) => "srv1 -> srv2";
    a_long_transaction: |it| load(it).oldest = 60 => "srv1 -> srv2 | a transaction has been open for 60 s: it is ended";
    a_short_transaction: |it| load(it).oldest = 59 => "srv1 -> srv2";
    prepared: |it| load(it).prepared = 2 => "srv1 -> srv2 | 2 prepared transaction(s): they go on on srv2";
    the_archiver_fails: |it| load(it).archiver_fails = true
        => "srv1 -> srv2 | archive_command fails: the shutdown may wait for it";
}

#[test]
fn a_plan_names_who_follows_and_what_is_well() {
    let Verdict::Planned(plan) = preflight(&healthy()) else { panic!() };
    assert_eq!(plan.followers, ["srv1", "srv3"].map(NodeName::new).into());
    assert_eq!(plan.timeline, Some(8));
    let lines: Vec<String> = plan.lines.iter().map(|line| format!("{:<7}{}", line.weight, line.text)).collect();
    assert_eq!(
        lines,
        [
            "ok     quorum, 3 of 3 nodes online; nothing to be fenced, no maintenance, no transition",
            "ok     no command has left a constraint on pgsqld-clone",
            "ok     srv2 streams from srv1, 0 B behind",
            "ok     commits then wait for 1 of srv1, srv3",
            "expect no writes for some seconds; closes 41 session(s) of the primary; loses nothing",
        ]
    );
}

/// What is seen of srv1, srv2 and srv3, a letter each, every 100 ms, in a switchover from srv1 to srv2 → the printed lines, how it
/// ends, and the outage. `w`: accepts writes; `s`, `S`: standby on the old timeline, on the new one; `r`: ranked; `-`: silent.
fn watched(moments: &str) -> (String, String) {
    let Verdict::Planned(plan) = preflight(&healthy()) else { panic!() };
    let mut watch = Watch::new(plan, Duration::ZERO);
    let (mut printed, mut end) = (Vec::new(), None);
    for (at, letters) in (1..).zip(moments.split_whitespace()) {
        let sight = |letter| match letter {
            'w' => Sight::Writable,
            's' => Sight::Standby { timeline: Some(8) },
            'S' => Sight::Standby { timeline: Some(9) },
            'r' => Sight::Ranked,
            _ => Sight::Silent,
        };
        let moment: Moment =
            ["srv1", "srv2", "srv3"].map(NodeName::new).into_iter().zip(letters.chars().map(sight)).collect();
        printed.extend(watch.see(Duration::from_millis(at * 100), &moment, Some(9)));
        end = watch.end(&moment);
    }
    let end = match end {
        Some(End::Done) => format!("done, {} ms", watch.outage().unwrap()),
        Some(End::Other(node)) => format!("{node}"),
        None => watch.stands(),
    };
    (printed.join("; "), end)
}

fn ended(moments: &str) -> String {
    watched(moments).1
}

table! { ended;
    a_switchover: "wss wss -ss sss sws swS SwS" => "done, 300 ms";
    by_pacemaker_alone: "wrr -rr srr swr rwr" => "done, 300 ms";
    not_begun: "wss wss" => "srv1 is still the primary";
    it_goes_on: "wss -ss" => "srv1 has been demoted, and srv2 is not the primary yet";
    one_that_has_followed_may_go_away_again: "wss -ss sws SwS Sws Sw-" => "done, 200 ms";
    the_old_one_does_not_return: "wss -ss -ws -wS" => "srv2 is the primary; not seen to follow it: srv1";
    undone: "wss -ss sss wss" => "srv1";
    another_one: "wss -ss -sw" => "srv3";
    a_hiccup_before_it_begins: "wss -ss wss" => "srv1 has been demoted, and srv2 is not the primary yet";
}

#[test]
fn each_step_is_printed_once() {
    let printed = watched("wss wss -ss sss sss sws swS SwS SwS").0;
    let expected = "srv1 accepts no writes any more; srv1 runs as a standby; srv2 accepts writes, timeline 9; srv3 follows srv2; \
                    srv1 follows srv2";
    assert_eq!(printed, expected);
}

fn sight((role, score): (Option<Role>, &str)) -> Sight {
    by_pacemaker(Some(&Member { role, score: Some(score.to_owned()), ..Member::default() }))
}

table! { sight;
    promoted: (Some(Role::Primary), "1001") => Sight::Writable;
    ranked: (Some(Role::Standby), "990") => Sight::Ranked;
    as_it_was_before: (Some(Role::Standby), "1001") => Sight::Standby { timeline: None };
    not_ready: (Some(Role::Standby), "-1") => Sight::Standby { timeline: None };
    nothing_runs: (None, "1000") => Sight::Silent;
}
