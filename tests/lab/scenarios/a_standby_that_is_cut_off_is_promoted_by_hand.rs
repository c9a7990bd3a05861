//! `pg_promote()` on a standby that does not receive clients' commits, because replication to it is cut: once that is healed
//! it neither streams nor wins when the primary dies.

use anyhow::Result;
use lab::Lab;

use crate::people::{Stray, promoted_beside_the_primary};

pub fn play(lab: &Lab) -> Result<()> {
    promoted_beside_the_primary(lab, false, Stray::IsCutOff)
}
