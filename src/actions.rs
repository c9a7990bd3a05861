//! The actions: gather facts, ask a rule, carry out its verdict.
//!
//! Each may be repeated and may be killed between any two steps: the next one starts from what is there, never from
//! what was meant.

pub mod candidates;
pub mod commits;
pub mod demote;
pub mod election;
pub mod ended;
pub mod fitness;
pub mod follow;
pub mod lasting;
pub mod logical;
pub mod monitor;
pub mod notify;
pub mod primary;
pub mod promote;
pub mod rebuild;
pub mod recall;
pub mod rejoin;
pub mod score;
pub mod setting;
pub mod slots;
pub mod start;
pub mod stop;
pub mod stopped;
pub mod succession;
pub mod unelected;
pub mod validate;
