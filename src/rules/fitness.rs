//! Whether a standby that follows could be promoted, as far as its own node alone can see. It says so to people, and to the
//! primary, which ranks it last: the node would end in the promotion.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// A setting of a standby that is below the primary's (`CheckRequiredParameterValues`). From PostgreSQL 14 on, replay pauses
/// there, and a promotion ends the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLow {
    /// Its name in `postgresql.conf`.
    pub name: String,
    /// The standby's own value.
    pub own: u32,
    /// What the primary had when it wrote the WAL.
    pub least: u32,
}

/// What one node says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitness {
    /// The settings for which replay has paused.
    pub too_low: Vec<TooLow>,
    /// There is room for the WAL file that a promotion begins.
    pub has_room: bool,
    /// The server lets the agent connect.
    pub has_session: bool,
}

impl Default for Fitness {
    /// Nothing is in the way.
    fn default() -> Self {
        Self { too_low: Vec::new(), has_room: true, has_session: true }
    }
}

impl Fitness {
    /// Whether nothing is in the way of a promotion.
    pub fn is_fit(&self) -> bool {
        *self == Self::default()
    }

    /// What a person should know about this standby, and what helps.
    pub fn reason(&self) -> Option<String> {
        if !self.too_low.is_empty() {
            let settings = listed(&self.too_low);
            return Some(format!(
                "raise {settings} here and restart PostgreSQL: replay is paused, and a promotion would end the server"
            ));
        }
        let full = "free space here: No space left on device for pg_wal, this node cannot be promoted";
        (!self.has_room).then(|| full.to_owned())
    }
}

/// What is to be done about it.
impl fmt::Display for TooLow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} to {}", self.name, self.own, self.least)
    }
}

/// `max_connections=100/200 room=none session=none`: the standby's own value and the primary's, and what is missing.
impl fmt::Display for Fitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.too_low.iter().map(|TooLow { name, own, least }| format!("{name}={own}/{least}"));
        let room = (!self.has_room).then(|| "room=none".to_owned());
        let session = (!self.has_session).then(|| "session=none".to_owned());
        let words: Vec<String> = settings.chain(room).chain(session).collect();
        f.write_str(&words.join(" "))
    }
}

/// A word that is not understood says nothing: a newer agent may know more.
impl FromStr for Fitness {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let mut fitness = Fitness::default();
        for (name, value) in text.split_whitespace().filter_map(|word| word.split_once('=')) {
            match (name, value, value.split_once('/')) {
                ("room", "none", _) => fitness.has_room = false,
                ("session", "none", _) => fitness.has_session = false,
                (_, _, Some((own, least))) => {
                    let setting = || Some((own.parse().ok()?, least.parse().ok()?));
                    let setting = setting().map(|(own, least)| TooLow { name: name.to_owned(), own, least });
                    fitness.too_low.extend(setting);
                }
                _ => {}
            }
        }
        Ok(fitness)
    }
}

/// What is to be done about all of them.
pub fn listed(settings: &[TooLow]) -> String {
    settings.iter().map(TooLow::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn read(text: &str) -> Fitness {
        text.parse().unwrap()
    }

    #[test]
    fn what_a_node_says_is_read_as_it_was_written() {
        for text in
            ["", "room=none", "session=none", "max_connections=100/200 max_wal_senders=5/10 room=none session=none"]
        {
            assert_eq!(read(text).to_string(), text);
            assert_eq!(read(text).is_fit(), text.is_empty());
        }
        assert!(read("room=plenty session future=5 max_connections=x/2 /").is_fit());
    }

    fn reason(text: &str) -> Option<String> {
        read(text).reason()
    }

    table! { reason;
        nothing: "" => None;
        one_setting: "max_connections=100/200" => Some(
            "raise max_connections from 100 to 200 here and restart PostgreSQL: replay is paused, and a promotion would end the \
             server".to_owned());
        settings_come_first: "max_connections=100/200 max_wal_senders=5/10 room=none" => Some(
            "raise max_connections from 100 to 200, max_wal_senders from 5 to 10 here and restart PostgreSQL: replay is paused, \
             and a promotion would end the server".to_owned());
        no_room: "room=none" => Some(
            "free space here: No space left on device for pg_wal, this node cannot be promoted".to_owned());
        // Its monitor says what its server answers.
        no_session: "session=none" => None;
    }
}
