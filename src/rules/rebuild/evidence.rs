//! Nothing is dropped that is not kept first, unless a person has asked for exactly that.

/// What a node holds that the cluster has gone on without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtStake {
    /// Nothing.
    Nothing,
    /// It was kept before: its rewind was interrupted.
    Kept,
    /// What it wrote since it diverged; and why that cannot be kept, if so.
    Diverged(Option<String>),
    /// All of it: it is another database.
    Everything,
    /// That is unknown, for this reason.
    Unknown(String),
}

/// What a person has asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// The old data stays.
    pub keep_old: bool,
    /// It may be dropped although it is not kept.
    pub without_evidence: bool,
}

/// Why the data is not replaced, if so.
pub fn unkept(at_stake: &AtStake, wish: Wish) -> Option<String> {
    if wish.keep_old || wish.without_evidence {
        return None;
    }
    let (cure, why) = match at_stake {
        AtStake::Nothing | AtStake::Kept | AtStake::Diverged(None) => return None,
        AtStake::Diverged(Some(why)) => ("make room, or ", format!("what would be dropped cannot be kept, {why}")),
        AtStake::Everything => ("", "it has another database, of which nothing is kept".to_owned()),
        AtStake::Unknown(why) => ("", format!("what would be dropped is not known, {why}")),
    };
    Some(format!("{cure}add --keep-old or --without-evidence: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn refused((at_stake, keep_old, without_evidence): (AtStake, bool, bool)) -> Option<String> {
        unkept(&at_stake, Wish { keep_old, without_evidence })
    }

    fn is_refused(given: (AtStake, bool, bool)) -> bool {
        refused(given).is_some()
    }

    fn no_room() -> AtStake {
        AtStake::Diverged(Some("/e has 8 MB free".to_owned()))
    }

    fn unreadable() -> AtStake {
        AtStake::Unknown("no pg_control".to_owned())
    }

    table! { refused;
        no_room_for_evidence: (no_room(), false, false) =>
            Some("make room, or add --keep-old or --without-evidence: what would be dropped cannot be kept, /e has 8 MB free".to_owned());
    }

    table! { is_refused;
        nothing_to_keep: (AtStake::Nothing, false, false) => false;
        kept_by_the_rewind: (AtStake::Kept, false, false) => false;
        room_for_evidence: (AtStake::Diverged(None), false, false) => false;
        the_old_data_stays: (no_room(), true, false) => false;
        dropped_as_asked_for: (no_room(), false, true) => false;
        another_database: (AtStake::Everything, false, false) => true;
        another_database_that_stays: (AtStake::Everything, true, false) => false;
        another_database_that_goes: (AtStake::Everything, false, true) => false;
        data_that_cannot_be_read: (unreadable(), false, false) => true;
        data_that_cannot_be_read_and_stays: (unreadable(), true, false) => false;
    }
}
