//! Reads what Corosync's own tools print: how many votes there are, and how long it waits for a silent node.

use crate::rules::doctor::Corosync;
use crate::rules::why::Votes;

/// What `corosync-quorumtool -s` says; nothing where it counts no votes.
pub(super) fn votes(printed: &str) -> Option<Votes> {
    let value = |name: &str| {
        let mut lines = printed.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(head, _)| head.trim() == name).map(|(_, value)| value.trim())
    };
    let number = |name: &str| value(name)?.split_whitespace().next()?.parse().ok();
    let (total, needed) = (number("Total votes")?, number("Quorum")?);
    let two_nodes = value("Flags").is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "2Node"));
    // Node 0 is the quorum device.
    let rows = printed.lines().skip_while(|line| !line.trim_start().starts_with("Nodeid")).skip(1);
    let mut rows = rows.filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse::<u32>().ok()?, words.next()?.parse::<u32>().ok()?))
    });
    let one_each = rows.all(|(node, votes)| node == 0 || votes == 1);
    Some(Votes { total, needed, two_nodes, one_each })
}

/// What `corosync-cmapctl -g` says of a number: `runtime.config.totem.token (u32) = 1000`.
pub(super) fn token(printed: &str) -> Option<u64> {
    printed.rsplit_once('=')?.1.trim().parse().ok()
}

/// What `corosync-cmapctl` says of all that it has: `quorum.two_node (u8) = 1`.
pub(super) fn corosync(printed: &str) -> Corosync {
    let value = |name: &str| {
        let mut lines = printed.lines().filter_map(|line| line.split_once(" = "));
        lines.find(|(head, _)| head.split_whitespace().next() == Some(name)).map(|(_, value)| value.trim())
    };
    let number = |name: &str| value(name)?.parse().ok();
    let yes = |name: &str| value(name).map(|value| matches!(value, "1" | "yes"));
    let two_nodes = yes("quorum.two_node").unwrap_or(false);
    Corosync {
        token: number("runtime.config.totem.token"),
        consensus: number("runtime.config.totem.consensus"),
        two_nodes,
        // With two nodes it is on unless it is set otherwise.
        waits_for_all: yes("quorum.wait_for_all").unwrap_or(two_nodes),
        has_device: value("quorum.device.model").is_some(),
        votes: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    const HEAD: &str = "Quorum information\n------------------\nDate:             Fri Nov 27 19:30:44 2026\nQuorum provider:  \
        corosync_votequorum\nNodes:            3\nNode ID:          1\nRing ID:          1.9\nQuorate:          Yes\n\n\
        Votequorum information\n----------------------\nExpected votes:   3\nHighest expected: 3\n";
    const TABLE: &str = "Membership information\n----------------------\n    Nodeid      Votes Name\n";

    fn counted((counts, rows): (&str, &str)) -> Option<(u32, u32, bool, bool)> {
        votes(&format!("{HEAD}{counts}\n{TABLE}{rows}")).map(|it| (it.total, it.needed, it.two_nodes, it.one_each))
    }

    table! { counted;
        three_nodes: ("Total votes:      3\nQuorum:           2  \nFlags:            Quorate \n",
            "         1          1 srv1 (local)\n         2          1 srv2\n         3          1 srv3\n")
            => Some((3, 2, false, true));
        two_nodes: ("Total votes:      2\nQuorum:           1  \nFlags:            2Node Quorate WaitForAll \n",
            "         1          1 srv1 (local)\n         2          1 srv2\n") => Some((2, 1, true, true));
        a_quorum_device: ("Total votes:      3\nQuorum:           2  \nFlags:            Quorate Qdevice \n",
            "         1          1    A,V,NMW srv1 (local)\n         2          1    A,V,NMW srv2\n         0          2            Qdevice\n")
            => Some((3, 2, false, true));
        a_node_with_two_votes: ("Total votes:      4\nQuorum:           3  \nFlags:            Quorate \n",
            "         1          2 srv1 (local)\n         2          1 srv2\n") => Some((4, 3, false, false));
        blocked: ("Total votes:      1\nQuorum:           2 Activity blocked\nFlags:            \n", "         1          1 srv1\n")
            => Some((1, 2, false, true));
        nothing: ("", "") => None;
    }

    /// The lines for two nodes → token, consensus, two nodes, whether they wait, whether there is a quorum device.
    fn configured(lines: &str) -> (Option<u64>, Option<u64>, bool, bool, bool) {
        let printed = format!(
            "runtime.config.totem.consensus (u32) = 1200\nruntime.config.totem.token (u32) = 1000\ntotem.token (u32) = 7\n{lines}"
        );
        let it = corosync(&printed);
        (it.token, it.consensus, it.two_nodes, it.waits_for_all, it.has_device)
    }

    table! { configured;
        three_nodes_of_it: "quorum.provider (str) = corosync_votequorum\n" => (Some(1000), Some(1200), false, false, false);
        two_nodes_of_it: "quorum.two_node (u8) = 1\n" => (Some(1000), Some(1200), true, true, false);
        two_that_do_not_wait: "quorum.two_node (u8) = 1\nquorum.wait_for_all (u8) = 0\n" => (Some(1000), Some(1200), true, false, false);
        with_a_device: "quorum.device.model (str) = net\n" => (Some(1000), Some(1200), false, false, true);
    }

    #[test]
    fn a_token_is_read() {
        assert_eq!(token("runtime.config.totem.token (u32) = 1000\n"), Some(1000));
        assert_eq!(token("Can't get key"), None);
    }
}
