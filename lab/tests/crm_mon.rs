//! Recorded output of crm_mon of each Pacemaker generation, and the parser's result.

use lab::cluster::{Cluster, Role};

const BULLSEYE: &str = include_str!("crm_mon/bullseye.xml");
const BOOKWORM: &str = include_str!("crm_mon/bookworm.xml");
const TRIXIE: &str = include_str!("crm_mon/trixie.xml");
const UNCLEAN: &str = include_str!("crm_mon/trixie-unclean.xml");

#[test]
fn a_healthy_cluster_looks_the_same_in_every_generation() {
    for (generation, xml) in [("2.0", BULLSEYE), ("2.1", BOOKWORM), ("3.0", TRIXIE)] {
        let cluster = Cluster::parse(xml).unwrap();
        assert!(cluster.quorate, "{generation}");
        assert_eq!(cluster.online(), ["srv1", "srv2", "srv3"], "{generation}");
        assert!(cluster.dc().is_some(), "{generation}");
        assert_eq!(cluster.nodes_with("pgsqld", Role::Promoted).len(), 1, "{generation}");
        assert_eq!(cluster.nodes_with("pgsqld", Role::Unpromoted).len(), 2, "{generation}");
        let primary = cluster.nodes_with("pgsqld", Role::Promoted);
        assert_eq!(cluster.nodes_with("pgsql-vip", Role::Started), primary, "{generation}");
        assert_eq!(cluster.score("pgsqld", primary[0]), Some(1001), "{generation}");
        assert!(cluster.instances.iter().all(|instance| instance.managed && !instance.failed), "{generation}");
        assert!(cluster.failures.is_empty(), "{generation}");
    }
}

#[test]
fn a_lost_node_is_unclean_and_a_crash_has_its_reason() {
    let cluster = Cluster::parse(UNCLEAN).unwrap();
    assert!(cluster.members["srv1"].unclean);
    assert_eq!(cluster.online(), ["srv2", "srv3"]);
    let failure = &cluster.failures[0];
    assert_eq!((failure.operation.as_str(), failure.node.as_str()), ("pgsqld_monitor_3000", "srv3"));
    assert!(failure.reason.contains("it crashed"), "{}", failure.reason);
    assert!(cluster.to_string().contains("srv1 is unclean"), "{cluster}");
}

#[test]
fn nothing_is_promoted_where_nothing_runs() {
    let cluster = Cluster::parse("<pacemaker-result><nodes/><resources/></pacemaker-result>").unwrap();
    assert_eq!(cluster.role("pgsqld", "srv1"), Role::Stopped);
    assert!(!cluster.quorate);
}
