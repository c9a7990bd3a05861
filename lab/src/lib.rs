//! Three real cluster nodes on one machine.
