//! The text that `pg_controldata` prints.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgsqlms::postgres::control::ControlData;
use pgsqlms::postgres::wal::Geometry;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(data) = ControlData::from_pg_controldata(&text) {
        assert!(Geometry::of(&data).is_some());
        assert!(data.min_recovery_timeline.is_none_or(|timeline| timeline.0 > 0));
        let more = format!("{text}\nSomething new of a later version:     42\n");
        assert_eq!(ControlData::from_pg_controldata(&more), Ok(data));
    }
});
