//! `/proc/PID/stat`, in which a process may call itself anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgsqlms::postgres::processes::state_and_parent;

fuzz_target!(|bytes: &[u8]| {
    let _ = state_and_parent(bytes);
    let stat = [b"12 (", bytes, b") S 7 12 12 0 -1 4194560 238 0 0 0"].concat();
    assert_eq!(state_and_parent(&stat), Some(('S', 7)), "{:?}", String::from_utf8_lossy(&stat));
});
