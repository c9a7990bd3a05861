//! All nodes lose power, and the last primary stays off: the better of the two standbys is promoted without a human, soon
//! after they were started. The better one's name comes first here.

use anyhow::Result;
use lab::Lab;

pub fn play(lab: &Lab) -> Result<()> {
    crate::replication::only_the_standbys_return(lab, 1)
}
