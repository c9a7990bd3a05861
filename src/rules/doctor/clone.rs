//! The resource's clone, its meta attributes and parameters.

use super::Severity::{Failure, Hint, Warning};
use super::{Check, Configuration, Found, configured, found, found_if};
use crate::boolean::is_yes;
use crate::parameters::PARAMETERS;
use crate::rules::setup::{self, Meta, Unfit};

pub(super) const CHECKS: [Check; 12] = [
    configured(
        "not-promotable",
        Failure,
        "The resource is in no promotable clone: no node is ever promoted.",
        not_promotable,
    ),
    configured("notify", Failure, "The clone lacks `notify=true`: instances do not vote.", notify),
    configured("promoted-max", Failure, "The clone allows another number of primaries than one.", promoted_max),
    configured("clone-node-max", Failure, "A node may run several instances on the same data.", clone_node_max),
    configured(
        "globally-unique",
        Failure,
        "Instances have names of their own, which the agent does not know.",
        globally_unique,
    ),
    configured("clone-max", Warning, "There are fewer instances than nodes that may run one.", clone_max),
    configured("interleave", Hint, "Another clone waits for all instances instead of the one on its node.", interleave),
    configured("same-data", Failure, "Two resources manage the same data directory.", same_data),
    configured(
        "unknown-parameter",
        Warning,
        "The resource has a parameter that the agent does not know.",
        unknown_parameter,
    ),
    configured(
        "migration-threshold",
        Hint,
        "A node on which PostgreSQL fails is tried again for ever.",
        migration_threshold,
    ),
    configured("failure-timeout", Hint, "A failure is remembered until a cleanup.", failure_timeout),
    configured("stickiness", Hint, "The primary may move when a node comes back.", stickiness),
];

fn set_meta(it: &Configuration, pair: &str) -> String {
    format!("pcs resource meta {} {pair}", it.handle())
}

/// A meta attribute by its name, or by that of before Pacemaker 2.1.
fn promoted<'a>(it: &'a Configuration, new: &str, old: &str) -> Option<&'a str> {
    it.meta(new).or_else(|| it.meta(old))
}

fn not_promotable(it: &Configuration) -> Vec<Found> {
    let Some(ours) = it.ours() else { return Vec::new() };
    let is_promotable = it.clone_of_ours().is_some() && it.meta("promotable").is_some_and(is_yes);
    let command = match it.clone_of_ours() {
        Some((clone, _)) => format!("pcs resource meta {clone} promotable=true"),
        None => format!("pcs resource promotable {} notify=true", ours.id),
    };
    found_if(!is_promotable, || {
        found(
            format!("{} is in no promotable clone: no node is ever promoted", ours.id),
            command,
            "starts it on all nodes",
        )
    })
}

/// What `start` would refuse.
fn refused(it: &Configuration, meta: Meta) -> Option<Unfit> {
    it.clone_of_ours().and_then(|_| setup::check_meta(&meta).err())
}

fn notify(it: &Configuration) -> Vec<Found> {
    let meta = Meta { notify: Some(it.meta("notify").is_some_and(is_yes)), ..Meta::default() };
    let describe = |_| {
        found(
            "the clone lacks notify=true: the agent refuses to start, since instances would not vote",
            set_meta(it, "notify=true"),
            "restarts nothing",
        )
    };
    refused(it, meta).map(describe).into_iter().collect()
}

fn promoted_max(it: &Configuration) -> Vec<Found> {
    let most = promoted(it, "promoted-max", "master-max").map(str::to_owned);
    let describe = |_| {
        let most = most.clone().unwrap_or_default();
        found(
            format!("promoted-max is {most}: the agent refuses to start, since there could be several primaries"),
            set_meta(it, "promoted-max=1"),
            "demotes all but one",
        )
    };
    refused(it, Meta { promoted_max: most.clone(), ..Meta::default() }).map(describe).into_iter().collect()
}

fn clone_node_max(it: &Configuration) -> Vec<Found> {
    let names = [("clone-node-max", "clone-node-max"), ("promoted-node-max", "master-node-max")];
    let wrong = names
        .into_iter()
        .filter_map(|(new, old)| promoted(it, new, old).filter(|most| *most != "1").map(|most| (new, most)));
    let describe = |(name, most): (&str, &str)| {
        found(
            format!("{name} is {most}: a node has one data directory, and runs one instance"),
            set_meta(it, &format!("{name}=1")),
            "stops what is too many",
        )
    };
    wrong.map(describe).collect()
}

fn globally_unique(it: &Configuration) -> Vec<Found> {
    found_if(it.meta("globally-unique").is_some_and(is_yes), || {
        found(
            "globally-unique is true: Pacemaker numbers the instances, and scores belong to nodes",
            set_meta(it, "globally-unique=false"),
            "restarts all instances",
        )
    })
}

fn clone_max(it: &Configuration) -> Vec<Found> {
    let homes = it.homes().len();
    let most = it.meta("clone-max").and_then(|most| most.parse::<usize>().ok());
    let describe = |most: usize| {
        found(
            format!(
                "clone-max is {most}, and {homes} nodes may run it: one without an instance has no vote and no data"
            ),
            set_meta(it, &format!("clone-max={homes}")),
            "or ban it from nodes without PostgreSQL",
        )
    };
    most.filter(|most| *most < homes).map(describe).into_iter().collect()
}

fn interleave(it: &Configuration) -> Vec<Found> {
    let is_other = |name: &String| {
        let of = it.resources.iter().find(|resource| resource.id == *name);
        let in_clone = of.is_some_and(|of| of.within.iter().any(|outer| it.clones.contains_key(outer)));
        !it.is_ours(name) && (it.clones.contains_key(name) || in_clone)
    };
    let after_ours = it.orders.iter().filter(|order| it.is_ours(&order.first.0)).map(|order| &order.then.0);
    let with_ours = it.colocations.iter().filter(|with| it.is_ours(&with.with)).map(|with| &with.resource);
    let other = after_ours.chain(with_ours).find(|name| is_other(name));
    let is_set =
        |name: &String| it.clones.get(name).and_then(|meta| meta.get("interleave")).is_some_and(|it| is_yes(it));
    let describe = |name: &String| {
        found(
            format!(
                "{name} depends on {} and is not interleaved: it stops everywhere when one instance does",
                it.handle()
            ),
            format!("pcs resource meta {name} interleave=true"),
            "restarts nothing",
        )
    };
    other.filter(|name| !is_set(name)).map(describe).into_iter().collect()
}

fn same_data(it: &Configuration) -> Vec<Found> {
    let Some(ours) = it.ours() else { return Vec::new() };
    let data = |name: &str| it.parameter(name).map(|path| path.trim_end_matches('/'));
    let own: Vec<&str> = ["pgdata", "datadir"].into_iter().filter_map(data).collect();
    let uses = |parameters: &super::Pairs| {
        let named = ["pgdata", "datadir"].iter().filter_map(|name| parameters.get(*name));
        named.into_iter().any(|path| own.contains(&path.trim_end_matches('/')))
    };
    let others = it.resources.iter().filter(|other| other.id != ours.id && uses(&other.parameters));
    let describe = |other: &super::Resource| {
        found(
            format!("{} ({}) manages the data directory of {}, too", other.id, other.kind, ours.id),
            format!("pcs resource delete {}", other.id),
            "in maintenance mode; it stops PostgreSQL otherwise",
        )
    };
    others.map(describe).collect()
}

fn unknown_parameter(it: &Configuration) -> Vec<Found> {
    let Some(ours) = it.ours() else { return Vec::new() };
    let is_known = |name: &str| PARAMETERS.iter().any(|parameter| parameter.name == name);
    let unknown = ours.parameters.keys().filter(|name| !is_known(name));
    let describe = |name: &String| {
        found(
            format!("{name} is not a parameter of the agent: it has no effect"),
            format!("pcs resource update {} {name}=", ours.id),
            "`pcs resource describe ocf:rust:pgsqlms` lists them",
        )
    };
    unknown.map(describe).collect()
}

fn migration_threshold(it: &Configuration) -> Vec<Found> {
    let is_endless = it.meta("migration-threshold").is_none_or(|most| matches!(most, "INFINITY" | "0"));
    found_if(is_endless, || {
        found(
            "migration-threshold is not set: a node on which PostgreSQL fails is tried again for ever",
            "pcs resource defaults update migration-threshold=5",
            "takes effect at once",
        )
    })
}

fn failure_timeout(it: &Configuration) -> Vec<Found> {
    let is_endless = it.meta("failure-timeout").is_none_or(|time| super::milliseconds(time) == Some(0));
    found_if(is_endless, || {
        found(
            "failure-timeout is not set: failures add up until an operator cleans up, and the node is given up then",
            "pcs resource defaults update failure-timeout=10min",
            "takes effect at once",
        )
    })
}

fn stickiness(it: &Configuration) -> Vec<Found> {
    // What a clone has without any is 1.
    let score = it.meta("resource-stickiness");
    found_if(score.is_some_and(|score| score == "0"), || {
        found(
            "resource-stickiness is 0: instances may move to another node whenever one joins",
            "pcs resource defaults update resource-stickiness=10",
            "takes effect at once",
        )
    })
}
