//! The names of our slots.

use crate::node::NodeName;

/// What begins the name of every slot of ours. Others must not use it.
const PREFIX: &str = "pgsqlms_";

/// The longest name that PostgreSQL takes.
const LONGEST: usize = 63;

/// How much of a name that is too long remains readable.
const READABLE: usize = 36;

/// Whether a slot of this name is ours.
pub fn is_ours(slot: &str) -> bool {
    slot.starts_with(PREFIX)
}

/// The name of the slot for `node`, which no other node's slot has. A slot's name consists of lower-case letters, digits and
/// underscores: any other byte, and the underscore itself, is written as an underscore and two digits.
pub fn name_of(node: &NodeName) -> String {
    let escaped: String = node.as_str().bytes().map(escaped).collect();
    if PREFIX.len() + escaped.len() <= LONGEST {
        return format!("{PREFIX}{escaped}");
    }
    // No escape begins with two underscores.
    format!("{PREFIX}{}__{:016x}", &escaped[..READABLE], fingerprint(node.as_str()))
}

fn escaped(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("_{byte:02x}"),
    }
}

/// FNV-1a: the same on every node and in every version.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rules::table;

    fn named(node: &str) -> String {
        name_of(&NodeName::new(node))
    }

    table! { named;
        plain: "srv1" => "pgsqlms_srv1";
        a_domain: "srv-1.example.org" => "pgsqlms_srv_2d1_2eexample_2eorg";
        capitals: "SRV1" => "pgsqlms__53_52_561";
        an_underscore: "srv_1" => "pgsqlms_srv_5f1";
        another_alphabet: "é" => "pgsqlms__c3_a9";
        as_long_as_can_be: "srv4567890123456789012345678901234567890123456789012345"
            => "pgsqlms_srv4567890123456789012345678901234567890123456789012345";
    }

    #[test]
    fn names_are_valid_and_no_two_nodes_share_one() {
        let long = "x".repeat(56);
        let longer = format!("{}.y", "x".repeat(100));
        let nodes = ["srv1", "srv-1", "srv_1", "srv.1", "Srv1", "srv_2d1", "srv__1", "srv", "-", "_", &long, &longer];
        let other = format!("{}.z", "x".repeat(100));
        let names: BTreeSet<String> = nodes.into_iter().chain([other.as_str()]).map(named).collect();
        assert_eq!(names.len(), nodes.len() + 1);
        for name in names {
            let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            assert!(name.len() <= LONGEST && name.bytes().all(valid) && is_ours(&name), "{name}");
        }
    }
}
