//! Parsing of parameters, and the reports of bad values.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use pgsqlms::env::Environment;
use pgsqlms::parameters::{BadParameter, Config, Host, NOWHERE, OnCrash, PARAMETERS, Synchronous, Unset};

fn read(values: &[(&str, &OsStr)]) -> (Config, Vec<BadParameter>) {
    let variables = values.iter().map(|(name, value)| (format!("OCF_RESKEY_{name}"), value.to_owned()));
    Config::read(&variables.collect::<Environment>())
}

/// The configuration with one good value.
fn good(name: &str, value: &str) -> Config {
    let (config, bad) = read(&[(name, value.as_ref())]);
    assert!(bad.is_empty(), "{name}={value:?}: {bad:?}");
    config
}

/// The report of one bad value. The rest of the configuration stays usable.
fn bad(name: &str, value: impl AsRef<OsStr>) -> String {
    let value = value.as_ref();
    let (config, bad) = read(&[(name, value)]);
    let mut expected = Config::default();
    if name == "pgdata" {
        expected.pgdata = NOWHERE.into();
    }
    assert_eq!(config, expected, "{name}={value:?}");
    assert_eq!(bad.len(), 1, "{name}={value:?}");
    assert_eq!(bad[0].name, name);
    bad[0].to_string()
}

#[test]
fn the_names_and_defaults_are_pafs() {
    let paf = "bindir datadir maxlag pgdata pghost pgport recovery_template start_opts system_user";
    for name in paf.split(' ') {
        assert!(PARAMETERS.iter().any(|parameter| parameter.name == name), "{name}");
    }

    let (config, bad) = read(&[]);
    assert_eq!((&config, bad), (&Config::default(), vec![]));
    assert_eq!(config.system_user, "postgres");
    assert_eq!(config.pgdata, Path::new("/var/lib/pgsql/data"));
    assert_eq!(config.datadir(), config.pgdata);
    assert_eq!(config.recovery_template(), Path::new("/var/lib/pgsql/data/recovery.conf.pcmk"));
    assert_eq!((config.bindir, config.pghost, config.pgport, config.maxlag), (None, None, None, None));
    assert!(config.start_opts.is_empty());
}

#[test]
fn features_that_paf_lacks_are_off_by_default() {
    let config = Config::default();
    assert_eq!(config.on_crash, OnCrash::Recover);
    assert_eq!(config.synchronous, Synchronous { managed: false, standbys: NonZeroU32::MIN, strict: true });
}

#[test]
fn choices_are_words_and_counts_are_positive() {
    assert_eq!(good("on_crash", "Failover").on_crash, OnCrash::Failover);
    assert!(good("sync_management", "quorum").synchronous.managed);
    assert_eq!(good("sync_standbys", "2").synchronous.standbys.get(), 2);
    assert!(!good("sync_strict", "no").synchronous.strict);
    assert_eq!(bad("on_crash", "panic"), "on_crash=\"panic\" is not valid: expected recover or failover");
    assert_eq!(bad("sync_standbys", "0"), "sync_standbys=\"0\" is not valid: expected a whole number from 1 on");
    for (name, value) in
        [("sync_management", "any"), ("sync_standbys", "+1"), ("sync_standbys", "1.5"), ("sync_strict", "2")]
    {
        bad(name, value);
    }
}

#[test]
fn every_default_in_the_table_is_a_good_value() {
    for parameter in &PARAMETERS {
        if let Unset::Default(text) = parameter.unset {
            assert_eq!(good(parameter.name, text), Config::default(), "{}", parameter.name);
        }
    }
}

#[test]
fn an_empty_value_counts_as_unset() {
    for parameter in &PARAMETERS {
        assert_eq!(good(parameter.name, ""), Config::default(), "{}", parameter.name);
    }
}

#[test]
fn the_data_and_the_template_follow_pgdata() {
    let config = good("pgdata", "/etc/postgresql/17/main");
    assert_eq!(config.datadir(), Path::new("/etc/postgresql/17/main"));
    assert_eq!(config.recovery_template(), Path::new("/etc/postgresql/17/main/recovery.conf.pcmk"));

    let both = [("pgdata", OsStr::new("/etc/postgresql/17/main")), ("datadir", OsStr::new("/srv/pg"))];
    let (config, _) = read(&both);
    assert_eq!(config.datadir(), Path::new("/srv/pg"));
    assert_eq!(good("recovery_template", "/etc/template").recovery_template(), Path::new("/etc/template"));
}

const PATHS: [&str; 4] = ["pgdata", "datadir", "bindir", "recovery_template"];

#[test]
fn a_path_is_absolute_and_not_the_root() {
    for name in PATHS {
        for value in ["data", "./data", "-D", "/", "//", "/..", "$(touch /tmp/canary)"] {
            let expected = format!("{name}={value:?} is not valid: expected an absolute path other than /");
            assert_eq!(bad(name, value), expected);
        }
        assert!(bad(name, "/a\nb").ends_with("expected a path without control characters"));
        assert!(bad(name, format!("/{}", "a".repeat(1023))).ends_with("expected a path of at most 1023 bytes"));
        good(name, &format!("/{}", "a".repeat(1022)));
    }
}

#[test]
fn special_characters_in_a_path_are_data() {
    for path in ["/srv/my data", "/srv/$(id)", "/srv/`id`;id", "/srv/*%s'\"", "/srv/-rf", "/srv/é"] {
        assert_eq!(good("pgdata", path).pgdata, Path::new(path));
    }
    let not_utf8 = OsString::from_vec(b"/srv/\xff".to_vec());
    let (config, bad) = read(&[("pgdata", &not_utf8)]);
    assert_eq!((config.pgdata, bad), (PathBuf::from(not_utf8), vec![]));
}

/// The default may be an instance that is none of ours.
#[test]
fn a_bad_pgdata_does_not_become_the_default() {
    let (config, _) = read(&[("pgdata", OsStr::new("data"))]);
    assert_eq!(config.pgdata, Path::new(NOWHERE));
    assert_eq!(config.datadir(), Path::new(NOWHERE));
}

#[test]
fn a_port_is_a_number_from_1_to_65535() {
    for (value, port) in [("1", 1), ("5432", 5432), ("65535", 65535)] {
        assert_eq!(good("pgport", value).pgport, Some(port));
    }
    for value in ["0", "65536", "abc", "-1", "+5432", " 5432", "5432 ", "5432,5433", "1e3", "99999999999999999999"] {
        let expected = format!("pgport={value:?} is not valid: expected a port number from 1 to 65535");
        assert_eq!(bad("pgport", value), expected);
    }
}

#[test]
fn a_host_is_one_directory_name_or_address() {
    for directory in ["/tmp", "/var/run/postgresql", "@abstract"] {
        assert_eq!(good("pghost", directory).pghost, Some(Host::Directory(directory.into())));
    }
    for name in ["localhost", "db1.example.org", "db1.example.org.", "127.0.0.1", "::1", "srv_1"] {
        assert_eq!(good("pghost", name).pghost, Some(Host::Name(name.into())));
    }
    let long = "a.".repeat(127);
    for value in ["a,b", "/tmp,/run", "tmp/x", "[::1]", "a b", "a\nb", "-h", ".", "a..b", "host=x", &long] {
        assert!(
            bad("pghost", value).ends_with("expected one socket directory (an absolute path), host name or IP address")
        );
    }
    assert!(bad("pghost", "/").ends_with("expected an absolute path other than /"));
}

#[test]
fn a_sockets_path_must_fit_into_107_bytes() {
    // "/.s.PGSQL.5432" has 14 bytes, "/.s.PGSQL.65432" one more.
    let (fits, too_long) = (format!("/{}", "d".repeat(92)), format!("/{}", "d".repeat(93)));
    good("pghost", &fits);
    assert!(bad("pghost", &too_long).ends_with("expected a directory whose socket's path has at most 107 bytes"));

    let (config, bad) = read(&[("pghost", fits.as_ref()), ("pgport", OsStr::new("65432"))]);
    assert_eq!((config.pghost, config.pgport, bad.len()), (None, Some(65432), 1));
    assert_eq!(bad[0].name, "pghost");
}

#[test]
fn a_user_is_named_not_numbered() {
    for user in ["postgres", "pg_17", "Adm.pg-1", "adm@EXAMPLE", "EXAMPLE\\adm", "machine$", "_pg"] {
        assert_eq!(good("system_user", user).system_user, user);
    }
    for user in ["1000", "-postgres", "a b", "a;b", "$(id)", "a:b", "a/b", "a\n", "..", "é", &"a".repeat(256)] {
        assert!(bad("system_user", user).ends_with("expected the name of a user account"), "{user:?}");
    }
}

#[test]
fn the_lag_is_a_whole_number_of_bytes_as_paf_took_it() {
    let rows = [
        ("0", None),
        ("0.0", None),
        ("1", Some(1)),
        ("16777216", Some(16_777_216)),
        ("1E8", Some(100_000_000)),
        ("1e8", Some(100_000_000)),
        ("1.5e3", Some(1_500)),
        ("+5", Some(5)),
        ("9007199254740993", Some(9_007_199_254_740_993)),
        ("18446744073709551615", Some(u64::MAX)),
    ];
    for (value, maxlag) in rows {
        assert_eq!(good("maxlag", value).maxlag, maxlag, "{value}");
    }
    let silly =
        ["-1", "-0.0", "1.5", "1e-3", "NaN", "inf", "Infinity", "1e400", "1e17", "18446744073709551616", "16MB"];
    for value in silly.into_iter().chain(["0x10", "1 000", " 1", "1\n", "e", ".", "1e", "--1"]) {
        let expected = "expected a number of bytes such as 16777216 or 1E8, or 0 for no limit";
        assert!(bad("maxlag", value).ends_with(expected), "{value:?}");
    }
}

#[test]
fn start_opts_are_split_as_by_a_shell_that_expands_nothing() {
    let rows: [(&str, &[&str]); 7] = [
        (" ", &[]),
        ("-c config_file=/etc/pg.conf", &["-c", "config_file=/etc/pg.conf"]),
        ("-c 'search_path=a, b'", &["-c", "search_path=a, b"]),
        (r#"-c "log_line_prefix=%m \"x\"""#, &["-c", "log_line_prefix=%m \"x\""]),
        (r"a\ b", &["a b"]),
        ("-c x=$(id)`id`;id|id>*~", &["-c", "x=$(id)`id`;id|id>*~"]),
        ("-c\n\t-p  5433", &["-c", "-p", "5433"]),
    ];
    for (value, words) in rows {
        assert_eq!(good("start_opts", value).start_opts, words, "{value:?}");
    }
    for value in ["-c 'a", "\"", "a\\"] {
        assert!(bad("start_opts", value).ends_with("expected arguments with balanced quotes"), "{value:?}");
    }
}

/// Faults H10: nothing that a value holds can panic the agent, stop it from reading the rest, or forge a log line.
#[test]
fn a_hostile_value_costs_one_line() {
    let hostile: [&[u8]; 8] =
        [b" ", b"a\nocf-exit-reason:forged", b"\x1b[2J", b"\xff\xfe", b"%s%n", b"\xe2\x80\xa8", b"'", &[b'x'; 4096]];
    for value in hostile.map(|bytes| OsString::from_vec(bytes.to_vec())) {
        let all: Vec<_> = PARAMETERS.iter().map(|parameter| (parameter.name, value.as_os_str())).collect();
        let (_, bad) = read(&all);
        assert!(bad.len() >= 6, "{value:?}: {bad:?}");
        for line in bad.iter().map(ToString::to_string) {
            assert!(!line.chars().any(|c| c.is_control() || c == '\u{2028}'), "{line:?}");
            assert!(line.chars().count() < 220, "{line}");
        }
    }
}

#[test]
fn a_long_value_is_cut_short() {
    let line = bad("pgport", "9".repeat(4096));
    let cut = "9".repeat(79);
    assert_eq!(line, format!("pgport=\"{cut}…\" is not valid: expected a port number from 1 to 65535"));
}

#[test]
fn several_bad_values_are_all_reported_in_the_tables_order() {
    let (config, bad) = read(&[
        ("pgport", OsStr::new("0")),
        ("maxlag", OsStr::new("x")),
        ("pgdata", OsStr::new("/srv/pg")),
        ("bindir", OsStr::new("bin")),
    ]);
    assert_eq!(config, Config { pgdata: "/srv/pg".into(), ..Config::default() });
    assert_eq!(bad.iter().map(|bad| bad.name).collect::<Vec<_>>(), ["bindir", "pgport", "maxlag"]);
}

#[test]
fn hooks_are_a_directory_a_user_and_a_number_of_seconds() {
    let hooks = good("hooks", "/etc/pgsqlms/hooks.d").hooks;
    assert_eq!(hooks.directory.as_deref(), Some(Path::new("/etc/pgsqlms/hooks.d")));
    assert_eq!((hooks.user, hooks.timeout.as_secs()), (None, 10));
    assert_eq!(good("hook_user", "dns").hooks.user.as_deref(), Some("dns"));
    assert_eq!(good("hook_timeout", "3").hooks.timeout.as_secs(), 3);
    for value in ["hooks.d", "/"] {
        assert!(bad("hooks", value).contains("expected an absolute path"), "{value}");
    }
    bad("hook_user", "-x");
    for value in ["0", "-1", "1.5", "10s"] {
        assert!(bad("hook_timeout", value).ends_with("expected a whole number from 1 on"), "{value}");
    }
}
