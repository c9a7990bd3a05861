//! As [`super::a_standby_is_promoted_by_hand`], with asynchronous replication and `follow=node`: nothing holds the primary where
//! it is but its score, and no commit is lost that the other standby held.

use anyhow::Result;
use lab::Lab;

use crate::people::{Stray, promoted_beside_the_primary, with_a_virtual_address, without_a_virtual_address};

pub fn play(lab: &Lab) -> Result<()> {
    without_a_virtual_address(lab)?;
    promoted_beside_the_primary(lab, false, Stray::Streams)?;
    with_a_virtual_address(lab)
}
