//! The decisions: facts in, verdict out.
//!
//! A rule is a pure function over what was observed. Nothing here opens a file, asks the cluster, starts a process or
//! reads a clock, so each rule is tested by a table of named rows and the same facts give the same verdict on every node.
//! An `if` in an action that compares domain values belongs here.

pub mod bars;
pub mod candidates;
pub mod check;
pub mod cold_start;
pub mod crash;
pub mod cut_off;
pub mod doctor;
pub mod ended;
pub mod fitness;
pub mod follow;
pub mod forget;
pub mod hooks;
pub mod leftovers;
pub mod lineage;
pub mod logged;
pub mod logical;
pub mod managed;
pub mod memory;
pub mod names;
pub mod note;
pub mod office;
pub mod overview;
pub mod preference;
pub mod primary;
pub mod primary_wal;
pub mod progress;
pub mod promotion;
pub mod rebuild;
pub mod rejoin;
pub mod restart;
pub mod room;
pub mod scores;
pub mod server_words;
pub mod setup;
pub mod shown;
pub mod shutdown;
pub mod slots;
pub mod standstill;
pub mod status;
pub mod steps;
pub mod succession;
pub mod switchover;
pub mod synchronous;
pub mod unit;
pub mod why;

/// Turns each row of a table into a test of its own name: `name: (inputs) => expected;`, checked by the given function.
#[cfg(test)]
macro_rules! table {
    ($check:ident; $($name:ident: $given:expr => $expected:expr;)+) => {
        $(
            #[test]
            fn $name() {
                assert_eq!($check($given), $expected);
            }
        )+
    };
}
#[cfg(test)]
pub(crate) use table;
