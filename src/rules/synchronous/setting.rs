//! `synchronous_standby_names`, read as PostgreSQL reads it.
//!
//! The text is data from a server that has already accepted it; everything PostgreSQL refuses is refused here too.

#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::location::Lsn;

/// The meaning of a value of `synchronous_standby_names`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncSetting {
    /// The empty value: commits wait for no standby.
    Off,
    /// Commits wait for some of the named standbys.
    Quorum {
        /// How those that count are chosen.
        method: Method,
        /// How many must have flushed a commit.
        required: NonZeroU32,
        /// The eligible standbys, in the order written.
        members: Vec<Member>,
    },
}

/// How PostgreSQL chooses the standbys that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Those connected that come first in the list.
    First,
    /// Whichever are quickest.
    Any,
}

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// `*`, quoted or not: any receiver that connects, a backup or a logical subscriber included.
    Wildcard,
    /// An `application_name`, compared without regard to the case of ASCII letters.
    Named(String),
}

/// Text that PostgreSQL would not accept as `synchronous_standby_names`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadSetting {
    /// A double quote is never closed.
    Unterminated,
    /// The text ends where more is needed.
    EndsEarly,
    /// This does not belong here.
    Unexpected {
        /// What stands there.
        text: String,
        /// Where it starts, in bytes.
        at: usize,
    },
    /// The number of standbys, as a 32-bit integer, is not positive.
    NotPositive(String),
}

impl SyncSetting {
    /// `ANY required (names)`.
    pub fn any(required: NonZeroU32, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let members = names.into_iter().map(|name| Member::named(name.into())).collect();
        Self::Quorum { method: Method::Any, required, members }
    }

    /// Whether any receiver that connects is eligible.
    pub fn has_wildcard(&self) -> bool {
        match self {
            Self::Off => false,
            Self::Quorum { members, .. } => members.contains(&Member::Wildcard),
        }
    }
}

impl Member {
    fn named(name: String) -> Self {
        if name == "*" { Self::Wildcard } else { Self::Named(name) }
    }
}

impl FromStr for SyncSetting {
    type Err = BadSetting;

    fn from_str(text: &str) -> Result<Self, BadSetting> {
        if text.is_empty() {
            return Ok(Self::Off);
        }
        let mut reader = Reader::new(text)?;
        let setting = reader.quorum()?;
        reader.end()?;
        Ok(setting)
    }
}

/// As PostgreSQL accepts it; names are quoted where they must be.
impl fmt::Display for SyncSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Quorum { method, required, members } = self else { return Ok(()) };
        write!(f, "{method} {required} (")?;
        for (index, member) in members.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            match member {
                Member::Wildcard => f.write_str("*")?,
                Member::Named(name) => Quoted(name).fmt(f)?,
            }
        }
        f.write_str(")")
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "FIRST",
            Self::Any => "ANY",
        })
    }
}

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unterminated => f.write_str("a double-quoted standby name is not closed"),
            Self::EndsEarly => f.write_str("the list of synchronous standbys ends early"),
            Self::Unexpected { text, at } => write!(f, "unexpected {text:?} at byte {at} of the synchronous standbys"),
            Self::NotPositive(count) => write!(f, "the number of synchronous standbys must be positive, not {count}"),
        }
    }
}

impl std::error::Error for BadSetting {}

/// A name as the scanner reads it back: bare if that is possible, in double quotes otherwise.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name) = self;
        let word = name.starts_with(starts_word) && name.chars().all(continues_word);
        if word && !keyword(name) { f.write_str(name) } else { write!(f, "\"{}\"", name.replace('"', "\"\"")) }
    }
}

/// What a token is. Anything else than a word, number or quoted name is a single character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Method(Method),
    Name,
    Number,
    Sign(char),
}

#[derive(Debug, Clone)]
struct Token {
    kind: Kind,
    text: String,
    at: usize,
}

/// Reads tokens one after the other. The text of [`super::published`] uses the same tokens.
pub(super) struct Reader {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Reader {
    pub(super) fn new(text: &str) -> Result<Self, BadSetting> {
        let mut tokens = Vec::new();
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches(is_space);
            let Some(first) = rest.chars().next() else { break };
            let (token, length) = token(first, rest, text.len() - rest.len())?;
            tokens.push(token);
            rest = &rest[length..];
        }
        Ok(Self { tokens: tokens.into_iter().peekable() })
    }

    /// A setting other than the empty one: `[[FIRST|ANY] k (] name, … [)]`.
    pub(super) fn quorum(&mut self) -> Result<SyncSetting, BadSetting> {
        let first = self.next()?;
        match first.kind {
            Kind::Method(method) => {
                let count = self.next()?;
                if count.kind != Kind::Number {
                    return Err(unexpected(count));
                }
                self.sign('(')?;
                self.counted(method, count)
            }
            Kind::Number if self.accepts('(') => self.counted(Method::First, first),
            Kind::Number | Kind::Name => {
                let members = self.list(first.text)?;
                Ok(SyncSetting::Quorum { method: Method::First, required: NonZeroU32::MIN, members })
            }
            Kind::Sign(_) => Err(unexpected(first)),
        }
    }

    /// The rest of `k (name, …)` after the opening parenthesis.
    fn counted(&mut self, method: Method, count: Token) -> Result<SyncSetting, BadSetting> {
        let first = self.name()?;
        let members = self.list(first)?;
        self.sign(')')?;
        // PostgreSQL takes the number with atoi(), which keeps the low 32 bits of a long and saturates beyond that.
        let number = count.text.parse::<i64>().unwrap_or(i64::MAX) as i32;
        let required = u32::try_from(number).ok().and_then(NonZeroU32::new);
        let required = required.ok_or(BadSetting::NotPositive(count.text))?;
        Ok(SyncSetting::Quorum { method, required, members })
    }

    /// The list that starts with the name `first`, already read.
    fn list(&mut self, first: String) -> Result<Vec<Member>, BadSetting> {
        let mut members = vec![Member::named(first)];
        while self.accepts(',') {
            members.push(Member::named(self.name()?));
        }
        Ok(members)
    }

    pub(super) fn name(&mut self) -> Result<String, BadSetting> {
        let token = self.next()?;
        match token.kind {
            Kind::Name | Kind::Number => Ok(token.text),
            Kind::Method(_) | Kind::Sign(_) => Err(unexpected(token)),
        }
    }

    /// A log sequence number, written as a quoted name.
    pub(super) fn lsn(&mut self) -> Result<Lsn, BadSetting> {
        let token = self.next()?;
        token.text.parse().map_err(|_| unexpected(token))
    }

    pub(super) fn sign(&mut self, sign: char) -> Result<(), BadSetting> {
        let token = self.next()?;
        if token.kind == Kind::Sign(sign) { Ok(()) } else { Err(unexpected(token)) }
    }

    /// Takes the next token if it is `sign`.
    pub(super) fn accepts(&mut self, sign: char) -> bool {
        self.tokens.next_if(|token| token.kind == Kind::Sign(sign)).is_some()
    }

    pub(super) fn end(&mut self) -> Result<(), BadSetting> {
        self.tokens.next().map_or(Ok(()), |token| Err(unexpected(token)))
    }

    fn next(&mut self) -> Result<Token, BadSetting> {
        self.tokens.next().ok_or(BadSetting::EndsEarly)
    }
}

fn unexpected(token: Token) -> BadSetting {
    BadSetting::Unexpected { text: token.text, at: token.at }
}

/// The token that starts `rest` with `first`, and its length in bytes.
fn token(first: char, rest: &str, at: usize) -> Result<(Token, usize), BadSetting> {
    if first == '"' {
        let (text, length) = quoted(rest)?;
        return Ok((Token { kind: Kind::Name, text, at }, length));
    }
    let (kind, length) = if starts_word(first) {
        let length = rest.find(|c| !continues_word(c)).unwrap_or(rest.len());
        (word(&rest[..length]), length)
    } else if first.is_ascii_digit() {
        (Kind::Number, rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()))
    } else {
        // The scanner gives `*` out as a name.
        (if first == '*' { Kind::Name } else { Kind::Sign(first) }, first.len_utf8())
    };
    Ok((Token { kind, text: rest[..length].to_owned(), at }, length))
}

/// The name in double quotes at the start of `rest`, and its length with the quotes.
fn quoted(rest: &str) -> Result<(String, usize), BadSetting> {
    let mut name = String::new();
    let mut from = 1;
    loop {
        let length = rest[from..].find('"').ok_or(BadSetting::Unterminated)?;
        name.push_str(&rest[from..from + length]);
        from += length + 1;
        if !rest[from..].starts_with('"') {
            return Ok((name, from));
        }
        name.push('"');
        from += 1;
    }
}

fn word(text: &str) -> Kind {
    if text.eq_ignore_ascii_case("ANY") {
        Kind::Method(Method::Any)
    } else if text.eq_ignore_ascii_case("FIRST") {
        Kind::Method(Method::First)
    } else {
        Kind::Name
    }
}

fn keyword(text: &str) -> bool {
    matches!(word(text), Kind::Method(_))
}

/// White space of the scanner.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0B' | '\x0C')
}

fn starts_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn continues_word(c: char) -> bool {
    starts_word(c) || c.is_ascii_digit() || c == '$'
}
