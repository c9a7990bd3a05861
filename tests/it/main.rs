//! Tests that need no privileges and no cluster.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

/// Each action, disturbed.
mod actions;
/// The binary and its environment.
mod agent;
/// Nodes with another database than the one on record.
mod another_database;
/// The rules stay pure.
mod architecture;
/// The binary, called by a person.
mod by_hand;
/// Health checks for a proxy.
mod check;
/// Commits that are less safe than they seem.
mod commits;
/// The documentation agrees with the program.
mod docs;
/// The findings of `pgsqlms doctor`.
mod doctor;
/// A cluster in memory.
mod fakes;
/// Every fault of a single node, as a table.
mod faults;
/// Standbys of a real primary, and the upstream that they follow.
mod following;
/// The disk of a standby fills up.
mod full;
/// Programs that are run after events.
mod hooks;
/// The binary and a real instance of PostgreSQL.
mod instance;
/// Obstacles that keep the agent out of a real instance.
mod life;
/// Logical slots on real instances, before and after a promotion.
mod logical;
/// Several real instances, and a cluster in memory.
mod members;
/// The meta-data, and the tools that read it.
mod metadata;
/// An operator's orders.
mod ordered;
/// Packages.
mod packaging;
/// Values of parameters, good and bad.
mod parameters;
/// The agent keeps `synchronous_standby_names`.
mod quorum;
/// A node gets a copy of the primary.
mod rebuild;
/// A node that has diverged comes back.
mod rejoin;
/// The binary, run.
mod run;
/// Pacemaker's reaction to scores and exit codes.
mod scheduler;
/// Whole lives of clusters, in memory.
mod simulation;
/// The replication slots that real instances keep for each other.
mod slots;
/// The output of `pgsqlms status`.
mod status;
/// Primaries that no node could follow, and standbys that could not be promoted.
mod succession;
mod switchover;
/// Throw-away instances of PostgreSQL.
mod throwaway;
/// How far the WAL of real instances reaches.
mod voting;
/// The output of `pgsqlms why`.
mod why;
