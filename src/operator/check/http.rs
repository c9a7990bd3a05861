//! As much of HTTP as a health check needs: what is asked, and the answer.

use crate::rules::check::Health;
use crate::rules::status::Role;

/// The most that is read of a request.
pub const LONGEST_REQUEST: usize = 8 << 10;

/// What a request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The role that the path names, if it names one.
    pub role: Option<Role>,
    /// `HEAD`: the answer has no body.
    pub head_only: bool,
}

/// Why there is no answer to a request: its status code and reason.
pub type Refused = (u16, &'static str);

/// Whether `bytes` hold a whole request without a body, as checks are.
pub fn is_whole(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|end| end == b"\r\n\r\n") || bytes.windows(2).any(|end| end == b"\n\n")
}

/// What the request asks. The paths are Patroni's, so that a proxy's configuration need not change.
///
/// # Errors
///
/// The status that refuses it.
pub fn read(bytes: &[u8]) -> Result<Request, Refused> {
    const BAD: Refused = (400, "Bad Request");
    let line = bytes.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok()).ok_or(BAD)?;
    let mut words = line.trim_end_matches('\r').split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(BAD);
    };
    if !version.starts_with("HTTP/1.") {
        return Err(BAD);
    }
    let head_only = match method {
        "GET" | "OPTIONS" => false,
        "HEAD" => true,
        _ => return Err((405, "Method Not Allowed")),
    };
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let role = match path {
        "/primary" | "/master" | "/read-write" => Some(Role::Primary),
        "/replica" => Some(Role::Standby),
        "/" => None,
        _ => return Err((404, "Not Found")),
    };
    Ok(Request { role, head_only })
}

/// The answer: 200 to send clients, 503 to send none.
pub fn answer(health: &Health, head_only: bool) -> String {
    let status = if health.is_up() { (200, "OK") } else { (503, "Service Unavailable") };
    response(status, health.reason(), head_only)
}

/// The answer to an invalid request.
pub fn refusal(refused: Refused) -> String {
    response(refused, "ask for /primary or /replica", false)
}

fn response((code, reason): (u16, &str), text: &str, head_only: bool) -> String {
    let body = format!("{text}\n");
    let head = format!(
        "HTTP/1.1 {code} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if head_only { head } else { head + &body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn asked(line: &str) -> Result<(Option<Role>, bool), u16> {
        let request = format!("{line}\r\nHost: srv1\r\n\r\n");
        assert!(is_whole(request.as_bytes()));
        read(request.as_bytes()).map(|request| (request.role, request.head_only)).map_err(|(code, _)| code)
    }

    table! { asked;
        haproxy_asks_so: "OPTIONS /primary HTTP/1.0" => Ok((Some(Role::Primary), false));
        replica: "GET /replica HTTP/1.1" => Ok((Some(Role::Standby), false));
        patroni_calls_it_master: "GET /master HTTP/1.1" => Ok((Some(Role::Primary), false));
        the_path_ends_at_a_question: "GET /replica?lag=1 HTTP/1.1" => Ok((Some(Role::Standby), false));
        without_a_body: "HEAD / HTTP/1.1" => Ok((None, true));
        elsewhere: "GET /etc/passwd HTTP/1.1" => Err(404);
        another_method: "POST /primary HTTP/1.1" => Err(405);
        another_protocol: "GET /primary" => Err(400);
        http_2: "PRI * HTTP/2.0" => Err(400);
        too_many_words: "GET / primary HTTP/1.1" => Err(400);
        nothing: "" => Err(400);
    }

    #[test]
    fn a_request_ends_with_an_empty_line() {
        for (bytes, whole) in [("GET / HTTP/1.0\r\n", false), ("GET / HTTP/1.0\r\n\r\n", true), ("GET /\n\n", true)] {
            assert_eq!(is_whole(bytes.as_bytes()), whole, "{bytes:?}");
        }
    }

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = answer(&Health::Down("stopped".to_owned()), false);
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{text}");
        assert!(text.contains("\r\nContent-Length: 8\r\n") && text.ends_with("\r\n\r\nstopped\n"), "{text}");
        let head = answer(&Health::Up("primary".to_owned()), true);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    }
}
