//! The note on how far WAL was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgsqlms::postgres::wal_end::Progress;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let progress = match text.parse::<Progress>() {
        Ok(progress) => progress,
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            return;
        }
    };
    let written = progress.to_string();
    assert_eq!(written.parse(), Ok(progress), "{written}");
    // One that was cut off says nothing.
    for (length, _) in written.char_indices() {
        assert!(written[..length].parse::<Progress>().is_err(), "{length} bytes of {written}");
    }
});
