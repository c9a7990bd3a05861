//! Pacemaker's reaction to the agent's scores and exit codes, by its own scheduler: `crm_simulate`. No cluster runs.
//! The cluster is the one of `pcs-examples/3nodes-vip.sh`, without the address.

use pgsqlms::exit::OcfExitCode::*;
use pgsqlms::score::Score;

use cluster::{Cluster, new, running};

/// The cluster, and events in it.
mod cluster;

const SIMULATOR: &str = "/usr/sbin/crm_simulate";
const NODES: [&str; 3] = ["srv1", "srv2", "srv3"];
const NEXT: Score = Score(Score::BEST_STANDBY.0 - Score::STEP);

/// Event → Pacemaker's actions.
macro_rules! reactions {
    ($($name:ident: $cluster:expr => $expected:literal;)+) => {
        $(
            #[test]
            fn $name() {
                if let Some(reaction) = $cluster.reaction() {
                    assert_eq!(reaction, $expected);
                }
            }
        )+
    };
}

/// The address that goes where the primary is.
mod address;
// After the macro that they use.
/// Nodes that it never promotes.
mod bars;
/// Constraints that end by themselves.
mod moves;
/// Location constraints that decide regardless of the scores.
mod preference;

fn scores(srv1: Score, srv2: Score, srv3: Score) -> [Option<Score>; 3] {
    [Some(srv1), Some(srv2), Some(srv3)]
}

/// The scores that a primary's monitor publishes.
fn usual() -> [Option<Score>; 3] {
    scores(Score::PRIMARY, Score::BEST_STANDBY, NEXT)
}

// Scores: which node Pacemaker promotes.
reactions! {
    the_primary_stays: running(usual()) => "";
    standbys_that_change_places_change_nothing: running(scores(Score::PRIMARY, NEXT, Score::BEST_STANDBY)) => "";
    the_best_standby_follows_a_lost_primary: running(usual()).lost("srv1") => "fence srv1, promote srv2";
    the_new_best_standby_follows_a_lost_primary: running(scores(Score::PRIMARY, NEXT, Score::BEST_STANDBY)).lost("srv1") => "fence srv1, promote srv3";
    a_lost_standby_changes_nothing: running(usual()).lost("srv3") => "fence srv3";
    no_node_with_a_negative_score_is_promoted: running(scores(Score::PRIMARY, Score::DISCONNECTED, Score::NOT_READY)).lost("srv1") => "fence srv1";
    no_node_that_lags_too_far_is_promoted: running(scores(Score::PRIMARY, Score::BEST_STANDBY.too_far_behind(), NEXT.too_far_behind())).lost("srv1") => "fence srv1";
    no_node_without_a_score_is_promoted: running([Some(Score::PRIMARY), None, None]).lost("srv1") => "fence srv1";
    a_candidate_is_promoted: running(scores(Score::PRIMARY, Score::DISCONNECTED, Score::CANDIDATE)).lost("srv1") => "fence srv1, promote srv3";
    the_only_candidate_of_a_first_start: new([None, Some(Score::CANDIDATE), None]) => "start srv1 srv2 srv3, promote srv2";
    no_candidate_yet: new([None; 3]) => "start srv1 srv2 srv3";
    an_operator_moves_the_primary: running(usual()).moved_to("srv3") => "demote srv1, promote srv3";
    a_wish_beats_disconnected: running(scores(Score::PRIMARY, Score::BEST_STANDBY, Score::DISCONNECTED)).moved_to("srv3") => "demote srv1, promote srv3";
    a_wish_does_not_beat_never: running(scores(Score::PRIMARY, Score::BEST_STANDBY, Score::NEVER)).moved_to("srv3") => "";
    // A node that has diverged: no wish for it costs the primary its role, and it runs like any other.
    a_diverged_node_is_not_promoted_for_want_of_others: running(scores(Score::PRIMARY, Score::NEVER, Score::DISCONNECTED)).moved_to("srv2").lost("srv1") => "fence srv1";
    a_diverged_node_is_started: running(scores(Score::PRIMARY, Score::BEST_STANDBY, Score::NEVER)).probed("srv3", NotRunning) => "start srv3";
    a_diverged_node_is_restarted_to_be_rewound: running(scores(Score::PRIMARY, Score::NEVER, Score::BEST_STANDBY)).monitored("srv2", GenericError) => "stop srv2, start srv2";
    a_running_diverged_node_is_left_alone: running(scores(Score::PRIMARY, Score::NEVER, Score::BEST_STANDBY)).monitored("srv2", Degraded) => "";
    a_node_on_standby_hands_over: running(usual()).on_standby("srv1") => "demote srv1, stop srv1, promote srv2";
}

// Elections: a node that yields sets its own score and that of the better one, and one transition does the rest.
reactions! {
    a_node_that_yields_makes_room: running(scores(Score::PRIMARY, Score::NEVER, Score::PRIMARY)).lost("srv1").ended("promote", "srv2", GenericError as u8)
        => "fence srv1, demote srv2, stop srv2, start srv2, promote srv3";
    a_node_that_yields_against_a_wish_makes_room: running(scores(Score::PRIMARY, Score::NEVER, Score::PRIMARY)).moved_to("srv2").lost("srv1").ended("promote", "srv2", GenericError as u8)
        => "fence srv1, demote srv2, stop srv2, start srv2, promote srv3";
    a_node_that_finds_no_fit_candidate_is_only_restarted: running(scores(Score::PRIMARY, Score::NEVER, Score::DISCONNECTED)).lost("srv1").ended("promote", "srv2", GenericError as u8)
        => "fence srv1, demote srv2, stop srv2, start srv2";
}

// Monitors and probes.
reactions! {
    a_primary_in_trouble_is_left_alone: running(usual()).monitored("srv1", DegradedPromoted) => "";
    a_standby_in_trouble_is_left_alone: running(usual()).monitored("srv2", Degraded) => "";
    a_crashed_primary_recovers_in_place: running(usual()).monitored("srv1", FailedPromoted)
        => "demote srv1, stop srv1, start srv1, promote srv1";
    a_vanished_primary_is_recovered_in_place: running(usual()).monitored("srv1", NotRunning)
        => "demote srv1, stop srv1, start srv1, promote srv1";
    a_crashed_primary_that_gives_up_is_replaced: running(scores(Score::CANDIDATE, Score::BEST_STANDBY, NEXT)).monitored("srv1", FailedPromoted)
        => "demote srv1, stop srv1, start srv1, promote srv2";
    a_crashed_standby_is_restarted: running(usual()).monitored("srv2", NotRunning) => "stop srv2, start srv2";
    a_standby_that_is_a_primary_is_demoted: running(usual()).monitored("srv2", RunningPromoted)
        => "demote srv2, stop srv2, start srv2";
    an_unknown_primary_is_adopted: running(usual()).probed("srv1", RunningPromoted) => "";
    an_unknown_standby_is_adopted: running(usual()).probed("srv3", Success) => "";
    a_probe_that_finds_nothing_leads_to_a_start: running(usual()).probed("srv3", NotRunning) => "start srv3";
    a_crashed_primary_that_is_found_is_recovered: running(usual()).probed("srv1", FailedPromoted)
        => "demote srv1, stop srv1, start srv1, promote srv1";
    // A permanent score outlives its truth, and the primary that replaced it is demoted for it: PAF's are removed.
    a_crashed_primary_with_the_greater_score_comes_back: running(scores(Score::BEST_STANDBY, Score::PRIMARY, NEXT)).probed("srv2", FailedPromoted)
        => "demote srv1 srv2, stop srv2, start srv2, promote srv2";
    // It passes for NotRunning, and a second primary comes up unfenced: no probe of the agent ends so.
    a_probe_of_a_primary_must_not_say_not_installed: running(usual()).probed("srv1", NotInstalled) => "promote srv2";
    a_probe_of_a_primary_must_not_say_bad_arguments: running(usual()).probed("srv1", BadArguments) => "promote srv2";
    a_probe_that_fails_is_followed_by_a_stop: running(usual()).probed("srv1", GenericError) => "stop srv1, start srv1, promote srv1";
}

// Other actions.
reactions! {
    a_dead_primary_is_demoted: running(usual()).monitored("srv1", FailedPromoted).ended("demote", "srv1", Success as u8)
        => "stop srv1, start srv1, promote srv1";
    // Our demote never returns this code, and Pacemaker would take it just as well.
    a_dead_primary_is_demoted_although_demote_finds_nothing: running(usual()).monitored("srv1", FailedPromoted).ended("demote", "srv1", NotRunning as u8)
        => "stop srv1, start srv1, promote srv1";
    a_start_that_may_work_next_time_is_repeated: running(usual()).ended("start", "srv2", GenericError as u8) => "stop srv2, start srv2";
    a_start_with_a_bad_parameter_is_not_repeated: running(usual()).ended("start", "srv2", BadArguments as u8) => "stop srv2";
    a_start_without_permission_is_not_repeated: running(usual()).ended("start", "srv2", NoPermission as u8) => "stop srv2";
    a_start_without_programs_is_not_repeated: running(usual()).ended("start", "srv2", NotInstalled as u8) => "stop srv2";
    // Why OcfExitCode has no 6.
    not_configured_would_stop_all: running(usual()).ended("start", "srv2", 6) => "demote srv1, stop srv1 srv2 srv3";
    a_stop_that_fails_fences: running(usual()).ended("stop", "srv2", GenericError as u8) => "fence srv2";
}
