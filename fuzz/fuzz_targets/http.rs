//! Requests to a health check. Each gets one answer that is as long as it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgsqlms::operator::check::http;
use pgsqlms::rules::check::Health;

/// The code of an answer, which must be well formed and give the length of its body.
fn checked(answer: &str, without_body: bool) -> u16 {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let lines: Vec<&str> = head.split("\r\n").collect();
    assert!(lines.iter().all(|line| !line.is_empty() && !line.contains(['\r', '\n'])), "{answer:?}");
    let length = lines.iter().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let length: usize = length.parse().unwrap();
    assert!(if without_body { body.is_empty() } else { body.len() == length }, "{answer:?}");
    lines[0].strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap().parse().unwrap()
}

fuzz_target!(|bytes: &[u8]| {
    // A request that came in more pieces is whole at some point, and remains so.
    let mut whole = false;
    for end in 0..=bytes.len().min(64) {
        let now = http::is_whole(&bytes[..end]);
        assert!(now || !whole);
        whole = now;
    }
    match http::read(bytes) {
        Ok(request) => {
            let health = Health::Down(String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect());
            assert_eq!(checked(&http::answer(&health, request.head_only), request.head_only), 503);
            assert_eq!(checked(&http::answer(&Health::Up("up".to_owned()), request.head_only), request.head_only), 200);
        }
        Err(refused) => {
            assert!((400..500).contains(&refused.0));
            assert_eq!(checked(&http::refusal(refused), false), refused.0);
        }
    }
});
