//! What `crm_resource` and `crmadmin` say about the role of the primary, in the words of Pacemaker 2.0 to 3.0.

use std::collections::BTreeSet;

use crate::node::NodeName;

/// The nodes on which the resource is promoted, by `crm_resource --locate`: `resource pgsqld is running on: srv1 Promoted`.
pub(super) fn promoted(text: &str) -> BTreeSet<NodeName> {
    let places = text.lines().filter_map(|line| line.split_once(" is running on: "));
    let promoted = places.filter_map(|(_, place)| place.trim_end().rsplit_once(' '));
    let promoted = promoted.filter(|(_, role)| matches!(*role, "Promoted" | "Master"));
    promoted.map(|(node, _)| NodeName::new(node.trim())).collect()
}

/// The coordinator, by `crmadmin --dc_lookup`: `Designated Controller is: srv1`.
pub(super) fn coordinator(text: &str) -> Option<NodeName> {
    let name = text.lines().find_map(|line| line.split_once(" is: "))?.1;
    name.split_whitespace().next().map(NodeName::new)
}

/// Whether the coordinator has nothing to do, by `crmadmin --status`: `Controller on srv1 in state S_IDLE: ok`.
pub(super) fn is_idle(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == "S_IDLE")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn found(text: &str) -> String {
        promoted(text).iter().map(NodeName::as_str).collect::<Vec<_>>().join(" ")
    }

    table! { found;
        pacemaker_2_1: "resource pgsqld is running on: srv2\nresource pgsqld is running on: srv1 Promoted\n" => "srv1";
        pacemaker_2_0: "resource pgsqld is running on: srv2 \nresource pgsqld is running on: srv1 Master\n" => "srv1";
        a_list: "  * resource pgsqld is running on: srv3 Promoted\n  * resource pgsqld is running on: srv2 Promoted" => "srv2 srv3";
        standbys_only: "resource pgsqld is running on: srv2\nresource pgsqld is running on: Promoted" => "";
        nothing_runs: "resource pgsqld is NOT running\n" => "";
    }

    fn idle(texts: (&str, &str)) -> (Option<String>, bool) {
        (coordinator(texts.0).map(|node| node.to_string()), is_idle(texts.1))
    }

    table! { idle;
        idle_2_0: ("Designated Controller is: srv1\n", "Status of crmd@srv1: S_IDLE (ok)\n") => (Some("srv1".to_owned()), true);
        idle_2_1: ("Designated Controller is: srv1\n", "Controller on srv1 in state S_IDLE: ok\n") => (Some("srv1".to_owned()), true);
        at_work: ("Designated Controller is: srv1 (3.19.0)", "Controller on srv1 in state S_TRANSITION_ENGINE: ok") => (Some("srv1".to_owned()), false);
        thinking: ("", "Controller on S_IDLENESS in state S_POLICY_ENGINE: ok") => (None, false);
    }
}
