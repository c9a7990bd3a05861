//! All nodes lose power, and only the two standbys return, whose WAL ends in the same segment: a restarted standby has
//! received nothing yet, or only from that segment's start on. The one that is ahead wins although the other's name comes
//! first. (PAF sees no difference.)

use anyhow::Result;
use lab::Lab;

pub fn play(lab: &Lab) -> Result<()> {
    crate::replication::only_the_standbys_return(lab, 0)
}
