//! How a systemd unit for PostgreSQL is written: its name, its limits, and words that systemd would interpret.

/// The beginning of the name of each unit, so that the drop-ins in `pgsqlms-.service.d` are for all of them (systemd.unit(5)).
const PREFIX: &str = "pgsqlms-";

/// The end of the name.
const SUFFIX: &str = ".service";

/// The longest name of a unit (`UNIT_NAME_MAX` of systemd, with the end of the text).
const LONGEST: usize = 255;

/// The unit for PostgreSQL of `resource`; nothing where the name would be too long. What a unit's name must not contain is
/// written as systemd-escape(1) does.
pub fn name(resource: &str) -> Option<String> {
    let mut name = PREFIX.to_owned();
    for byte in resource.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':' => name.push(char::from(byte)),
            other => name.push_str(&format!("\\x{other:02x}")),
        }
    }
    name.push_str(SUFFIX);
    (name.len() > PREFIX.len() + SUFFIX.len() && name.len() <= LONGEST).then_some(name)
}

/// The limits in `/proc/PID/limits`, and systemd's settings for them. Its setting for the nice value counts otherwise.
const LIMITS: [(&str, &str); 15] = [
    ("Max cpu time", "LimitCPU"),
    ("Max file size", "LimitFSIZE"),
    ("Max data size", "LimitDATA"),
    ("Max stack size", "LimitSTACK"),
    ("Max core file size", "LimitCORE"),
    ("Max resident set", "LimitRSS"),
    ("Max processes", "LimitNPROC"),
    ("Max open files", "LimitNOFILE"),
    ("Max locked memory", "LimitMEMLOCK"),
    ("Max address space", "LimitAS"),
    ("Max file locks", "LimitLOCKS"),
    ("Max pending signals", "LimitSIGPENDING"),
    ("Max msgqueue size", "LimitMSGQUEUE"),
    ("Max realtime priority", "LimitRTPRIO"),
    ("Max realtime timeout", "LimitRTTIME"),
];

/// systemd's settings for the limits of a process, from the text of its `/proc/PID/limits`.
pub fn limits(text: &str) -> Vec<String> {
    let setting = |line: &str| {
        let (setting, rest) = LIMITS.iter().find_map(|(name, setting)| Some((setting, line.strip_prefix(name)?)))?;
        let mut values = rest.split_whitespace();
        let (soft, hard) = (value(values.next()?)?, value(values.next()?)?);
        Some(format!("{setting}={soft}:{hard}"))
    };
    text.lines().filter_map(setting).collect()
}

/// A limit as systemd writes it.
fn value(word: &str) -> Option<&str> {
    match word {
        "unlimited" => Some("infinity"),
        word => word.bytes().all(|byte| byte.is_ascii_digit()).then_some(word),
    }
}

/// An argument of which systemd takes nothing for a variable (systemd.service(5), "Command lines").
pub fn without_variables(argument: &str) -> String {
    argument.replace('$', "$$")
}

/// A word of a command line that systemd reads, as one word.
pub fn quoted(word: &str) -> String {
    format!("\"{}\"", without_variables(word).replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn named(resource: &str) -> String {
        name(resource).unwrap_or_default()
    }

    table! { named;
        an_id_of_xml: "pgsqld" => "pgsqlms-pgsqld.service";
        dashes_and_dots_stay: "pg-1.main_x" => "pgsqlms-pg-1.main_x.service";
        a_slash_is_escaped: "a/b c" => r"pgsqlms-a\x2fb\x20c.service";
        so_is_what_is_not_ascii: "ä" => r"pgsqlms-\xc3\xa4.service";
        an_instance_of_a_template_is_not_made: "a@b" => r"pgsqlms-a\x40b.service";
        a_name_of_nothing: "" => "";
        too_long_a_name: &"x".repeat(250) => "";
    }

    fn limited(text: &str) -> String {
        limits(text).join(" ")
    }

    table! { limited;
        soft_and_hard: "Max open files            1024                 524288               files" => "LimitNOFILE=1024:524288";
        without_a_unit: "Max realtime priority     0                    0                    " => "LimitRTPRIO=0:0";
        none_is_infinity: "Max core file size        0                    unlimited            bytes" => "LimitCORE=0:infinity";
        the_head_is_none: "Limit                     Soft Limit           Hard Limit           Units" => "";
        the_nice_value_is_left_out: "Max nice priority         0                    0                    " => "";
        an_unknown_one_is_left_out: "Max dreams                1                    2                    " => "";
        nonsense_is_left_out: "Max open files            -1                   x                    files" => "";
        one_per_line: "Max cpu time  unlimited  unlimited  seconds\nMax locked memory  8388608  8388608  bytes"
            => "LimitCPU=infinity:infinity LimitMEMLOCK=8388608:8388608";
    }

    fn as_word(word: &str) -> String {
        quoted(word)
    }

    table! { as_word;
        a_path: "/usr/lib/ocf/x" => r#""/usr/lib/ocf/x""#;
        a_path_with_a_blank: "/a b" => r#""/a b""#;
        a_variable_is_none: "/$HOME" => r#""/$$HOME""#;
        a_quote: r#"a"b"# => r#""a\"b""#;
        a_backslash: r"a\b" => r#""a\\b""#;
    }
}
