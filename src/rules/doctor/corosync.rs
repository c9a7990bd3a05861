//! Corosync: quorum, and how soon a silent node is noticed.

use super::Severity::{Failure, Hint, Warning};
use super::{Check, Corosync, Facts, Found, Look, Severity, found, found_if};

pub(super) const CHECKS: [Check; 4] = [
    check(
        "two-nodes-no-third-vote",
        Warning,
        "Two nodes have no third vote: a race decides which one survives.",
        no_third_vote,
    ),
    check("two-nodes-no-wait", Failure, "A node that starts alone does not wait for the other one.", no_wait),
    check(
        "consensus",
        Warning,
        "Corosync's consensus is below 1.2 times the token: membership is unstable.",
        short_consensus,
    ),
    check("token", Hint, "Corosync notices a silent node late.", long_token),
];

const fn check(
    id: &'static str,
    severity: Severity,
    about: &'static str,
    look: fn(&Facts, &Corosync) -> Vec<Found>,
) -> Check {
    Check { id, severity, about, look: Look::Corosync(look) }
}

/// The longest token that is not worth a word, in milliseconds.
const LONGEST_TOKEN: u64 = 5000;

fn no_third_vote(_: &Facts, it: &Corosync) -> Vec<Found> {
    found_if(it.two_nodes && !it.has_device, || {
        found(
            "two nodes and no third vote: if they lose each other, each fences the other, and one of them wins by luck",
            "pcs quorum device add model net host=QNETD algorithm=ffsplit",
            "a third machine with corosync-qnetd; restarts nothing",
        )
    })
}

fn no_wait(_: &Facts, it: &Corosync) -> Vec<Found> {
    found_if(it.two_nodes && !it.waits_for_all, || {
        found(
            "two_node without wait_for_all: a node that starts alone promotes itself and fences the other one",
            "pcs quorum update wait_for_all=1",
            "while the cluster is stopped",
        )
    })
}

fn short_consensus(_: &Facts, it: &Corosync) -> Vec<Found> {
    let (Some(token), Some(consensus)) = (it.token, it.consensus) else { return Vec::new() };
    let least = token + token / 5;
    found_if(consensus < least, || {
        found(
            format!("consensus is {consensus} ms, and token {token} ms: it must be at least 1.2 times as long"),
            format!("pcs cluster config update totem consensus={least}"),
            "or remove it from corosync.conf; restarts nothing",
        )
    })
}

fn long_token(_: &Facts, it: &Corosync) -> Vec<Found> {
    let long = it.token.filter(|token| *token > LONGEST_TOKEN);
    let describe = |token| {
        found(
            format!("token is {token} ms: so long a lost primary is not noticed"),
            "pcs cluster config update totem token=3000",
            "restarts nothing",
        )
    };
    long.map(describe).into_iter().collect()
}
