//! What a node remembers of the cluster, in a file of its own: the CIB can be lost, or restored from a copy that is older
//! than the data.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use crate::location::{DirectoryId, SystemId};
use crate::node::NodeName;
use crate::record::{Promotion, Record};

/// What one node remembers for one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// The record of promotions, as it was seen last.
    pub promotions: Record,
    /// What was promised then about synchronous replication, as it is published; none if nothing was.
    pub synchronous: Option<String>,
    /// The data directory in which this node was the primary, or had all WAL of the primary, for the last time.
    pub directory: Option<DirectoryId>,
    /// The data directory that has written the timeline of another node by itself, and that node. Neither its history nor
    /// pg_control shows that any more once it has been started as a standby, and PostgreSQL would follow with WAL that differs.
    pub forked: Option<(DirectoryId, NodeName)>,
}

impl Memory {
    /// With this record of promotions from now on. The promises go on with a record that does; one that begins anew, of another
    /// database or after an operator had the promotions forgotten, has none of before.
    #[must_use]
    pub fn with_record(self, record: Record) -> Self {
        let has = |known: &Promotion| {
            record.0.iter().any(|promotion| (promotion.timeline, &promotion.node) == (known.timeline, &known.node))
        };
        let goes_on = record.system() == self.promotions.system() && self.promotions.0.iter().any(has);
        let synchronous = self.synchronous.filter(|_| goes_on);
        Self { promotions: record, synchronous, ..self }
    }
}

/// What counts of the CIB and of the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled {
    /// The promotions.
    pub promotions: Record,
    /// What was promised about synchronous replication; none if nothing was.
    pub synchronous: Option<String>,
    /// Whether the CIB lacks some of that.
    pub is_news: bool,
}

/// What counts: what the CIB says, or what is remembered of the same database if that is later. What was remembered before an
/// operator had the promotions `forgotten`, at that time in seconds since 1970, does not count, nor what is about another
/// database than the `own`.
pub fn recall(
    promotions: Record,
    synchronous: Option<String>,
    memory: &Memory,
    own: Option<SystemId>,
    forgotten: Option<u64>,
) -> Recalled {
    let system = memory.promotions.system();
    let is_ours = system.is_some() && system == own && promotions.system().is_none_or(|it| Some(it) == system);
    let newest = memory.promotions.0.iter().map(|promotion| promotion.time).max();
    let is_forgotten = forgotten.is_some_and(|when| newest.is_none_or(|newest| newest <= when));
    if !is_ours || is_forgotten {
        return Recalled { promotions, synchronous, is_news: false };
    }
    let later = promotions.clone().or_later(memory.promotions.clone());
    if later != promotions {
        return Recalled { promotions: later, synchronous: memory.synchronous.clone(), is_news: true };
    }
    // Promises are replaced and never removed.
    let is_lost = synchronous.is_none() && memory.synchronous.is_some() && later == memory.promotions;
    let synchronous = if is_lost { memory.synchronous.clone() } else { synchronous };
    Recalled { promotions, synchronous, is_news: is_lost }
}

/// A line for each thing that is remembered.
impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.promotions.0.is_empty() {
            writeln!(f, "promotions {}", self.promotions)?;
        }
        if let Some(synchronous) = &self.synchronous {
            writeln!(f, "synchronous {synchronous}")?;
        }
        if let Some(directory) = self.directory {
            writeln!(f, "directory {directory}")?;
        }
        if let Some((directory, node)) = &self.forked {
            writeln!(f, "forked {directory} {node}")?;
        }
        Ok(())
    }
}

/// A line that is not understood says nothing: the file is a help, and no more.
impl FromStr for Memory {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let mut memory = Memory::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            match name {
                "promotions" => memory.promotions = value.parse().unwrap_or_default(),
                "synchronous" => memory.synchronous = Some(value.to_owned()),
                "directory" => memory.directory = value.parse().ok(),
                "forked" => memory.forked = forked(value),
                _ => {}
            }
        }
        Ok(memory)
    }
}

fn forked(text: &str) -> Option<(DirectoryId, NodeName)> {
    let (directory, node) = text.split_once(' ')?;
    Some((directory.parse().ok()?, NodeName::new(node)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    #[test]
    fn a_memory_is_read_as_it_was_written() {
        let text = "promotions 2@0/100 srv1 5 kept system=7\nsynchronous srv1: ANY 1 (srv2, srv3)\ndirectory 1F3\nforked 2A srv2\n";
        let memory: Memory = text.parse().unwrap();
        assert_eq!(memory.to_string(), text);
        assert_eq!("".parse(), Ok(Memory::default()));
        let damaged: Memory = "promotions 2@\0\nx\n\ndirectory zz\nforked 5\nfuture 5".parse().unwrap();
        assert_eq!(damaged, Memory::default());
    }

    /// What is remembered; the record that follows. → The promises that are remembered then.
    fn promised((before, record): (&str, &str)) -> String {
        let (promotions, synchronous) = before.split_once(" | ").unwrap();
        let memory: Memory = format!("promotions {promotions}\nsynchronous {synchronous}").parse().unwrap();
        memory.with_record(record.parse().unwrap()).synchronous.unwrap_or_default()
    }

    table! { promised;
        the_record_goes_on: ("2@0/100 srv1 5 kept system=7 | p: -", NEW) => "p: -";
        it_is_the_same: ("2@0/100 srv1 5 intended system=7 | p: -", OLD) => "p: -";
        it_begins_anew: ("2@0/100 srv1 5 kept system=7 | p: -", "3@0/200 srv2 9 intended system=7") => "";
        it_is_another_databases: ("2@0/100 srv1 5 kept system=8 | p: -", OLD) => "";
    }

    /// The CIB's record and promises; the remembered; when promotions were forgotten. → What counts, `!` if the CIB lacks it.
    fn recalled((cib, promises, remembered, forgotten): (&str, &str, &str, Option<u64>)) -> String {
        let record: Record = if cib.is_empty() { Record::default() } else { cib.parse().unwrap() };
        let (promotions, synchronous) = remembered.split_once(" | ").unwrap_or((remembered, ""));
        let memory: Memory = format!("promotions {promotions}\nsynchronous {synchronous}").parse().unwrap();
        let memory = Memory { synchronous: memory.synchronous.filter(|it| !it.is_empty()), ..memory };
        let promises = (!promises.is_empty()).then(|| promises.to_owned());
        let Recalled { promotions, synchronous, is_news } =
            recall(record, promises, &memory, Some(SystemId(7)), forgotten);
        format!("{}{promotions} | {}", if is_news { "!" } else { "" }, synchronous.unwrap_or_default())
    }

    const OLD: &str = "2@0/100 srv1 5 kept system=7";
    const NEW: &str = "3@0/200 srv2 9 kept system=7; 2@0/100 srv1 5 kept system=7";

    table! { recalled;
        the_same: (OLD, "p: -", "2@0/100 srv1 5 kept system=7 | p: -", None) => "2@0/100 srv1 5 kept system=7 | p: -";
        the_cib_is_later: (NEW, "q: -", "2@0/100 srv1 5 kept system=7 | p: -", None)
            => format!("{NEW} | q: -");
        the_cib_is_lost: ("", "", "2@0/100 srv1 5 kept system=7 | p: -", None) => "!2@0/100 srv1 5 kept system=7 | p: -";
        the_cib_is_restored_and_older: (OLD, "p: -", "3@0/200 srv2 9 kept system=7 | q: -", None)
            => "!3@0/200 srv2 9 kept system=7 | q: -";
        only_the_promises_are_lost: (OLD, "", "2@0/100 srv1 5 kept system=7 | p: -", None)
            => "!2@0/100 srv1 5 kept system=7 | p: -";
        forgotten_since: ("", "", "2@0/100 srv1 5 kept system=7 | p: -", Some(6)) => " | ";
        promoted_since_it_was_forgotten: ("", "", "2@0/100 srv1 5 kept system=7 | p: -", Some(4))
            => "!2@0/100 srv1 5 kept system=7 | p: -";
        of_another_database: ("", "", "2@0/100 srv1 5 kept system=8 | p: -", None) => " | ";
        the_cib_is_about_another: ("2@0/100 srv1 5 system=8", "", NEW, None) => "2@0/100 srv1 5 system=8 | ";
        of_no_known_database: ("", "", "2@0/100 srv1 5 kept | p: -", None) => " | ";
    }
}
