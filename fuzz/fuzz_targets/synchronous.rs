//! `synchronous_standby_names` and the published guards. A parsed value is written and read back the same.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use pgsqlms::node::NodeName;
use pgsqlms::rules::synchronous::{Published, SyncSetting};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<SyncSetting>() {
        Ok(setting) => {
            let written = setting.to_string();
            assert_eq!(written.parse().as_ref(), Ok(&setting), "{written}");
            let winner = NodeName::new("srv1");
            let published = Published::starting_over(&winner, setting);
            assert_eq!(published.to_string().parse().as_ref(), Ok(&published), "{published}");
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
    if let Ok(published) = text.parse::<Published>() {
        let written = published.to_string();
        assert_eq!(written.parse().as_ref(), Ok(&published), "{written}");
        let members: BTreeSet<NodeName> = ["srv1", "srv2", "srv3"].into_iter().map(NodeName::new).collect();
        for guard in &published.0 {
            let electorate = guard.electorate(&members);
            assert!(electorate.voters.is_subset(&members) && !electorate.voters.contains(&guard.primary));
            assert!(electorate.needed <= (electorate.voters.len() + electorate.strangers.len()).max(1));
        }
    }
});
