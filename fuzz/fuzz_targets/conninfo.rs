//! Connection strings and URIs. A parsed value is printed and read back the same, and no secret is shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgsqlms::node::NodeName;
use pgsqlms::postgres::conninfo::Conninfo;
use pgsqlms::rules::follow::{Place, pointed};

const SECRET: &str = "\u{1}never shown\u{1}";

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut conninfo = match text.parse::<Conninfo>() {
        Ok(conninfo) => conninfo,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains('\n') && text.len() < 100, "{text}");
            return;
        }
    };
    let keywords_can_be_printed = conninfo.iter().all(|(keyword, _)| {
        !keyword.is_empty() && !keyword.contains(|c: char| c == '=' || c.is_ascii_whitespace() || c == '\u{b}')
    });
    if keywords_can_be_printed {
        let printed = conninfo.text();
        // A keyword of a URI may make the whole look like a URI again.
        if !printed.starts_with("postgres") {
            assert_eq!(printed.parse().as_ref(), Ok(&conninfo), "{printed}");
        }
    }
    let place = Place { host: "srv2".to_owned(), port: Some(5433) };
    let once = pointed(&conninfo, &place, &NodeName::new("srv1"));
    assert_eq!((once.get("host"), once.get("application_name")), (Some("srv2"), Some("srv1")));
    assert_eq!(pointed(&once, &place, &NodeName::new("srv1")), once);
    let (open, _) = once.split();
    assert!(open.get("password").is_none() && open.get("sslpassword").is_none());
    conninfo.set("password", SECRET);
    assert!(!conninfo.to_string().contains(SECRET) && !format!("{conninfo:?}").contains(SECRET));
    assert!(!conninfo.split().0.text().contains(SECRET));
    assert!(conninfo.text().contains(SECRET));
});
