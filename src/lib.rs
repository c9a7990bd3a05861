//! `ocf:rust:pgsqlms`.

pub mod env;
pub mod location;
pub mod metadata;
pub mod node;
pub mod parameters;
pub mod postgres;
