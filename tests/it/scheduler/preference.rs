//! Pacemaker's reaction to a constraint that prefers a node as the primary. srv1 is the primary, srv3 is preferred and returns:
//! nothing is known of it, and no action has run there.

use super::{Cluster, NEXT, Score, running};

/// srv3, which is preferred, has just joined, with this score.
fn joined(score: Option<Score>) -> Cluster {
    let mut cluster = running([Some(Score::PRIMARY), Some(Score::BEST_STANDBY), score]).moved_to("srv3");
    cluster.edit("srv3", "<lrm ", "</node_state>", |_| String::new());
    cluster
}

/// The permanent score of srv3 before any action has run there.
const DEFAULT: &str = "-1000000";

reactions! {
    // Why -1000 does not do: the healthy primary is demoted before it is known what runs there.
    a_node_without_a_score: joined(None) => "demote srv1, start srv3, promote srv3";
    a_node_that_is_disconnected: joined(Some(Score::DISCONNECTED)) => "demote srv1, start srv3, promote srv3";
    a_node_that_is_not_ready: joined(Some(Score::NOT_READY)) => "demote srv1, start srv3, promote srv3";
    a_node_that_must_never_be_promoted: joined(Some(Score::NEVER)) => "start srv3";
    a_node_with_nothing_but_the_default: joined(None).marked("srv3", "master-pgsqld", DEFAULT) => "start srv3";
    a_node_that_has_caught_up: running([Some(Score::PRIMARY), Some(Score::BEST_STANDBY), Some(NEXT)]).moved_to("srv3").marked("srv3", "master-pgsqld", DEFAULT)
        => "demote srv1, promote srv3";
    the_default_keeps_no_node_from_being_promoted: running([Some(Score::PRIMARY), Some(NEXT), Some(Score::BEST_STANDBY)]).marked("srv3", "master-pgsqld", DEFAULT).lost("srv1")
        => "fence srv1, promote srv3";
}
