//! libpq's connection strings, such as `primary_conninfo`: read as libpq reads them, printed so that it reads the same.
//!
//! Only [`Conninfo::text`] shows secrets.

pub(super) mod passfile;
mod uri;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

/// A connection string: keywords and their values, each keyword once, in the order in which they first stood there.
///
/// Which keywords there are is libpq's business: those that we do not know are kept.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Conninfo(Vec<(String, String)>);

/// Text that libpq would not accept as a connection string. Of the text itself it shows nothing: what is out of place may
/// be a piece of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadConninfo {
    /// Something without an equals sign.
    #[error("an equals sign is missing at byte {0} of the connection string")]
    NoValue(usize),
    /// An equals sign without a keyword.
    #[error("a keyword is missing at byte {0} of the connection string")]
    NoKeyword(usize),
    /// A quote is never closed.
    #[error("the quote at byte {0} of the connection string is never closed")]
    Unterminated(usize),
    /// A URI that makes no sense.
    #[error("the connection URI has {0}")]
    Uri(&'static str),
}

/// A password. Only an explicit call reveals it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The password itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The keywords whose values are secret.
const SECRETS: [&str; 5] = ["password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"];

impl Conninfo {
    /// The value of `keyword`. An empty one is libpq's default, as if it were not there.
    pub fn get(&self, keyword: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == keyword);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Gives `keyword` this value, where it stands or at the end.
    pub fn set(&mut self, keyword: &str, value: impl Into<String>) {
        match self.0.iter_mut().find(|(name, _)| name == keyword) {
            Some((_, known)) => *known = value.into(),
            None => self.0.push((keyword.to_owned(), value.into())),
        }
    }

    /// Takes `keyword` out.
    pub fn remove(&mut self, keyword: &str) {
        self.0.retain(|(name, _)| name != keyword);
    }

    /// All keywords with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(keyword, value)| (keyword.as_str(), value.as_str()))
    }

    /// The whole string with its secrets, as `keyword=value`: for files that only PostgreSQL can read.
    pub fn text(&self) -> String {
        self.printed(|_, value| quoted(value))
    }

    /// What may stand on a command line, and the password for `PGPASSWORD`. Other secrets, for which libpq has no
    /// variable, are left out.
    pub fn split(&self) -> (Conninfo, Option<Password>) {
        let open = self.0.iter().filter(|(keyword, _)| !is_secret(keyword)).cloned().collect();
        (Self(open), self.get("password").map(|password| Password(password.to_owned())))
    }

    fn printed(&self, print: impl Fn(&str, &str) -> String) -> String {
        let printed = self.iter().map(|(keyword, value)| format!("{keyword}={}", print(keyword, value)));
        printed.collect::<Vec<_>>().join(" ")
    }
}

fn is_secret(keyword: &str) -> bool {
    SECRETS.contains(&keyword)
}

/// Without its secrets.
impl fmt::Display for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.printed(|keyword, value| if is_secret(keyword) { "***".to_owned() } else { quoted(value) }))
    }
}

/// Without its secrets.
impl fmt::Debug for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conninfo({self})")
    }
}

impl FromStr for Conninfo {
    type Err = BadConninfo;

    fn from_str(text: &str) -> Result<Self, BadConninfo> {
        match uri::rest(text) {
            Some(rest) => uri::parse(rest),
            None => parse(text),
        }
    }
}

/// What C's `isspace` takes for white space.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0B' | '\x0C')
}

fn parse(text: &str) -> Result<Conninfo, BadConninfo> {
    let mut conninfo = Conninfo::default();
    let at = |rest: &str| text.len() - rest.len();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let end = rest.find(|c| c == '=' || is_space(c)).unwrap_or(rest.len());
        let (keyword, after) = rest.split_at(end);
        let value = after.trim_start_matches(is_space).strip_prefix('=').ok_or(BadConninfo::NoValue(at(rest)))?;
        if keyword.is_empty() {
            return Err(BadConninfo::NoKeyword(at(rest)));
        }
        let begin = value.trim_start_matches(is_space);
        let (value, after) = value_in(begin).ok_or(BadConninfo::Unterminated(at(begin)))?;
        conninfo.set(keyword, value);
        rest = after.trim_start_matches(is_space);
    }
    Ok(conninfo)
}

/// The value at the beginning of `text`, and what follows; none if its quote is never closed.
fn value_in(text: &str) -> Option<(String, &str)> {
    let (inner, in_quotes) = text.strip_prefix('\'').map_or((text, false), |inner| (inner, true));
    let mut value = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            '\'' if in_quotes => return Some((value, &inner[at + 1..])),
            c if !in_quotes && is_space(c) => return Some((value, &inner[at..])),
            c => value.push(c),
        }
    }
    (!in_quotes).then_some((value, ""))
}

/// A value as libpq reads it back: bare if that is possible, in quotes otherwise.
fn quoted(value: &str) -> String {
    let special = |c: char| is_space(c) || c == '\'' || c == '\\';
    if !value.is_empty() && !value.contains(special) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}
