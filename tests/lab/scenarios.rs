//! The scenarios, one per file.

mod a_first_start_gives_a_primary_and_streaming_standbys;
mod a_move_promotes_another_node_and_back;
mod all_nodes_lose_power;
mod the_old_primary_is_powered_on_again;
mod the_postmaster_of_a_standby_is_killed;
mod the_postmaster_of_the_primary_is_killed;
mod the_primary_loses_power;
mod a_standby_loses_power;

use crate::runner::Scenario;
use crate::stage::Place::{self, New, Shared};

/// All of them, in the order in which they are run: those that share a cluster follow each other.
pub fn all() -> Vec<Scenario> {
    /// A scenario is called like its file.
    macro_rules! scenario {
        ($name:ident, $place:ident on $suite:literal) => {
            Scenario { name: name(stringify!($name), $suite), place: $place($suite, $name::play) }
        };
        ($name:ident) => {
            Scenario { name: stringify!($name).to_owned(), place: Place::Own($name::play) }
        };
    }
    vec![
        scenario!(a_first_start_gives_a_primary_and_streaming_standbys, New on "trixie"),
        scenario!(a_move_promotes_another_node_and_back, Shared on "trixie"),
        scenario!(the_postmaster_of_the_primary_is_killed, Shared on "trixie"),
        scenario!(the_postmaster_of_a_standby_is_killed, Shared on "trixie"),
        scenario!(the_primary_loses_power, Shared on "trixie"),
        scenario!(the_old_primary_is_powered_on_again, Shared on "trixie"),
        scenario!(a_standby_loses_power, Shared on "trixie"),
        scenario!(all_nodes_lose_power, Shared on "trixie"),
        scenario!(a_first_start_gives_a_primary_and_streaming_standbys, New on "bookworm"),
        scenario!(a_move_promotes_another_node_and_back, Shared on "bookworm"),
        scenario!(the_primary_loses_power, Shared on "bookworm"),
    ]
}

/// Trixie is what everything is played on; other releases are named.
fn name(scenario: &str, suite: &str) -> String {
    if suite == "trixie" { scenario.to_owned() } else { format!("{scenario}_on_{suite}") }
}
