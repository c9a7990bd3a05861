//! A primary's attribute about its slots, and the slots' names.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use libfuzzer_sys::fuzz_target;
use pgsqlms::node::NodeName;
use pgsqlms::rules::slots::{Positions, is_ours, name_of};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let positions = match text.parse::<Positions>() {
        Ok(positions) => positions,
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            return;
        }
    };
    let written = positions.to_string();
    assert_eq!(written.parse().as_ref(), Ok(&positions), "{written}");
    assert!(!positions.is_news(Some(&positions)) && positions.is_news(None));
    let names: BTreeSet<String> = positions.nodes.keys().map(name_of).collect();
    assert_eq!(names.len(), positions.nodes.len(), "two nodes share a slot: {written}");
    for name in names {
        let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        assert!(is_ours(&name) && name.len() <= 63 && name.bytes().all(valid), "{name}");
    }
    let (me, other) = (NodeName::new("srv1"), NodeName::new("srv2"));
    let all = BTreeMap::from([(other, positions.clone())]);
    assert_eq!(Positions::newest(&me, all), Some(positions));
});
