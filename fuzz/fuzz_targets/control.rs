//! `pg_control` as bytes and as text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgsqlms::postgres::control::ControlData;
use pgsqlms::postgres::wal::Geometry;

fuzz_target!(|bytes: &[u8]| {
    let _ = ControlData::parse(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = ControlData::from_pg_controldata(text);
    }
    for crc_at in [288, 292] {
        let mut repaired = bytes.to_vec();
        if repaired.len() < crc_at + 4 {
            continue;
        }
        let crc = crc32c::crc32c(&repaired[..crc_at]);
        repaired[crc_at..crc_at + 4].copy_from_slice(&crc.to_ne_bytes());
        if let Ok(data) = ControlData::parse(&repaired) {
            assert!(Geometry::of(&data).is_some());
        }
    }
});
