//! What each kind of value must look like. Pure: no file is looked at, no name is resolved.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::Host;

/// What was expected instead of a bad value.
pub(super) type Expected = &'static str;

/// PostgreSQL keeps paths in buffers of 1024 bytes (`MAXPGPATH`) and cuts longer ones off without a word.
const LONGEST_PATH: usize = 1023;

/// What the kernel accepts as the path of a socket (`sun_path`, without its final NUL).
const LONGEST_SOCKET_PATH: usize = 107;

/// An absolute path other than the root. It need not be UTF-8, but the lines of `postmaster.pid` must be able to hold
/// it, hence no control characters.
pub(super) fn path(value: &OsStr) -> Result<PathBuf, Expected> {
    let bytes = value.as_bytes();
    let path = Path::new(value);
    if !path.is_absolute() || !path.components().any(|part| matches!(part, Component::Normal(_))) {
        Err("an absolute path other than /")
    } else if bytes.len() > LONGEST_PATH {
        Err("a path of at most 1023 bytes")
    } else if bytes.iter().any(u8::is_ascii_control) {
        Err("a path without control characters")
    } else {
        Ok(path.to_owned())
    }
}

/// One of `choices`, in upper or lower case.
pub(super) fn choice<T: Copy>(value: &OsStr, choices: &[(&str, T)], expected: Expected) -> Result<T, Expected> {
    let text = value.to_str().ok_or(expected)?;
    choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, choice)| *choice).ok_or(expected)
}

/// How many of something there are to be: at least one.
pub(super) fn count(value: &OsStr) -> Result<NonZeroU32, Expected> {
    const EXPECTED: Expected = "a whole number from 1 on";
    let text = value.to_str().filter(|text| text.bytes().all(|b| b.is_ascii_digit())).ok_or(EXPECTED)?;
    text.parse().map_err(|_| EXPECTED)
}

/// A port number. Not `0`, not `+5432`.
pub(super) fn port(value: &OsStr) -> Result<u16, Expected> {
    const EXPECTED: Expected = "a port number from 1 to 65535";
    let text = value.to_str().filter(|text| text.bytes().all(|b| b.is_ascii_digit())).ok_or(EXPECTED)?;
    text.parse().ok().filter(|port| *port != 0).ok_or(EXPECTED)
}

/// One place to connect to: a socket directory, a host name or an IP address.
pub(super) fn host(value: &OsStr) -> Result<Host, Expected> {
    const EXPECTED: Expected = "one socket directory (an absolute path), host name or IP address";
    if value.as_bytes().contains(&b',') {
        return Err(EXPECTED);
    }
    if value.as_bytes().starts_with(b"/") {
        return path(value).map(Host::Directory);
    }
    // An abstract socket, as PostgreSQL writes it.
    if value.as_bytes().starts_with(b"@") {
        return Ok(Host::Directory(value.into()));
    }
    let text = value.to_str().ok_or(EXPECTED)?;
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    let valid = text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && name.split('.').all(label));
    valid.then(|| Host::Name(text.to_owned())).ok_or(EXPECTED)
}

/// Whether the socket of an instance on `port` fits into `directory`.
pub(super) fn socket_fits(directory: &Path, port: u16) -> Result<(), Expected> {
    let socket = directory.join(format!(".s.PGSQL.{port}"));
    let fits = socket.as_os_str().len() <= LONGEST_SOCKET_PATH;
    if fits { Ok(()) } else { Err("a directory whose socket's path has at most 107 bytes") }
}

/// The name of an account: what `useradd` takes, and the longer names of directory services (`adm@EXAMPLE`,
/// `EXAMPLE\adm`). Digits alone would be mistaken for a user's number.
pub(super) fn user(value: &OsStr) -> Result<String, Expected> {
    const EXPECTED: Expected = "the name of a user account";
    let text = value.to_str().ok_or(EXPECTED)?;
    let valid = text.len() <= 255
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-@\\$".contains(&b))
        && text.bytes().any(|b| b.is_ascii_alphabetic() || b == b'_');
    valid.then(|| text.to_owned()).ok_or(EXPECTED)
}

/// A number of bytes; `None` for 0. PAF takes any number that Perl does, so `1E8` is one; a value that is not a whole number of
/// bytes is refused.
pub(super) fn bytes(value: &OsStr) -> Result<Option<u64>, Expected> {
    const EXPECTED: Expected = "a number of bytes such as 16777216 or 1E8, or 0 for no limit";
    let text = value.to_str().ok_or(EXPECTED)?;
    let count = match text.parse::<u64>() {
        Ok(count) => Some(count),
        Err(_) => whole_number(text),
    };
    count.map(|count| (count != 0).then_some(count)).ok_or(EXPECTED)
}

/// A rate in kB a second, as `pg_basebackup --max-rate` takes it: `512`, `512k`, `10M`.
pub(super) fn rate(value: &OsStr) -> Result<u32, Expected> {
    const EXPECTED: Expected = "kB a second such as 10240, 10240k or 10M, from 32 to 1024M";
    let text = value.to_str().ok_or(EXPECTED)?;
    let (digits, unit) = match (text.strip_suffix('k'), text.strip_suffix('M')) {
        (Some(digits), _) => (digits, 1),
        (_, Some(digits)) => (digits, 1024),
        _ => (text, 1),
    };
    let digits = Some(digits).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let rate = digits.and_then(|digits| digits.parse::<u32>().ok()?.checked_mul(unit));
    rate.filter(|rate| (32..=1024 * 1024).contains(rate)).ok_or(EXPECTED)
}

/// `1E8`, `1.5e3`: a number in scientific notation that is whole, not negative, and small enough to be exact.
fn whole_number(text: &str) -> Option<u64> {
    let notation = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) && !text.starts_with('-');
    let number = text.parse::<f64>().ok().filter(|_| notation)?;
    let exact = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    exact.then_some(number as u64)
}

/// The words of a command line, split and unquoted as a shell would. Nothing is expanded: `$(…)` stays what it is.
pub(super) fn words(value: &OsStr) -> Result<Vec<String>, Expected> {
    let text = value.to_str().ok_or("arguments in UTF-8")?;
    shlex::split(text).ok_or("arguments with balanced quotes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn kilobytes(text: &str) -> Option<u32> {
        rate(OsStr::new(text)).ok()
    }

    table! { kilobytes;
        a_number: "512" => Some(512);
        with_its_unit: "512k" => Some(512);
        megabytes: "10M" => Some(10240);
        the_least: "32" => Some(32);
        too_little: "31" => None;
        the_most: "1024M" => Some(1 << 20);
        too_much: "1025M" => None;
        far_too_much: "4294967295M" => None;
        another_unit: "1G" => None;
        a_sign: "+512" => None;
        nothing: "M" => None;
    }
}
