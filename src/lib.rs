//! `ocf:rust:pgsqlms`.

pub mod location;
pub mod node;
