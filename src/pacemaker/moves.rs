//! Constraints that end by themselves, by which a person moves the role of the primary, or has an instance stopped for a moment.
//!
//! `crm_resource` makes them, and not `cibadmin`: it writes the role's name as the cluster's version spells it, and the time of the
//! end as its scheduler reads it. Pacemaker looks again when that time has come. A switchover prefers the new node. A ban of the old
//! one would do as well, but would keep the old one from being promoted when the new one cannot be.

use std::time::Duration;

use super::PacemakerError;
use super::tools::{Tools, UNKNOWN_OPTION};
use crate::command::{CommandError, Invocation};
use crate::node::NodeName;

/// The name that `crm_resource --move` gives the constraint for a clone.
pub fn preference(clone: &str) -> String {
    format!("cli-prefer-{clone}")
}

/// The name that `crm_resource --ban` gives the constraint for a clone.
pub fn ban_of(clone: &str, node: &NodeName) -> String {
    format!("cli-ban-{clone}-on-{node}")
}

/// As `crm_resource` reads it.
fn lifetime(lasts: Duration) -> String {
    format!("PT{}S", lasts.as_secs())
}

/// What makes the role of the primary, spelled as the option `role`, prefer `node`.
pub fn preferring(role: &str, clone: &str, node: &NodeName, lasts: Duration) -> Invocation {
    let prefer = Invocation::new("crm_resource").arg("--move").arg(role).option("resource", clone);
    prefer.option("node", node.as_str()).option("lifetime", lifetime(lasts))
}

/// What keeps `clone` from running on `node`.
pub fn banning(clone: &str, node: &NodeName, lasts: Duration) -> Invocation {
    let ban = Invocation::new("crm_resource").arg("--ban").option("resource", clone);
    ban.option("node", node.as_str()).option("lifetime", lifetime(lasts))
}

/// What removes the constraint of this name. `crm_resource --clear` would remove those of others, too.
pub fn withdrawing(id: &str) -> Invocation {
    let id = quick_xml::escape::escape(id);
    let delete = Invocation::new("cibadmin").arg("--delete").option("scope", "constraints");
    delete.option("xml-text", format!(r#"<rsc_location id="{id}"/>"#))
}

impl Tools {
    /// Has the role of the primary of `clone` prefer `node`, for the time of `lasts`.
    ///
    /// # Errors
    ///
    /// When the cluster does not take it.
    pub fn prefer(&self, clone: &str, node: &NodeName, lasts: Duration) -> Result<(), PacemakerError> {
        match self.run(&preferring("--promoted", clone, node, lasts)) {
            // Before Pacemaker 2.1.
            Err(CommandError::Failed { status, .. }) if status.code() == Some(UNKNOWN_OPTION) => {
                self.run(&preferring("--master", clone, node, lasts))?;
            }
            done => _ = done?,
        }
        Ok(())
    }

    /// Keeps `clone` from running on `node`, for the time of `lasts`.
    ///
    /// # Errors
    ///
    /// When the cluster does not take it.
    pub fn ban(&self, clone: &str, node: &NodeName, lasts: Duration) -> Result<(), PacemakerError> {
        self.run(&banning(clone, node, lasts))?;
        Ok(())
    }

    /// Removes a constraint by its name; it need not be there.
    ///
    /// # Errors
    ///
    /// When the cluster does not take it.
    pub fn withdraw(&self, id: &str) -> Result<(), PacemakerError> {
        self.run(&withdrawing(id))?;
        Ok(())
    }
}
