//! User accounts: from `/etc/passwd` and `/etc/group` first-hand. The name service is asked only where the account is not
//! there, in a process of its own with a deadline: getgrouplist(3) asks every service, also for a local account, and one that
//! hangs must hang neither a monitor nor a stop.

use std::ffi::{CString, OsString};
use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use nix::unistd::{User, getgrouplist};

use crate::command::Invocation;
use crate::postgres::passing_note;
use crate::privileges::PrivilegeError;

/// How this program is called to ask the name service: then comes the account's name.
pub const ASK: &str = "account";

/// How long the name service may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// Where an account may be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// In files only: a stop must not wait for the name service.
    Files,
    /// In files; and where it is not there, with the name service, unless that has answered since the machine was started.
    Once,
    /// As [`Lookup::Once`], but what the name service has answered before counts only where it does not answer now.
    Anew,
}

/// An account of the operating system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// All its groups.
    pub groups: Vec<u32>,
    /// Its home directory.
    pub home: PathBuf,
}

/// The account of this name.
///
/// # Errors
///
/// When there is no such account, or the name service does not answer.
pub fn find(name: &str, lookup: Lookup) -> Result<Account, PrivilegeError> {
    let unknown = || PrivilegeError::UnknownUser(name.to_owned());
    let read = |file: &str| fs::read(file).unwrap_or_default();
    if let Some(account) = Account::listed(name, &read("/etc/passwd"), &read("/etc/group")) {
        return Ok(account);
    }
    let noted = || passing_note::account(name).and_then(|text| text.parse().ok());
    match (lookup, noted()) {
        (Lookup::Files, noted) => noted.ok_or_else(unknown),
        (Lookup::Once, Some(account)) => Ok(account),
        (Lookup::Once | Lookup::Anew, noted) => match ask(name) {
            Ok(account) => {
                passing_note::keep_account(name, &account.to_string());
                Ok(account)
            }
            Err(PrivilegeError::NoAnswer(_)) if noted.is_some() => noted.ok_or_else(unknown),
            Err(error) => Err(error),
        },
    }
}

/// Has the name service asked by another process.
fn ask(name: &str) -> Result<Account, PrivilegeError> {
    let no_answer = || PrivilegeError::NoAnswer(name.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|_| no_answer())?;
    let printed = Invocation::ourselves(&[ASK, name]).run(&runtime, PATIENCE);
    let printed = printed.map_err(|error| {
        log::debug!("{error}");
        no_answer()
    })?;
    if printed.trim().is_empty() {
        return Err(PrivilegeError::UnknownUser(name.to_owned()));
    }
    printed.parse().map_err(|()| no_answer())
}

/// Asks the name service, however long that takes, and prints the answer; an empty answer if there is no such account.
pub fn print(name: &str) -> std::io::Result<()> {
    let Some(user) = User::from_name(name)? else { return Ok(()) };
    let groups = getgrouplist(&CString::new(name)?, user.gid)?;
    let groups = groups.into_iter().map(nix::unistd::Gid::as_raw).collect();
    let account = Account { uid: user.uid.as_raw(), gid: user.gid.as_raw(), groups, home: user.dir };
    write!(std::io::stdout(), "{account}")
}

impl Account {
    /// The account of this name in files like `/etc/passwd` and `/etc/group`.
    fn listed(name: &str, passwd: &[u8], group: &[u8]) -> Option<Account> {
        let lines = |text: &[u8]| -> Vec<Vec<Vec<u8>>> {
            let fields = |line: &[u8]| line.split(|byte| *byte == b':').map(<[u8]>::to_vec).collect();
            text.split(|byte| *byte == b'\n').map(fields).collect()
        };
        let number = |field: &[u8]| std::str::from_utf8(field).ok()?.trim().parse::<u32>().ok();
        let is_named = |line: &&Vec<Vec<u8>>| line.len() >= 6 && line[0] == name.as_bytes();
        let users = lines(passwd);
        let user = users.iter().find(is_named)?;
        let (uid, gid) = (number(&user[2])?, number(&user[3])?);
        let has_it = |line: &&Vec<Vec<u8>>| {
            line.len() >= 4 && line[3].split(|byte| *byte == b',').any(|member| member.trim_ascii() == name.as_bytes())
        };
        let others = lines(group);
        let others = others.iter().filter(has_it).filter_map(|line| number(&line[2]));
        let groups = std::iter::once(gid).chain(others.filter(|other| *other != gid)).collect();
        Some(Account { uid, gid, groups, home: OsString::from_vec(user[5].clone()).into() })
    }
}

impl FromStr for Account {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (numbers, home) = text.split_once('\n').ok_or(())?;
        let numbers: Result<Vec<u32>, _> = numbers.split(' ').map(str::parse).collect();
        match numbers.map_err(|_| ())?.as_slice() {
            [uid, gid, groups @ ..] if !groups.is_empty() => {
                Ok(Account { uid: *uid, gid: *gid, groups: groups.to_vec(), home: home.trim_end().into() })
            }
            _ => Err(()),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.uid, self.gid)?;
        self.groups.iter().try_for_each(|group| write!(f, " {group}"))?;
        writeln!(f, "\n{}", self.home.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n+::::::\nbad:x:a:1::/:/bin/sh\n\
        postgres:x:101:104:PostgreSQL,\xE4,,:/var/lib/postgresql:/bin/bash\n";
    const GROUP: &[u8] =
        b"root:x:0:\nssl-cert:x:103:backup,postgres\npostgres:x:104:postgres\nother:x:105:postgresql\n";

    #[test]
    fn a_local_account_is_read_from_its_files() {
        let listed = |name: &str| Account::listed(name, PASSWD, GROUP);
        let expected = Account { uid: 101, gid: 104, groups: vec![104, 103], home: "/var/lib/postgresql".into() };
        assert_eq!(listed("postgres"), Some(expected));
        assert_eq!(listed("root").map(|root| (root.uid, root.groups)), Some((0, vec![0])));
        for unknown in ["", "+", "bad", "postgre", "postgresql"] {
            assert_eq!(listed(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn what_is_kept_of_an_account_can_be_read_again() {
        let account = Account { uid: 1, gid: 2, groups: vec![2, 3], home: "/a b".into() };
        assert_eq!(account.to_string().parse(), Ok(account));
        for nonsense in ["", "1 2\n/", "1 2 x\n/", "1 2 3"] {
            assert_eq!(nonsense.parse::<Account>(), Err(()), "{nonsense:?}");
        }
    }
}
