//! The resource's operations: monitors, timeouts, and what Pacemaker does when one fails.

use super::Severity::{Failure, Hint, Warning};
use super::{Check, Configuration, Found, Pairs, configured, found, found_if, milliseconds};
use crate::action::Action;
use crate::boolean::is_no;

pub(super) const CHECKS: [Check; 6] = [
    configured(
        "monitor-missing",
        Failure,
        "A role has no monitor: PostgreSQL's failure there is not noticed.",
        monitor_missing,
    ),
    configured(
        "monitor-same-interval",
        Failure,
        "Both monitors have one interval: Pacemaker takes them for one.",
        same_interval,
    ),
    configured(
        "monitor-timeout",
        Warning,
        "A monitor has too little time: a slow answer becomes a failure.",
        monitor_timeout,
    ),
    configured("monitor-interval", Hint, "A monitor comes so seldom that a failover begins late.", monitor_interval),
    configured(
        "operation-timeout",
        Warning,
        "An action has less time than the agent's meta-data advises.",
        operation_timeout,
    ),
    configured("on-fail", Warning, "A failed action is ignored.", on_fail),
];

/// The roles, with their names of before Pacemaker 2.1.
const ROLES: [[&str; 2]; 2] = [["Promoted", "Master"], ["Unpromoted", "Slave"]];

/// What Pacemaker allows where nothing is said, in milliseconds.
const DEFAULT_TIMEOUT: u64 = 20_000;

/// The longest interval of a monitor that is not worth a word, in milliseconds: PAF's were 15 and 16 seconds.
const LONGEST_INTERVAL: u64 = 30_000;

fn operations<'a>(it: &'a Configuration, name: &'a str) -> impl Iterator<Item = &'a Pairs> {
    let all = it.ours().into_iter().flat_map(|ours| &ours.operations);
    all.filter(move |operation| operation.get("name").is_some_and(|it| it == name))
}

/// The monitors that Pacemaker repeats.
fn monitors(it: &Configuration) -> impl Iterator<Item = (&Pairs, Option<u64>)> {
    let timed =
        operations(it, "monitor").map(|monitor| (monitor, monitor.get("interval").and_then(|it| milliseconds(it))));
    timed.filter(|(monitor, interval)| {
        *interval != Some(0)
            && monitor.contains_key("interval")
            && !monitor.get("enabled").is_some_and(|enabled| is_no(enabled))
    })
}

fn role(monitor: &Pairs) -> &str {
    monitor.get("role").map_or("", String::as_str)
}

/// Whether a monitor is for a role. Without any it is for all but the promoted one.
fn is_for(monitor: &Pairs, names: [&str; 2]) -> bool {
    let role = role(monitor);
    names.iter().any(|name| role.eq_ignore_ascii_case(name))
        || (names[0] == "Unpromoted" && (role.is_empty() || role.eq_ignore_ascii_case("Started")))
}

fn timeout(it: &Configuration, operation: Option<&Pairs>) -> Option<u64> {
    let given = operation.and_then(|operation| operation.get("timeout"));
    given.or_else(|| it.operation_defaults.get("timeout")).map_or(Some(DEFAULT_TIMEOUT), |text| milliseconds(text))
}

fn monitor_missing(it: &Configuration) -> Vec<Found> {
    let missing = ROLES.into_iter().filter(|names| !monitors(it).any(|(monitor, _)| is_for(monitor, *names)));
    let describe = |[name, _]: [&str; 2]| {
        let interval = if name == "Promoted" { 2 } else { 3 };
        found(
            format!("no monitor for the role {name}: a failure of PostgreSQL there is not noticed"),
            format!("pcs resource op add {} monitor role={name} interval={interval}s timeout=10s", it.resource),
            "restarts nothing",
        )
    };
    missing.filter(|_| it.ours().is_some()).map(describe).collect()
}

fn same_interval(it: &Configuration) -> Vec<Found> {
    let of = |names| monitors(it).find(|(monitor, _)| is_for(monitor, names)).and_then(|(_, interval)| interval);
    let [promoted, unpromoted] = ROLES.map(of);
    found_if(promoted.is_some() && promoted == unpromoted, || {
        found(
            "the monitors of both roles have the same interval: Pacemaker takes them for one operation",
            format!("pcs resource update {} op monitor interval=3s role=Unpromoted timeout=10s", it.resource),
            "restarts nothing",
        )
    })
}

fn monitor_timeout(it: &Configuration) -> Vec<Found> {
    let least = Action::Monitor.usual_timeout();
    let short = monitors(it).filter_map(|(monitor, _)| {
        let timeout = timeout(it, Some(monitor)).filter(|timeout| *timeout < least * 1000)?;
        Some((monitor, timeout))
    });
    let describe = |(monitor, timeout): (&Pairs, u64)| {
        let interval = monitor.get("interval").map_or("", String::as_str);
        let (role, words) = match role(monitor) {
            "" => (String::new(), "the monitor".to_owned()),
            role => (format!(" role={role}"), format!("the monitor for the role {role}")),
        };
        found(
            format!("{words} has {timeout} ms: a busy machine that answers late is taken for a failure"),
            format!("pcs resource update {} op monitor interval={interval}{role} timeout={least}s", it.resource),
            "restarts nothing",
        )
    };
    short.map(describe).collect()
}

fn monitor_interval(it: &Configuration) -> Vec<Found> {
    let seldom =
        monitors(it).filter_map(|(monitor, interval)| Some((monitor, interval.filter(|it| *it > LONGEST_INTERVAL)?)));
    let describe = |(monitor, interval): (&Pairs, u64)| {
        let role = role(monitor);
        let seconds = interval / 1000;
        found(
            format!("the monitor of {role} comes every {seconds} s: so long may PostgreSQL be down unnoticed"),
            format!("pcs resource update {} op monitor interval=2s role={role} timeout=10s", it.resource),
            "another interval for each role",
        )
    };
    seldom.map(describe).collect()
}

fn operation_timeout(it: &Configuration) -> Vec<Found> {
    let actions = [
        ("start", Action::Start),
        ("stop", Action::Stop),
        ("promote", Action::Promote),
        ("demote", Action::Demote),
        ("notify", Action::Notify),
    ];
    let short = actions.into_iter().filter_map(|(name, action)| {
        let least = action.usual_timeout();
        let given = timeout(it, operations(it, name).next()).filter(|given| *given < least * 1000)?;
        Some((name, given, least))
    });
    let describe = |(name, given, least): (&str, u64, u64)| {
        let given = given / 1000;
        found(
            format!(
                "{name} has {given} s, and the agent's meta-data advises {least} s: it fails where it is only slow"
            ),
            format!("pcs resource update {} op {name} timeout={least}s", it.resource),
            "restarts nothing",
        )
    };
    short.filter(|_| it.ours().is_some()).map(describe).collect()
}

fn on_fail(it: &Configuration) -> Vec<Found> {
    let is_ignored = |operation: &&Pairs| operation.get("on-fail").is_some_and(|on_fail| on_fail == "ignore");
    let ignored = it.ours().into_iter().flat_map(|ours| &ours.operations).filter(is_ignored);
    let describe = |operation: &Pairs| {
        let name = operation.get("name").map_or("", String::as_str);
        found(
            format!("{name} has on-fail=ignore: Pacemaker does nothing when it fails"),
            format!("pcs resource update {} op {name} on-fail=", it.resource),
            "then the default holds: restart, or fence where a stop fails",
        )
    };
    ignored.map(describe).collect()
}
