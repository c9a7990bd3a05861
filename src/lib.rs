//! `ocf:rust:pgsqlms`, a Pacemaker resource agent for PostgreSQL streaming replication.
//!
//! One short-lived process carries out one action. Pacemaker and Corosync own membership, quorum, fencing and *when*;
//! the agent owns *which node* may be promoted and *how safely* an instance is started, stopped, demoted and promoted.
//!
//! # Map
//!
//! Facts in, verdict out, effects last:
//!
//! - [`rules`] decide. They are pure, use nothing but std and our own nouns, and are tested by tables.
//! - [`actions`] gather facts, ask a rule and carry out its verdict. They compare no domain values themselves.
//! - The outside world is behind three seams: [`postgres::Postgres`], [`pacemaker::Pacemaker`] and [`clock::Clock`].
//!
//! [`program`] leads from the process's environment to its exit code: [`env`](mod@env) reads, [`parameters`] and
//! [`notification`] understand, [`action`] dispatches, [`logging`] reports. Only [`env`](mod@env) reads the environment,
//! only [`command`] starts processes, only [`clock`] waits, only [`privileges`] changes the user; `clippy.toml` sees to it.
//!
//! [`operator`] holds the commands for a person.
//!
//! The nouns are [`node::NodeName`], [`location::Lsn`], [`location::Timeline`], [`score::Score`] and [`vote::Vote`].

pub mod accounts;
pub mod action;
pub mod actions;
pub mod agent;
pub mod boolean;
pub mod clock;
pub mod command;
pub mod env;
pub mod exit;
pub mod failure;
pub mod hooks;
pub mod location;
pub mod logging;
pub mod metadata;
pub mod node;
pub mod notification;
pub mod operator;
pub mod pacemaker;
pub mod parameters;
pub mod postgres;
pub mod privileges;
pub mod program;
pub mod record;
pub mod rules;
pub mod score;
pub mod vote;
