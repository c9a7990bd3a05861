//! `postmaster.pid`.
#![no_main]

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use pgsqlms::postgres::pid_file::PidFile;
use pgsqlms::rules::status::Phase;

/// The file with the parsed values, as the postmaster writes it.
fn written(file: &PidFile) -> Vec<u8> {
    let phase = match file.phase {
        Phase::Starting => "starting",
        Phase::Stopping => "stopping",
        Phase::Ready => "ready   ",
        Phase::WarmStandby => "standby ",
        Phase::Unknown => "",
    };
    let text = |number: Option<String>| number.unwrap_or_default().into_bytes();
    let path = |path: &Option<PathBuf>| path.as_ref().map_or(Vec::new(), |path| path.as_os_str().as_bytes().to_vec());
    let lines = [
        text(file.pid.map(|pid| pid.to_string())),
        path(&file.data_directory),
        b"0".to_vec(),
        text(file.port.map(|port| port.to_string())),
        path(&file.socket_directory),
        text(file.listen_address.clone()),
        b" 1 2".to_vec(),
        phase.into(),
    ];
    lines.join(&b'\n')
}

fuzz_target!(|bytes: &[u8]| {
    let file = PidFile::parse(bytes);
    assert!(file.pid.is_none_or(|pid| pid > 0));
    let again = written(&file);
    assert_eq!(PidFile::parse(&again), file, "{:?}", String::from_utf8_lossy(&again));
});
