//! The name of a cluster node.

use std::fmt;

/// A cluster node's name, as Pacemaker knows it and as each standby gives it in `application_name`.
///
/// Names are data and compare whole: `srv1` is not `srv10`. The order is the tie-break of every decision, so that each
/// node comes to the same one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

impl NodeName {
    /// A node named `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
