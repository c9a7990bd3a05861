//! The scenarios, one per file.

mod a_banned_node_does_not_block_the_others;
mod a_dba_switches_over_in_maintenance_mode;
mod a_delayed_standby_was_restarted_and_holds_the_most;
mod a_diverged_primary_is_rebuilt_without_a_hand;
mod a_failed_primary_returns_by_itself;
mod a_first_start_gives_a_primary_and_streaming_standbys;
mod a_move_promotes_another_node_and_back;
mod a_move_to_a_standby_that_lacks_wal_is_undone;
mod a_move_to_the_second_best_standby_under_full_load;
mod a_preferred_node_returns;
mod a_primary_that_no_node_can_follow_says_so;
mod a_promotion_is_forced_by_hand;
mod a_quorum_loses_its_primary;
mod a_recovery_signal_is_left_on_the_primary;
mod a_rolling_restart;
mod a_running_standby_survives_what_start_refuses;
mod a_stale_primary_returns_without_the_new_one;
mod a_standby_cannot_connect;
mod a_standby_is_frozen_in_a_failover;
mod a_standby_is_promoted_by_hand;
mod a_standby_is_promoted_by_hand_when_there_is_no_primary;
mod a_standby_is_promoted_by_hand_without_a_virtual_address;
mod a_standby_is_restarted_by_hand_in_maintenance;
mod a_standby_loses_power;
mod a_standby_that_is_cut_off_is_promoted_by_hand;
mod a_standbys_node_is_put_on_standby;
mod a_switchover_by_the_command;
mod a_voter_loses_power_before_the_promotion;
mod agents_are_killed;
mod all_nodes_lose_power;
mod an_agent_is_killed_in_promote;
mod an_operator_brings_a_diverged_primary_back;
mod an_operator_rebuilds_a_node_that_lacks_wal;
mod another_instance_is_left_alone;
mod cleanup_and_refresh_restart_nothing;
mod crmsh_configures_a_cluster;
mod debians_layout;
mod diverged_primaries_rewind_themselves;
mod everything_is_switched_off;
mod lab_down_leaves_nothing_behind;
mod monitors_cost_a_fraction_of_paf;
mod monitors_start_no_process;
mod much_wal_since_the_checkpoint_and_all_nodes_lose_power;
mod ocf_tester_passes_inside_a_node;
mod pacemaker_is_restarted;
mod pacemakers_daemons_are_killed;
mod paf_is_replaced_in_place;
mod pauses_are_tolerated;
mod pcs_and_crmsh_accept_the_meta_data;
mod people_promote_in_every_way;
mod replication_is_cut;
mod scores_are_missing_and_stale;
mod sessions_are_kept_out;
mod slots_keep_the_wal_through_a_failover;
mod standbys_follow_without_a_virtual_address;
mod status_names_what_cures;
mod tablespaces_and_a_linked_pg_wal_are_rewound;
mod ten_power_cuts_in_a_row;
mod the_agent_keeps_a_quorum;
mod the_agents_changes_of_the_cib_are_counted;
mod the_attribute_daemon_stands_still_in_a_failover;
mod the_best_standbys_replay_is_paused;
mod the_candidate_loses_power_in_promote;
mod the_cluster_is_switched_off_in_every_way;
mod the_data_is_replaced_and_the_resource_created_again;
mod the_disk_fills_in_the_middle_of_a_rewind;
mod the_furthest_ahead_must_not_be_promoted;
mod the_furthest_ahead_must_not_be_promoted_and_may_be_missed;
mod the_last_primary_never_returns;
mod the_old_primary_holds_wal_that_no_other_node_has;
mod the_old_primary_is_powered_on_again;
mod the_oldest_pacemaker_elects;
mod the_postmaster_of_a_standby_is_killed;
mod the_postmaster_of_the_primary_is_killed;
mod the_power_fails_in_the_middle_of_a_rewind;
mod the_primary_and_the_only_synchronous_standby_die;
mod the_primary_is_restarted_by_hand_in_maintenance;
mod the_primary_loses_power;
mod the_primarys_crash_fails_over_if_asked;
mod the_primarys_disk_is_full;
mod the_primarys_node_is_put_on_standby;
mod the_primarys_postmaster_is_frozen;
mod the_primarys_storage_hangs;
mod the_resource_is_disabled_and_enabled;
mod the_resource_is_unmanaged_and_managed;
mod the_source_dies_in_the_middle_of_a_rewind;
mod two_restarted_standbys_end_in_the_same_segment;

use anyhow::{Result, ensure};
use lab::{Cut, Node};

use crate::operator::{CLONE, all_started_at, pcs, restart_by_hand, started_at, wait_until_idle};
use crate::runner::Scenario;
use crate::stage::Place::{New, Own, Shared};
use crate::trial::{Ending, LIMIT, Trial};

/// A scenario is called like its file, and one of several in a file like its function besides.
macro_rules! scenario {
    ($name:ident, $place:ident on $suite:literal) => {
        Scenario { name: name(stringify!($name), $suite), place: $place($suite, $name::play) }
    };
    ($name:ident::$part:ident, $place:ident on $suite:literal) => {
        Scenario {
            name: name(concat!(stringify!($name), "_", stringify!($part)), $suite),
            place: $place($suite, $name::$part),
        }
    };
    ($name:ident) => {
        Scenario { name: stringify!($name).to_owned(), place: Own($name::play) }
    };
}

/// Those that `make test` runs, in the order in which they are run: those that share a cluster follow each other.
pub fn everyday() -> Vec<Scenario> {
    vec![
        scenario!(a_first_start_gives_a_primary_and_streaming_standbys, New on "trixie"),
        scenario!(a_move_promotes_another_node_and_back, Shared on "trixie"),
        scenario!(a_switchover_by_the_command, Shared on "trixie"),
        scenario!(a_rolling_restart, Shared on "trixie"),
        scenario!(the_postmaster_of_the_primary_is_killed, Shared on "trixie"),
        scenario!(the_postmaster_of_a_standby_is_killed, Shared on "trixie"),
        scenario!(the_primary_loses_power, Shared on "trixie"),
        scenario!(the_old_primary_is_powered_on_again, Shared on "trixie"),
        scenario!(the_old_primary_holds_wal_that_no_other_node_has, Shared on "trixie"),
        scenario!(an_operator_brings_a_diverged_primary_back, Shared on "trixie"),
        scenario!(diverged_primaries_rewind_themselves, Shared on "trixie"),
        scenario!(the_power_fails_in_the_middle_of_a_rewind, Shared on "trixie"),
        scenario!(a_diverged_primary_is_rebuilt_without_a_hand, Shared on "trixie"),
        scenario!(a_standby_loses_power, Shared on "trixie"),
        scenario!(all_nodes_lose_power, Shared on "trixie"),
        scenario!(the_resource_is_disabled_and_enabled, Shared on "trixie"),
        scenario!(everything_is_switched_off, Shared on "trixie"),
        scenario!(a_standbys_node_is_put_on_standby, Shared on "trixie"),
        scenario!(the_primarys_node_is_put_on_standby, Shared on "trixie"),
        scenario!(a_standby_is_restarted_by_hand_in_maintenance, Shared on "trixie"),
        scenario!(the_primary_is_restarted_by_hand_in_maintenance, Shared on "trixie"),
        scenario!(the_resource_is_unmanaged_and_managed, Shared on "trixie"),
        scenario!(a_standby_is_promoted_by_hand_without_a_virtual_address, Shared on "trixie"),
        scenario!(a_standby_that_is_cut_off_is_promoted_by_hand, Shared on "trixie"),
        scenario!(a_standby_is_promoted_by_hand_when_there_is_no_primary, Shared on "trixie"),
        scenario!(a_promotion_is_forced_by_hand, Shared on "trixie"),
        scenario!(a_dba_switches_over_in_maintenance_mode, Shared on "trixie"),
        scenario!(a_recovery_signal_is_left_on_the_primary, Shared on "trixie"),
        scenario!(the_data_is_replaced_and_the_resource_created_again, Shared on "trixie"),
        scenario!(cleanup_and_refresh_restart_nothing, Shared on "trixie"),
        scenario!(pcs_and_crmsh_accept_the_meta_data, Shared on "trixie"),
        scenario!(ocf_tester_passes_inside_a_node, Shared on "trixie"),
        scenario!(monitors_start_no_process, Shared on "trixie"),
        scenario!(monitors_cost_a_fraction_of_paf, Shared on "trixie"),
        scenario!(two_restarted_standbys_end_in_the_same_segment, Shared on "trixie"),
        scenario!(the_last_primary_never_returns, Shared on "trixie"),
        scenario!(a_stale_primary_returns_without_the_new_one, Shared on "trixie"),
        scenario!(scores_are_missing_and_stale, Shared on "trixie"),
        scenario!(a_quorum_loses_its_primary, Shared on "trixie"),
        scenario!(a_move_to_a_standby_that_lacks_wal_is_undone, Shared on "trixie"),
        scenario!(a_move_to_the_second_best_standby_under_full_load, Shared on "trixie"),
        scenario!(the_best_standbys_replay_is_paused, Shared on "trixie"),
        scenario!(a_delayed_standby_was_restarted_and_holds_the_most, Shared on "trixie"),
        scenario!(the_furthest_ahead_must_not_be_promoted, Shared on "trixie"),
        scenario!(a_banned_node_does_not_block_the_others, Shared on "trixie"),
        scenario!(a_preferred_node_returns, Shared on "trixie"),
        scenario!(the_attribute_daemon_stands_still_in_a_failover, Shared on "trixie"),
        scenario!(the_candidate_loses_power_in_promote, Shared on "trixie"),
        scenario!(a_voter_loses_power_before_the_promotion, Shared on "trixie"),
        scenario!(an_agent_is_killed_in_promote, Shared on "trixie"),
        scenario!(the_agent_keeps_a_quorum, Shared on "trixie"),
        scenario!(standbys_follow_without_a_virtual_address, Shared on "trixie"),
        scenario!(slots_keep_the_wal_through_a_failover, Shared on "trixie"),
        scenario!(the_primarys_crash_fails_over_if_asked, Shared on "trixie"),
        scenario!(a_running_standby_survives_what_start_refuses, Shared on "trixie"),
        scenario!(a_standby_cannot_connect, Shared on "trixie"),
        scenario!(sessions_are_kept_out::for_a_while, Shared on "trixie"),
        scenario!(the_primarys_postmaster_is_frozen, Shared on "trixie"),
        scenario!(a_standby_is_frozen_in_a_failover, Shared on "trixie"),
        scenario!(the_primarys_disk_is_full, Shared on "trixie"),
        scenario!(a_primary_that_no_node_can_follow_says_so, Shared on "trixie"),
        scenario!(agents_are_killed, Shared on "trixie"),
        scenario!(pacemaker_is_restarted, Shared on "trixie"),
        scenario!(pacemakers_daemons_are_killed, Shared on "trixie"),
        scenario!(replication_is_cut, Shared on "trixie"),
        scenario!(the_furthest_ahead_must_not_be_promoted_and_may_be_missed, Shared on "trixie"),
        scenario!(another_instance_is_left_alone, Shared on "trixie"),
        scenario!(debians_layout, Shared on "trixie"),
        scenario!(the_primary_and_the_only_synchronous_standby_die),
        scenario!(a_failed_primary_returns_by_itself),
        scenario!(paf_is_replaced_in_place),
        scenario!(a_first_start_gives_a_primary_and_streaming_standbys, New on "bookworm"),
        scenario!(a_move_promotes_another_node_and_back, Shared on "bookworm"),
        scenario!(the_primary_loses_power, Shared on "bookworm"),
        scenario!(pcs_and_crmsh_accept_the_meta_data, Shared on "bookworm"),
        scenario!(ocf_tester_passes_inside_a_node, Shared on "bookworm"),
        scenario!(crmsh_configures_a_cluster),
        scenario!(lab_down_leaves_nothing_behind),
    ]
}

/// Those that take many minutes, for `make campaign-lab`.
pub fn campaign() -> Vec<Scenario> {
    vec![
        scenario!(the_source_dies_in_the_middle_of_a_rewind, New on "trixie"),
        scenario!(the_disk_fills_in_the_middle_of_a_rewind, Shared on "trixie"),
        scenario!(tablespaces_and_a_linked_pg_wal_are_rewound, Shared on "trixie"),
        scenario!(an_operator_rebuilds_a_node_that_lacks_wal, Shared on "trixie"),
        scenario!(a_switchover_by_the_command::interrupted_at_nine_moments, Shared on "trixie"),
        scenario!(a_switchover_by_the_command::killed_early, Shared on "trixie"),
        scenario!(a_switchover_by_the_command::killed_later, Shared on "trixie"),
        scenario!(a_rolling_restart::killed_at_ten_moments, Shared on "trixie"),
        scenario!(status_names_what_cures::a_standby, Shared on "trixie"),
        scenario!(status_names_what_cures::the_cluster, Shared on "trixie"),
        scenario!(status_names_what_cures::a_standby_that_has_diverged, Shared on "trixie"),
        scenario!(status_names_what_cures::a_quorum, Shared on "trixie"),
        scenario!(ten_power_cuts_in_a_row, New on "trixie"),
        scenario!(sessions_are_kept_out::for_a_while_unnoticed, Shared on "trixie"),
        scenario!(sessions_are_kept_out::for_a_minute, Shared on "trixie"),
        scenario!(sessions_are_kept_out::for_a_minute_unnoticed, Shared on "trixie"),
        scenario!(the_primarys_storage_hangs::for_a_moment, Shared on "trixie"),
        scenario!(the_primarys_storage_hangs::for_a_minute, Shared on "trixie"),
        scenario!(the_oldest_pacemaker_elects),
        Scenario {
            name: "gigabytes_of_wal_since_the_checkpoint_and_all_nodes_lose_power".to_owned(),
            place: Own(much_wal_since_the_checkpoint_and_all_nodes_lose_power::play_at_scale),
        },
        scenario!(much_wal_since_the_checkpoint_and_all_nodes_lose_power),
        scenario!(pauses_are_tolerated, New on "trixie"),
        scenario!(the_cluster_is_switched_off_in_every_way, New on "trixie"),
        scenario!(the_cluster_is_switched_off_in_every_way::twenty_times, Shared on "trixie"),
        scenario!(the_agents_changes_of_the_cib_are_counted, Shared on "trixie"),
        scenario!(the_agents_changes_of_the_cib_are_counted::beside_a_slow_resource, Shared on "trixie"),
        scenario!(people_promote_in_every_way::synchronous, New on "trixie"),
        scenario!(a_standby_is_promoted_by_hand, Shared on "trixie"),
        scenario!(people_promote_in_every_way::asynchronous, Shared on "trixie"),
        scenario!(people_promote_in_every_way::synchronous_without_an_address, Shared on "trixie"),
        scenario!(people_promote_in_every_way::asynchronous_without_an_address, Shared on "trixie"),
    ]
}

/// Scenarios are played on trixie; names contain other releases.
fn name(scenario: &str, suite: &str) -> String {
    if suite == "trixie" { scenario.to_owned() } else { format!("{scenario}_on_{suite}") }
}

/// The primary writes a table `stray` that no standby receives, and loses its power. Returns the next primary.
fn strays<'a>(trial: &Trial<'a>, old: &Node) -> Result<&'a Node> {
    let standbys = trial.standbys()?;
    trial.fault("cut replication, write on the primary, and cut its power", || {
        for standby in &standbys {
            trial.lab.cut(&Cut::Postgres(old.name().into(), standby.name().into()))?;
        }
        let write = "SET synchronous_commit = local; CREATE TABLE stray AS SELECT generate_series(1, 10000)";
        old.psql_in("app", write)?;
        old.power_off()?;
        trial.lab.heal()
    })?;
    trial.another_primary(old)
}

/// Changes something on a node while its PostgreSQL does not run.
fn while_on_standby<T>(trial: &Trial<'_>, node: &Node, change: impl FnOnce() -> Result<T>) -> Result<T> {
    let primary = trial.primary()?;
    pcs(primary, &["node", "standby", node.name(), "--wait=120"])?;
    let changed = change()?;
    pcs(primary, &["node", "unstandby", node.name(), "--wait=120"])?;
    Ok(changed)
}

/// Changes something on a standby while its PostgreSQL does not run, and moves the primary there.
fn becomes_primary<'a>(trial: &Trial<'a>, change: impl FnOnce(&Node) -> Result<()>) -> Result<&'a Node> {
    let (first, node) = (trial.primary()?, trial.standbys()?[0]);
    while_on_standby(trial, node, || change(node))?;
    trial.lab.wait_for_primary(LIMIT, trial.lab.nodes().len() - 1)?;
    trial.fault(&format!("move the primary to {}", node.name()), || {
        pcs(first, &["resource", "move", CLONE, node.name(), "--promoted"])
    })?;
    trial.writes_go_on()?;
    Ok(node)
}

/// The agent's summary of the transactions that a node has dropped.
fn dropped(node: &Node) -> Result<String> {
    node.run(&["sh", "-c", "cat /var/lib/pgsqlms/pgsqld/*/summary.txt"])
}

/// A node's PostgreSQL is restarted by hand in maintenance mode: that must remain the only restart, and no role changes.
fn restarted_in_maintenance(trial: Trial<'_>, node: &Node) -> Result<()> {
    let primary = trial.primary()?;
    let before = started_at(node)?;
    trial.fault("maintenance mode on", || pcs(primary, &["property", "set", "maintenance-mode=true"]))?;
    wait_until_idle(primary)?;
    trial.fault("restart PostgreSQL by hand", || restart_by_hand(node))?;
    let restarted = all_started_at(trial.lab.nodes())?;
    ensure!(started_at(node)? != before, "it was not restarted by hand");
    trial.fault("maintenance mode off", || pcs(primary, &["property", "set", "maintenance-mode=false"]))?;
    wait_until_idle(primary)?;
    trial.writes_go_on()?;
    trial.end(&Ending { primary: Some(primary), still_running: &restarted, ..Ending::default() })
}
