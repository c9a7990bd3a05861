//! Fencing, and the cluster's own properties.

use std::collections::BTreeSet;

use super::Severity::{Failure, Hint, Warning};
use super::{Check, Configuration, Found, Resource, configured, found, found_if};
use crate::boolean::{is_no, is_yes};

pub(super) const CHECKS: [Check; 10] = [
    configured("fencing-off", Failure, "Fencing is off: two nodes may accept writes at the same time.", fencing_off),
    configured("fencing-no-device", Failure, "No device fences a node: without that no failover goes on.", no_device),
    configured("fencing-device-disabled", Warning, "A fence device is disabled.", device_disabled),
    configured("fencing-self", Hint, "The device that fences one node may run on that node.", runs_on_its_target),
    configured("fencing-race", Warning, "Of two nodes that lose each other, each may fence the other.", fencing_race),
    configured("startup-fencing-off", Failure, "Nodes that were never seen are taken for down.", startup_fencing_off),
    configured(
        "no-quorum-policy",
        Failure,
        "Without quorum PostgreSQL goes on: two partitions may accept writes.",
        ignores_quorum,
    ),
    configured(
        "load-threshold",
        Hint,
        "Under load Pacemaker does one thing at a time, and failovers are slow.",
        load_threshold,
    ),
    configured("startup-probes-off", Warning, "Pacemaker does not look what runs on a node that joins.", probes_off),
    configured(
        "asymmetric-cluster",
        Failure,
        "Resources run only where a constraint allows it, and none does.",
        asymmetric,
    ),
];

fn says(configuration: &Configuration, names: &[&str], is: fn(&str) -> bool) -> bool {
    names.iter().any(|name| configuration.property(name).is_some_and(is))
}

fn is_off(configuration: &Configuration) -> bool {
    says(configuration, &["stonith-enabled", "fencing-enabled"], is_no)
}

fn devices(configuration: &Configuration) -> impl Iterator<Item = &Resource> {
    configuration.resources.iter().filter(|resource| resource.class == "stonith")
}

/// Nodes reset themselves by a watchdog.
fn has_watchdog(configuration: &Configuration) -> bool {
    let timeouts = ["stonith-watchdog-timeout", "fencing-watchdog-timeout"];
    says(configuration, &timeouts, |timeout| !timeout.trim_start_matches('0').trim_start_matches('s').is_empty())
        && says(configuration, &["have-watchdog"], is_yes)
}

/// The nodes that a device says it fences; nothing where only the device itself knows.
fn targets(device: &Resource) -> Option<BTreeSet<&str>> {
    let list = device.parameters.get("pcmk_host_list").map(String::as_str).unwrap_or_default();
    let map = device.parameters.get("pcmk_host_map").map(String::as_str).unwrap_or_default();
    let separators = [' ', ',', ';', '\t'];
    let mapped = map.split(separators).filter_map(|pair| pair.split([':', '=']).next());
    let named: BTreeSet<&str> = list.split(separators).chain(mapped).filter(|name| !name.is_empty()).collect();
    (!named.is_empty()).then_some(named)
}

fn fencing_off(it: &Configuration) -> Vec<Found> {
    found_if(is_off(it), || {
        found(
            "stonith-enabled is false: two nodes may accept writes at the same time",
            "pcs property set stonith-enabled=true",
            "after fence devices are configured and tested",
        )
    })
}

fn no_device(it: &Configuration) -> Vec<Found> {
    if is_off(it) || has_watchdog(it) {
        return Vec::new();
    }
    let fenced: Vec<Option<BTreeSet<&str>>> = devices(it).map(targets).collect();
    let is_fenced = |node: &str| fenced.iter().any(|nodes| nodes.as_ref().is_none_or(|nodes| nodes.contains(node)));
    let without = it.nodes.iter().filter(|node| !is_fenced(node.as_str()));
    let describe = |node| {
        found(
            format!("no device fences {node}: if {node} is lost, the others wait for its fencing for ever"),
            format!("pcs stonith create fence-{node} AGENT pcmk_host_list={node} ..."),
            "`pcs stonith list` shows the agents",
        )
    };
    without.map(describe).collect()
}

fn device_disabled(it: &Configuration) -> Vec<Found> {
    let is_disabled = |device: &&Resource| device.meta.get("target-role").is_some_and(|role| role == "Stopped");
    let describe = |device: &Resource| {
        found(
            format!("{} is disabled: Pacemaker does not use it to fence", device.id),
            format!("pcs stonith enable {}", device.id),
            "starts its monitor",
        )
    };
    devices(it).filter(is_disabled).map(describe).collect()
}

fn runs_on_its_target(it: &Configuration) -> Vec<Found> {
    let is_kept_away = |device: &Resource, node: &str| {
        it.locations.iter().any(|at| at.forbids && at.resource == device.id && at.node.as_deref() == Some(node))
    };
    let mut all = Vec::new();
    for device in devices(it) {
        let Some(nodes) = targets(device).filter(|nodes| nodes.len() == 1) else { continue };
        for node in nodes.into_iter().filter(|node| !is_kept_away(device, node)) {
            all.push(found(
                format!("{} may run on {node}, which it fences: its monitor ends with the node", device.id),
                format!("pcs constraint location {} avoids {node}=INFINITY", device.id),
                "moves it to another node",
            ));
        }
    }
    all
}

fn fencing_race(it: &Configuration) -> Vec<Found> {
    let mut devices = devices(it).peekable();
    let is_delayed = it.property("priority-fencing-delay").is_some()
        || devices.peek().is_none()
        || devices.any(|device| {
            ["pcmk_delay_max", "pcmk_delay_base", "delay"].iter().any(|name| device.parameters.contains_key(*name))
        });
    found_if(it.nodes.len() == 2 && !is_off(it) && !is_delayed, || {
        found(
            "of two nodes that do not see each other, each fences the other at the same moment",
            "pcs property set priority-fencing-delay=15s",
            "with `priority=10` as a meta attribute of the clone, the primary survives",
        )
    })
}

fn startup_fencing_off(it: &Configuration) -> Vec<Found> {
    found_if(says(it, &["startup-fencing"], is_no), || {
        found(
            "startup-fencing is false: a node that was never seen may run a primary, and is taken for down",
            "pcs property unset startup-fencing",
            "such nodes are fenced when the cluster starts",
        )
    })
}

fn ignores_quorum(it: &Configuration) -> Vec<Found> {
    let policy = it.property("no-quorum-policy").unwrap_or_default();
    let why = match policy {
        "ignore" => "a partition without quorum promotes a primary of its own",
        "freeze" => "a primary without quorum goes on while the others promote another one",
        _ => return Vec::new(),
    };
    let text = format!("no-quorum-policy is {policy}: {why}");
    vec![found(text, "pcs property set no-quorum-policy=stop", "for two nodes, add a quorum device instead")]
}

fn load_threshold(it: &Configuration) -> Vec<Found> {
    let percent =
        it.property("load-threshold").map_or(Some(80), |value| value.trim_end_matches('%').trim().parse().ok());
    // Zero means no limit.
    let is_low = percent.is_some_and(|percent: u64| percent > 0 && percent < 300);
    let describe = |percent: u64| {
        found(
            format!(
                "load-threshold is {percent}%: under load Pacemaker does one thing at a time, and a failover is slow"
            ),
            "pcs property set load-threshold=1000%",
            "takes effect at once",
        )
    };
    percent.filter(|_| is_low).map(describe).into_iter().collect()
}

fn probes_off(it: &Configuration) -> Vec<Found> {
    found_if(says(it, &["enable-startup-probes"], is_no), || {
        found(
            "enable-startup-probes is false: a PostgreSQL that runs already is not seen on a node that joins",
            "pcs property unset enable-startup-probes",
            "takes effect when a node joins",
        )
    })
}

fn asymmetric(it: &Configuration) -> Vec<Found> {
    let is_allowed = it.locations.iter().any(|at| !at.forbids && it.is_ours(&at.resource));
    found_if(says(it, &["symmetric-cluster"], is_no) && !is_allowed, || {
        found(
            "symmetric-cluster is false and no constraint names a node for the resource: it runs nowhere",
            "pcs property set symmetric-cluster=true",
            format!("or `pcs constraint location {} prefers NODE`", it.handle()),
        )
    })
}
