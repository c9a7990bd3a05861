//! The virtual address: it is where the primary is, comes after the promotion, and stays until the demotion is over.

use super::Severity::{Failure, Hint, Warning};
use super::{Check, Configuration, Found, Order, Resource, configured, found, found_if};

pub(super) const CHECKS: [Check; 7] = [
    configured("vip-no-colocation", Failure, "Nothing keeps the address where the primary is.", no_colocation),
    configured("vip-wrong-role", Failure, "The address follows an instance of any role, not the primary.", wrong_role),
    configured(
        "vip-no-promote-order",
        Warning,
        "The address may come before the promotion: clients meet a standby.",
        no_promote_order,
    ),
    configured(
        "vip-order-mandatory",
        Failure,
        "The address waits for a demotion that never comes: the cluster does not stop.",
        mandatory_order,
    ),
    configured(
        "vip-symmetrical",
        Warning,
        "The address leaves before the demotion: standbys miss the end of the WAL.",
        symmetrical,
    ),
    configured("vip-no-demote-order", Warning, "The address may leave before the demotion is over.", no_demote_order),
    configured("vip-no-stop-order", Hint, "The address may leave before a primary is stopped.", no_stop_order),
];

/// An address and the names by which constraints may mean it.
struct Address<'a> {
    id: &'a str,
    names: Vec<&'a str>,
}

impl Address<'_> {
    fn is(&self, name: &str) -> bool {
        self.names.contains(&name)
    }
}

/// The addresses that some constraint ties to the primary. Where a set does it, nothing is said.
fn addresses(it: &Configuration) -> Vec<Address<'_>> {
    let is_address = |resource: &&Resource| matches!(resource.kind.as_str(), "IPaddr2" | "IPaddr");
    let named = it.resources.iter().filter(is_address).map(|resource| {
        let names = resource.within.iter().map(String::as_str).chain([resource.id.as_str()]);
        Address { id: resource.id.as_str(), names: names.collect() }
    });
    let is_tied = |address: &Address| {
        let by_order = it.orders.iter().any(|order| it.is_ours(&order.first.0) && address.is(&order.then.0));
        let by_place = it.colocations.iter().any(|with| it.is_ours(&with.with) && address.is(&with.resource));
        let is_for_standbys = colocations(it, address).any(|role| is_one_of(role, ["Unpromoted", "Slave"]));
        (by_order || by_place) && !is_for_standbys && !address.names.iter().any(|name| it.in_sets.contains(*name))
    };
    named.filter(is_tied).collect()
}

/// With which roles of the resource an address is kept.
fn colocations<'a>(it: &'a Configuration, address: &'a Address) -> impl Iterator<Item = Option<&'a str>> {
    let ours = it.colocations.iter().filter(|with| it.is_ours(&with.with) && address.is(&with.resource));
    ours.filter(|with| !with.score.starts_with('-')).map(|with| with.with_role.as_deref())
}

fn is_one_of(role: Option<&str>, names: [&str; 2]) -> bool {
    role.is_some_and(|role| names.iter().any(|name| role.eq_ignore_ascii_case(name)))
}

/// The orders of an action of the resource before one of the address.
fn orders<'a>(
    it: &'a Configuration,
    address: &'a Address,
    first: &'a str,
    then: &'a str,
) -> impl Iterator<Item = &'a Order> {
    it.orders.iter().filter(move |order| {
        it.is_ours(&order.first.0) && address.is(&order.then.0) && order.first.1 == first && order.then.1 == then
    })
}

fn of_each(it: &Configuration, look: impl Fn(&Address) -> Vec<Found>) -> Vec<Found> {
    addresses(it).iter().flat_map(look).collect()
}

fn no_colocation(it: &Configuration) -> Vec<Found> {
    of_each(it, |address| {
        let (id, handle) = (address.id, it.handle());
        found_if(colocations(it, address).next().is_none(), || {
            found(
                format!("nothing keeps {id} where the primary is: clients that use it reach a standby, or no server"),
                format!("pcs constraint colocation add {id} with Promoted {handle}"),
                "moves the address to the primary",
            )
        })
    })
}

fn wrong_role(it: &Configuration) -> Vec<Found> {
    of_each(it, |address| {
        let (id, handle) = (address.id, it.handle());
        let is_any = colocations(it, address).next().is_some()
            && !colocations(it, address).any(|role| is_one_of(role, ["Promoted", "Master"]));
        found_if(is_any, || {
            found(
                format!("{id} goes where any instance is, not only the primary"),
                format!("pcs constraint colocation add {id} with Promoted {handle}"),
                "and remove the other constraint: `pcs constraint colocation --full`",
            )
        })
    })
}

fn no_promote_order(it: &Configuration) -> Vec<Found> {
    of_each(it, |address| {
        let (id, handle) = (address.id, it.handle());
        found_if(orders(it, address, "promote", "start").next().is_none(), || {
            found(
                format!("{id} may come before the promotion: clients meet a standby"),
                format!("pcs constraint order promote {handle} then start {id} symmetrical=false kind=Mandatory"),
                "takes effect with the next failover",
            )
        })
    })
}

fn mandatory_order(it: &Configuration) -> Vec<Found> {
    of_each(it, |address| {
        let all = orders(it, address, "demote", "stop").chain(orders(it, address, "stop", "stop"));
        let describe = |order: &Order| {
            let (id, handle, action) = (address.id, it.handle(), &order.first.1);
            found(
                format!(
                    "{} is mandatory: where the {action} is over, {id} never stops, and the cluster neither",
                    order.id
                ),
                format!("pcs constraint order {action} {handle} then stop {id} symmetrical=false kind=Optional"),
                format!("after `pcs constraint remove {}`", order.id),
            )
        };
        all.filter(|order| order.is_mandatory).map(describe).collect()
    })
}

fn symmetrical(it: &Configuration) -> Vec<Found> {
    of_each(it, |address| {
        let (id, handle) = (address.id, it.handle());
        let describe = |order: &Order| {
            found(
                format!(
                    "{} is symmetrical: {id} leaves before the demotion, and standbys miss the end of the WAL",
                    order.id
                ),
                format!("pcs constraint order promote {handle} then start {id} symmetrical=false kind=Mandatory"),
                format!("after `pcs constraint remove {}`", order.id),
            )
        };
        orders(it, address, "promote", "start").filter(|order| order.is_symmetrical).map(describe).collect()
    })
}

fn no_demote_order(it: &Configuration) -> Vec<Found> {
    of_each(it, |address| {
        let (id, handle) = (address.id, it.handle());
        found_if(orders(it, address, "demote", "stop").next().is_none(), || {
            found(
                format!("{id} may leave before the demotion is over: standbys miss the end of the WAL"),
                format!("pcs constraint order demote {handle} then stop {id} symmetrical=false kind=Optional"),
                "takes effect with the next switchover",
            )
        })
    })
}

fn no_stop_order(it: &Configuration) -> Vec<Found> {
    of_each(it, |address| {
        let (id, handle) = (address.id, it.handle());
        found_if(orders(it, address, "stop", "stop").next().is_none(), || {
            found(
                format!("{id} may leave before a primary is stopped whose demotion has failed"),
                format!("pcs constraint order stop {handle} then stop {id} symmetrical=false kind=Optional"),
                "takes effect with the next failure",
            )
        })
    })
}
