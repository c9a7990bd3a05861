//! Connection URIs: `postgresql://user:password@host:port/database?keyword=value`.

use super::{BadConninfo, Conninfo};

/// What follows the scheme, if `text` is a URI.
pub(super) fn rest(text: &str) -> Option<&str> {
    ["postgresql://", "postgres://"].iter().find_map(|scheme| text.strip_prefix(scheme))
}

/// Reads what follows the scheme. Its parts become keywords.
pub(super) fn parse(rest: &str) -> Result<Conninfo, BadConninfo> {
    let mut conninfo = Conninfo::default();
    let mut store = |keyword: &str, value: &str| {
        if !value.is_empty() {
            conninfo.set(keyword, decoded(value)?);
        }
        Ok(())
    };
    let at = rest.find(['@', '/']).filter(|at| rest[*at..].starts_with('@'));
    let (account, rest) = at.map_or(("", rest), |at| (&rest[..at], &rest[at + 1..]));
    let (user, password) = account.split_once(':').unwrap_or((account, ""));
    store("user", user)?;
    store("password", password)?;
    let (hosts, ports, rest) = addresses(rest)?;
    store("host", &hosts)?;
    store("port", &ports)?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    store("dbname", path.strip_prefix('/').unwrap_or(path))?;
    let query = query.strip_suffix('&').unwrap_or(query);
    for option in query.split('&').filter(|_| !query.is_empty()) {
        match option.split_once('=') {
            None => return Err(BadConninfo::Uri("a keyword without a value")),
            Some(("", _)) => return Err(BadConninfo::Uri("a value without a keyword")),
            Some((_, value)) if value.contains('=') => return Err(BadConninfo::Uri("an equals sign too many")),
            Some(("ssl", "true")) => conninfo.set("sslmode", "require"),
            Some((keyword, value)) => conninfo.set(&decoded(keyword)?, decoded(value)?),
        }
    }
    Ok(conninfo)
}

/// The hosts and the ports at the beginning, each with commas between them as libpq wants it, and what follows.
fn addresses(mut rest: &str) -> Result<(String, String, &str), BadConninfo> {
    let (mut hosts, mut ports) = (String::new(), String::new());
    loop {
        let host = match rest.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']').ok_or(BadConninfo::Uri("a bracket that is never closed"))?;
                if host.is_empty() {
                    return Err(BadConninfo::Uri("no address in brackets"));
                }
                if !after.is_empty() && !after.starts_with([':', '/', '?', ',']) {
                    return Err(BadConninfo::Uri("something after a closing bracket"));
                }
                rest = after;
                host
            }
            None => upto(&mut rest, &[':', '/', '?', ',']),
        };
        hosts.push_str(host);
        if let Some(after) = rest.strip_prefix(':') {
            rest = after;
            ports.push_str(upto(&mut rest, &['/', '?', ',']));
        }
        let Some(after) = rest.strip_prefix(',') else { return Ok((hosts, ports, rest)) };
        rest = after;
        hosts.push(',');
        ports.push(',');
    }
}

/// Takes away what stands before the first of `ends`.
fn upto<'a>(rest: &mut &'a str, ends: &[char]) -> &'a str {
    let (before, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
    *rest = after;
    before
}

/// `%20` and the like, undone.
fn decoded(text: &str) -> Result<String, BadConninfo> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |at: usize| rest.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        let value = digit(0).zip(digit(1)).map_or(0, |(high, low)| high << 4 | low);
        match u8::try_from(value) {
            Ok(value) if value != 0 => bytes.push(value),
            _ => return Err(BadConninfo::Uri("a percent sign without two hexadecimal digits")),
        }
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| BadConninfo::Uri("bytes that are no UTF-8"))
}
