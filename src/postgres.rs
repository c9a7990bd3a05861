//! PostgreSQL, as the agent sees it.

pub mod control;
pub mod history;
