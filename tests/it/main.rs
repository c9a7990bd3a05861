//! Tests that need no privileges and no cluster.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

/// What the documents say is what the program does.
mod docs;
/// The meta-data, and the tools that read it.
mod metadata;
/// Values of parameters, good and bad.
mod parameters;
