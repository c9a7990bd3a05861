//! Every fixture is the head of a real `pg_control`, beside what `pg_controldata` said of it.

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        (
            include_bytes!(concat!("../../../tests/fixtures/postgres/pg_control-", $name, ".bin")).as_slice(),
            include_str!(concat!("../../../tests/fixtures/postgres/pg_controldata-", $name, ".txt")),
        )
    };
}

const STANDBYS: [(u32, (&[u8], &str)); 7] = [
    (12, fixture!("12-standby")),
    (13, fixture!("13-standby")),
    (14, fixture!("14-standby")),
    (15, fixture!("15-standby")),
    (16, fixture!("16-standby")),
    (17, fixture!("17-standby")),
    (18, fixture!("18-standby")),
];

const OTHERS: [(DbState, (&[u8], &str)); 10] = [
    (DbState::InArchiveRecovery, fixture!("15-base-backup")),
    (DbState::InProduction, fixture!("17-in-production")),
    (DbState::ShutDown, fixture!("12-shut-down")),
    (DbState::ShutDown, fixture!("13-shut-down")),
    (DbState::ShutDown, fixture!("14-shut-down")),
    (DbState::ShutDown, fixture!("15-shut-down")),
    (DbState::ShutDown, fixture!("16-shut-down")),
    (DbState::ShutDown, fixture!("17-shut-down")),
    (DbState::ShutDown, fixture!("18-shut-down")),
    (DbState::ShutDownInRecovery, fixture!("18-shut-down-in-recovery")),
];

fn all() -> impl Iterator<Item = (&'static [u8], &'static str)> {
    STANDBYS.into_iter().map(|(_, fixture)| fixture).chain(OTHERS.into_iter().map(|(_, fixture)| fixture))
}

/// PostgreSQL 15's, of a standby.
fn fifteen() -> Vec<u8> {
    STANDBYS[3].1.0.to_vec()
}

#[test]
fn bytes_and_pg_controldata_agree() {
    for (bytes, text) in all() {
        assert_eq!(ControlData::parse(bytes), ControlData::from_pg_controldata(text), "{text}");
    }
}

#[test]
fn each_major_version_is_recognized_by_its_catalog() {
    for (major, (bytes, _)) in STANDBYS {
        let data = ControlData::parse(bytes).unwrap();
        assert_eq!(data.major_version(), Some(major));
        assert_eq!(data.state, DbState::InArchiveRecovery);
    }
    let mut data = ControlData::parse(&fifteen()).unwrap();
    data.catalog_version += 1;
    assert_eq!(data.major_version(), None);
}

#[test]
fn settings_of_the_primary_are_read_on_its_standby() {
    let data = ControlData::parse(&fifteen()).unwrap();
    let limits = Limits {
        max_connections: 37,
        max_worker_processes: 11,
        max_wal_senders: 7,
        max_prepared_transactions: 5,
        max_locks_per_transaction: 77,
    };
    assert_eq!(data.limits, limits);
    assert_eq!((data.wal_level, data.wal_log_hints, data.track_commit_timestamp), (WalLevel::Replica, true, true));
    assert_eq!((data.wal_segment_size, data.wal_block_size, data.block_size), (1 << 20, 8192, 8192));
    assert!(data.has_data_checksums() && data.can_be_rewound());
    assert_eq!((data.timeline, data.min_recovery_timeline), (Timeline(1), Some(Timeline(1))));
}

#[test]
fn states_are_as_the_server_left_them() {
    for (state, (bytes, _)) in OTHERS {
        assert_eq!(ControlData::parse(bytes).unwrap().state, state);
    }
    let (bytes, _) = fixture!("15-base-backup");
    let data = ControlData::parse(bytes).unwrap();
    assert_eq!(data.backup_start, Lsn(0xD0_0028));
    let (bytes, _) = fixture!("16-shut-down");
    let data = ControlData::parse(bytes).unwrap();
    assert_eq!(data.checkpoint, data.redo, "nothing follows a shutdown checkpoint's redo but itself");
    assert_eq!(data.min_recovery_timeline, None);
}

#[test]
fn every_damaged_byte_before_the_checksum_is_noticed() {
    for (bytes, _) in all() {
        let end = if bytes[8..12] == 1800_u32.to_ne_bytes() { 296 } else { 292 };
        for at in 0..end {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x10;
            let error = ControlData::parse(&damaged).unwrap_err();
            let in_version = (8..12).contains(&at);
            assert!(error == ControlError::BadCrc || (in_version && matches!(error, ControlError::UnknownVersion(_))));
        }
    }
}

#[test]
fn every_short_file_is_too_short() {
    let bytes = fifteen();
    for len in 0..292 {
        assert_eq!(ControlData::parse(&bytes[..len]), Err(ControlError::TooShort(len)));
    }
    assert!(ControlData::parse(&bytes[..292]).is_ok());
}

#[test]
fn unknown_and_foreign_formats_are_distinguished() {
    let mut bytes = fifteen();
    bytes[8..12].copy_from_slice(&1900_u32.to_ne_bytes());
    assert_eq!(ControlData::parse(&bytes), Err(ControlError::UnknownVersion(1900)));
    bytes[8..12].copy_from_slice(&1300_u32.swap_bytes().to_ne_bytes());
    assert_eq!(ControlData::parse(&bytes), Err(ControlError::WrongByteOrder));
    assert_eq!(ControlData::parse(&[0; 512]), Err(ControlError::UnknownVersion(0)));
}

/// Changes bytes and makes the checksum right again.
fn with(at: usize, value: u32) -> Result<ControlData, ControlError> {
    let mut bytes = fifteen();
    bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    let crc = crc32c::crc32c(&bytes[..288]);
    bytes[288..292].copy_from_slice(&crc.to_ne_bytes());
    ControlData::parse(&bytes)
}

#[test]
fn values_without_sense_are_refused_even_with_a_right_checksum() {
    assert!(with(16, 6).is_ok());
    assert_eq!(with(16, 7), Err(bad_field("Database cluster state", 7)));
    assert_eq!(with(172, 3), Err(bad_field("wal_level setting", 3)));
    assert_eq!(with(204, 4), Err(ControlError::ForeignMachine));
    assert_eq!(with(212, 0), Err(ControlError::ForeignMachine));
    for size in [0, 8192, (1 << 20) + 1, 1 << 31] {
        assert_eq!(with(228, size), Err(bad_field("Bytes per WAL segment", size)));
    }
    for size in [0, 512, 8191, 1 << 17] {
        assert_eq!(with(224, size), Err(bad_field("WAL block size", size)));
    }
}

#[test]
fn text_that_lacks_or_garbles_a_line_is_refused() {
    let (_, text) = STANDBYS[3].1;
    let without: String =
        text.lines().filter(|line| !line.starts_with("Backup end")).map(|l| format!("{l}\n")).collect();
    assert_eq!(ControlData::from_pg_controldata(&without), Err(ControlError::MissingField("Backup end location")));
    let odd = text.replace("in archive recovery", "on holiday");
    assert_eq!(ControlData::from_pg_controldata(&odd), Err(bad_field("Database cluster state", "on holiday")));
    let warned = format!("WARNING: Calculated CRC checksum does not match value stored in file.\n{text}");
    assert_eq!(ControlData::from_pg_controldata(&warned), Err(ControlError::BadCrc));
    assert_eq!(ControlData::from_pg_controldata(""), Err(ControlError::MissingField("pg_control version number")));
}

#[test]
fn lower_settings_are_named() {
    let required = ControlData::parse(&fifteen()).unwrap().limits;
    assert!(required.below(&required).is_empty());
    let own = Limits { max_connections: 36, max_locks_per_transaction: 76, max_wal_senders: 8, ..required };
    let low: Vec<String> = own.below(&required).iter().map(ToString::to_string).collect();
    assert_eq!(low, ["max_connections from 36 to 37", "max_locks_per_transaction from 76 to 77"]);
}
