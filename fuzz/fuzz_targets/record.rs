//! The record of promotions and votes, as the cluster keeps it. A parsed value is written and read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgsqlms::record::{MAX_PROMOTIONS, Record};
use pgsqlms::rules::lineage;
use pgsqlms::vote::Vote;

fn check_record(record: &Record) {
    let text = record.to_string();
    assert_eq!(text.parse().as_ref(), Ok(record), "{text}");
    assert!(record.0.len() <= MAX_PROMOTIONS);
    for promotion in &record.0 {
        let with = record.with(promotion.clone());
        assert_eq!(with.0.first(), Some(promotion));
        assert!(with.0.len() <= record.0.len());
        assert_eq!(with.to_string().parse(), Ok(with));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(2, '|');
    let record: Result<Record, _> = parts.next().unwrap_or_default().parse();
    let vote: Result<Vote, _> = parts.next().unwrap_or(&text).parse();
    if let Ok(record) = &record {
        check_record(record);
    }
    if let Ok(vote) = &vote {
        let text = vote.to_string();
        assert_eq!(text.parse().as_ref(), Ok(vote), "{text}");
    }
    if let (Ok(record), Ok(vote)) = (&record, &vote) {
        let proven = record.proven_by([vote]);
        assert_eq!(proven.proven_by([vote]), proven);
        let _ = lineage::standing(vote, &proven);
    }
});
