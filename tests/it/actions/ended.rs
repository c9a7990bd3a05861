//! A postmaster ends, and its unit calls the agent.

use pgsqlms::actions::ended;
use pgsqlms::agent::Outcome;
use pgsqlms::postgres::About;
use pgsqlms::rules::ended::{End, Silence};

use super::*;

/// The reason not to report that a signal has ended the postmaster of srv1, and the nodes that were reported.
fn reported(cluster: &Cluster) -> (Option<Silence>, Vec<String>) {
    let mut silence = None;
    let ended = cluster.run_by(&job(0, Action::Monitor, &none()), |agent| {
        silence = ended::run(agent, &End::Unclean("signal KILL has ended it".to_owned()))?;
        Ok(Outcome::SUCCESS)
    });
    assert!(matches!(ended, Ended::Answered(Ok(_))), "{ended:?}");
    let state = cluster.state.borrow();
    assert_eq!(state.violations, Vec::<String>::new());
    (silence, state.information.reported.iter().map(ToString::to_string).collect())
}

#[test]
fn the_end_of_a_running_primary_is_reported() {
    assert_eq!(reported(&crashed()), (None, vec!["srv1".to_owned()]));
}

#[test]
fn an_end_by_the_agent_is_not_reported() {
    let cluster = crashed();
    cluster.state.borrow_mut().nodes[0].notes.remove(&About::Runs);
    assert_eq!(reported(&cluster), (Some(Silence::NotToRun), Vec::new()));
}

#[test]
fn an_end_in_maintenance_mode_is_not_reported() {
    let cluster = crashed();
    cluster.state.borrow_mut().information.in_maintenance = true;
    assert_eq!(reported(&cluster), (Some(Silence::NotManaged), Vec::new()));
}

#[test]
fn a_crashed_primary_gives_its_score_away_before_that_if_asked() {
    let mut cluster = crashed();
    cluster.config.on_crash = OnCrash::Failover;
    assert_eq!(reported(&cluster), (None, vec!["srv1".to_owned()]));
    let state = cluster.state.borrow();
    let score = |node: usize| {
        let score = state.information.transient(&state.nodes[node].name, &Attribute::Score.of(RESOURCE));
        score.and_then(|score| score.parse::<i32>().ok())
    };
    assert!(score(0) < score(1), "{:?} {:?}", score(0), score(1));
}

#[test]
fn each_start_and_demotion_leaves_a_server_with_an_end_to_report() {
    let cluster = running();
    let runs = |cluster: &Cluster, node: usize| cluster.state.borrow().nodes[node].notes.contains_key(&About::Runs);
    assert!((0..3).all(|node| runs(&cluster, node)));
    cluster.state.borrow_mut().nodes[0].notes.clear();
    done(&cluster, &job(0, Action::Demote, &demotion(false)));
    assert!(runs(&cluster, 0));
}
