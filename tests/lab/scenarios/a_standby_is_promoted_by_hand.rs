//! `pg_promote()` on a standby beside the primary that clients write to: the agent names it, Pacemaker makes it a standby again,
//! and its later timeline wins nothing when the primary dies. Replication is synchronous: no acknowledged commit is lost.

use anyhow::Result;
use lab::Lab;

use crate::people::{Stray, promoted_beside_the_primary};

pub fn play(lab: &Lab) -> Result<()> {
    promoted_beside_the_primary(lab, true, Stray::Streams)
}
