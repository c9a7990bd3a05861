//! libpq's file of passwords (`fe-connect.c`, `passwordFromFile`): lines of `host:port:database:user:password`.

/// The password for this connection in the text of such a file. `hosts` are the names that count as its host.
pub(in crate::postgres) fn password(
    text: &str,
    hosts: &[&str],
    port: u16,
    database: &str,
    user: &str,
) -> Option<String> {
    let port = port.to_string();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let rest = hosts.iter().find_map(|host| after(line, host))?;
        let rest = after(after(after(rest, &port)?, database)?, user)?;
        Some(unescaped(rest))
    })
}

/// What follows a field that is `wanted`, or `*`.
fn after<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    if let Some(rest) = text.strip_prefix("*:") {
        return Some(rest);
    }
    let (mut escaped, mut field) = (false, String::new());
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                escaped = false;
                field.push(c);
            }
            '\\' => escaped = true,
            ':' => return (field == wanted).then(|| &text[at + 1..]),
            c => field.push(c),
        }
    }
    None
}

fn unescaped(text: &str) -> String {
    let (mut chars, mut plain) = (text.chars(), String::new());
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn found(text: &str) -> Option<String> {
        password(text, &["srv:2"], 5432, "replication", "rep")
    }

    table! { found;
        the_line_of_all: "*:*:*:*:secret" => Some("secret".to_owned());
        the_first_line_that_fits: "a:*:*:*:1\n*:5432:replication:rep:2\n*:*:*:*:3" => Some("2".to_owned());
        a_comment_is_none: "#*:*:*:*:1" => None;
        colons_and_backslashes_are_escaped: r"srv\:2:5432:replication:rep:a\:b\\c" => Some(r"a:b\c".to_owned());
        another_port: "*:5433:*:*:1" => None;
        another_database: "*:*:postgres:*:1" => None;
        another_user: "*:*:*:other:1" => None;
        too_few_fields: "*:*:*" => None;
    }
}
