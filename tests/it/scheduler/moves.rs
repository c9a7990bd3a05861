//! The constraints of `pgsqlms switchover` and `pgsqlms restart`, made by Pacemaker's own tools, and the scheduler's reaction.

use std::path::Path;
use std::time::Duration;

use pgsqlms::command::Invocation;
use pgsqlms::node::NodeName;
use pgsqlms::pacemaker::cib::Cib;
use pgsqlms::pacemaker::moves::{ban_of, banning, preference, preferring, withdrawing};
use tempfile::TempDir;

use super::{Cluster, SIMULATOR, running, usual};

const CLONE: &str = "pgsqld-clone";
const MINUTE: Duration = Duration::from_secs(60);

/// The cluster after one of Pacemaker's tools has worked on its configuration. Where there are none, nothing is tested.
fn after(cluster: Cluster, tool: Invocation) -> Cluster {
    if !Path::new(SIMULATOR).exists() {
        return cluster;
    }
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("cib.xml");
    std::fs::write(&path, &cluster.cib).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tool.env("CIB_file", &path).run(&runtime, MINUTE).unwrap();
    Cluster { cib: std::fs::read_to_string(path).unwrap(), ..cluster }
}

fn preferred(node: &str) -> Cluster {
    after(running(usual()), preferring("--promoted", CLONE, &NodeName::new(node), MINUTE))
}

fn banned(node: &str) -> Cluster {
    after(running(usual()), banning(CLONE, &NodeName::new(node), MINUTE))
}

/// Its end, whenever that was to be, is over.
fn ended(mut cluster: Cluster) -> Cluster {
    if let Some((before, rest)) = cluster.cib.split_once(r#"operation="lt" end=""#) {
        let (_, after) = rest.split_once('"').unwrap();
        cluster.cib = format!(r#"{before}operation="lt" end="2026-01-01 00:00:00Z"{after}"#);
    }
    cluster
}

// The primary moves to the node that is preferred and stays there when that is over. A standby alone is stopped, and started
// when its ban is removed or over.
reactions! {
    the_role_prefers_a_standby: preferred("srv3") => "demote srv1, promote srv3";
    the_role_has_preferred_a_standby: ended(preferred("srv3")) => "";
    a_preference_that_is_over_is_replaced: after(ended(preferred("srv3")), preferring("--promoted", CLONE, &NodeName::new("srv2"), MINUTE))
        => "demote srv1, promote srv2";
    a_preference_is_withdrawn: after(preferred("srv3"), withdrawing(&preference(CLONE))) => "";
    the_preferred_node_is_lost: preferred("srv3").lost("srv3") => "fence srv3";
    the_primary_is_lost: preferred("srv3").lost("srv1") => "fence srv1, promote srv3";
    a_standby_is_banned: banned("srv3") => "stop srv3";
    a_standby_was_banned: ended(banned("srv3")) => "";
    a_ban_is_withdrawn: after(banned("srv3"), withdrawing(&ban_of(CLONE, &NodeName::new("srv3")))) => "";
}

#[test]
fn a_standby_that_was_banned_is_started_again() {
    let cluster = banned("srv3");
    if cluster.reaction().is_some() {
        let stopped = Cluster { cib: cluster.simulated().1, happened: Vec::new() };
        assert_eq!(stopped.simulated().0, "");
        assert_eq!(ended(stopped).simulated().0, "start srv3");
    }
}

#[test]
fn constraints_of_moves_are_recognised_by_name_and_end() {
    let cluster = preferred("srv3");
    if cluster.reaction().is_none() {
        return;
    }
    let left = |cluster: &Cluster| Cib::parse(&cluster.cib).unwrap().by_command.remove("pgsqld").unwrap_or_default();
    let found = left(&cluster);
    let one = found.first().unwrap();
    assert_eq!((found.len(), one.id.as_str()), (1, preference(CLONE).as_str()));
    assert!(one.until.is_some() && !one.is_over(1_700_000_000) && one.is_over(9_000_000_000), "{one:?}");
    assert_eq!(left(&after(cluster, withdrawing(&one.id))), [].into());
    assert_eq!(left(&banned("srv3")).first().unwrap().id, ban_of(CLONE, &NodeName::new("srv3")));
}
