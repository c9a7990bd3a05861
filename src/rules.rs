//! The decisions: facts in, verdict out.
//!
//! A rule is a pure function over what was observed. Nothing here opens a file, asks the cluster, starts a process or
//! reads a clock, so each rule is tested by a table of named rows and the same facts give the same verdict on every node.
//! An `if` in an action that compares domain values belongs here.

pub mod check;
pub mod cold_start;
pub mod crash;
pub mod cut_off;
pub mod follow;
pub mod hooks;
pub mod lineage;
pub mod logical;
pub mod managed;
pub mod note;
pub mod primary;
pub mod progress;
pub mod promotion;
pub mod rebuild;
pub mod rejoin;
pub mod room;
pub mod scores;
pub mod server_words;
pub mod setup;
pub mod shown;
pub mod shutdown;
pub mod slots;
pub mod status;
pub mod steps;
pub mod synchronous;

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
