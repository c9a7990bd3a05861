//! Each bar that the agent recognises keeps Pacemaker from promoting a node. srv1 is the primary and is lost; srv2 is the best
//! standby, and barred.

use pgsqlms::node::NodeName;
use pgsqlms::pacemaker::cib::Cib;

use super::{Cluster, Score, running, scores, usual};

/// The nodes that the agent takes for banned.
fn banned(cluster: &Cluster) -> Vec<NodeName> {
    Cib::parse(&cluster.cib).unwrap().banned.remove("pgsqld").unwrap_or_default().into_iter().collect()
}

/// The primary is lost under a constraint that the agent takes for a ban of srv2.
fn under(constraint: &str) -> Cluster {
    let cluster = running(usual()).constrained(constraint);
    assert_eq!(banned(&cluster), [NodeName::new("srv2")]);
    cluster.lost("srv1")
}

reactions! {
    a_banned_role: under(r#"<rsc_location id="b" rsc="pgsqld-clone" role="Promoted" node="srv2" score="-INFINITY"/>"#)
        => "fence srv1, promote srv3";
    a_banned_resource: under(r#"<rsc_location id="b" rsc="pgsqld-clone" role="Started" node="srv2" score="-INFINITY"/>"#)
        => "fence srv1, stop srv2, promote srv3";
    an_avoided_node: under(r#"<rsc_location id="b" rsc="pgsqld-clone" node="srv2" score="-INFINITY"/>"#)
        => "fence srv1, stop srv2, promote srv3";
    a_banned_standby_role: under(r#"<rsc_location id="b" rsc="pgsqld-clone" role="Unpromoted" node="srv2" score="-INFINITY"/>"#)
        => "fence srv1, stop srv2, promote srv3";
    a_ban_of_the_primitive: under(r#"<rsc_location id="b" rsc="pgsqld" role="Promoted" node="srv2" score="-INFINITY"/>"#)
        => "fence srv1, promote srv3";
    a_rule_for_the_role: under(r##"<rsc_location id="b" rsc="pgsqld-clone"><rule id="r" role="Promoted" score="-INFINITY"><expression id="e" operation="eq" attribute="#uname" value="srv2"/></rule></rsc_location>"##)
        => "fence srv1, promote srv3";
    a_rule_in_a_constraint_for_the_role: under(r##"<rsc_location id="b" rsc="pgsqld-clone" role="Promoted"><rule id="r" score="-INFINITY"><expression id="e" operation="eq" attribute="#uname" value="srv2"/></rule></rsc_location>"##)
        => "fence srv1, stop srv2, promote srv3";
    a_node_in_capitals: under(r#"<rsc_location id="b" rsc="pgsqld-clone" role="Promoted" node="SRV2" score="-INFINITY"/>"#)
        => "fence srv1, promote srv3";
    a_rule_in_capitals: under(r##"<rsc_location id="b" rsc="pgsqld-clone"><rule id="r" role="Promoted" score="-INFINITY"><expression id="e" operation="eq" attribute="#uname" value="SRV2"/></rule></rsc_location>"##)
        => "fence srv1, promote srv3";
    a_node_in_maintenance: running(usual()).marked("srv2", "maintenance", "on").lost("srv1")
        => "fence srv1, promote srv3";
    a_node_in_maintenance_in_capitals: running(usual()).marked("srv2", "maintenance", "True").lost("srv1")
        => "fence srv1, promote srv3";
    a_node_whose_maintenance_makes_no_sense: running(usual()).marked("srv2", "maintenance", "perhaps").lost("srv1")
        => "fence srv1, promote srv2";
    a_node_on_standby: running(usual()).on_standby("srv2").lost("srv1")
        => "fence srv1, stop srv2, promote srv3";
}

/// Why the agent has to read constraints: no other node is promotable, and Pacemaker promotes none.
#[test]
fn the_best_node_is_banned_and_no_other_is_promotable() {
    let ban = r#"<rsc_location id="b" rsc="pgsqld-clone" role="Promoted" node="srv2" score="-INFINITY"/>"#;
    let cluster = running(scores(Score::PRIMARY, Score::BEST_STANDBY, Score::DISCONNECTED)).constrained(ban);
    if let Some(reaction) = cluster.lost("srv1").reaction() {
        assert_eq!(reaction, "fence srv1");
    }
}
