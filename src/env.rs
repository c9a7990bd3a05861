//! The only file that reads the process's environment and arguments.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use crate::boolean::is_yes;

/// This process's arguments, its own name first.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the arguments")]
pub fn arguments() -> impl Iterator<Item = OsString> {
    std::env::args_os()
}

/// What a program of ours that goes on after the action has to know of its environment: where to log to, and which node this is.
const PASSED_ON: [&str; 5] =
    ["HA_LOGFACILITY", "HA_logfacility", "HA_LOGFILE", "HA_debug", "OCF_RESKEY_CRM_meta_on_node"];

/// Those of this process's variables that such a program gets.
pub fn passed_on() -> impl Iterator<Item = (OsString, OsString)> {
    Environment::of_this_process().0.into_iter().filter(|(name, _)| PASSED_ON.iter().any(|known| name == known))
}

/// What names a parameter of a resource, and what Pacemaker adds to them.
const PARAMETER: &str = "OCF_RESKEY_";
const ADDED: [&str; 2] = ["OCF_RESKEY_CRM_meta_", "OCF_RESKEY_crm_feature_set"];

fn is_parameter(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with(PARAMETER) && !ADDED.iter().any(|added| name.starts_with(added))
}

/// The parameters of the resource that this process's action is about.
pub fn parameters() -> impl Iterator<Item = (OsString, OsString)> {
    Environment::of_this_process().0.into_iter().filter(|(name, _)| is_parameter(name))
}

/// The calling user, for the log: the one that has become root by sudo.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn person() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let named =
        named.map(|name| name.chars().filter(|c| c.is_ascii_alphanumeric() || "._-@".contains(*c)).take(32).collect());
    named.filter(|name: &String| !name.is_empty()).unwrap_or_else(|| format!("uid {}", nix::unistd::getuid()))
}

/// The environment variables an action was started with.
///
/// Values are data of unknown quality: they may be empty, not UTF-8, or anything else.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// This process's environment.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn of_this_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// With `name` set to `value`.
    #[must_use]
    pub fn with(mut self, name: &str, value: &OsStr) -> Self {
        self.0.insert(name.into(), value.to_owned());
        self
    }

    /// Whether it holds parameters of a resource.
    pub fn has_parameters(&self) -> bool {
        self.0.keys().any(|name| is_parameter(name))
    }

    /// The value of `name`, unless it is unset or empty: Pacemaker and its users take both for "not given".
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The value of `name` without surrounding blanks, if it is text. Pacemaker writes an empty list as one blank.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(OsStr::to_str).map(str::trim).filter(|text| !text.is_empty())
    }

    /// All variables whose names begin like this.
    pub fn beginning_with(&self, prefix: &str) -> Vec<(&str, OsString)> {
        let named = self.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value.clone())));
        named.filter(|(name, _)| name.starts_with(prefix)).collect()
    }

    /// The first of `names` that has a value: newer names go first.
    pub fn text_of_any(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.text(name))
    }

    /// Whether `name` says yes as Pacemaker spells it (`crm_str_to_boolean`).
    pub fn says_yes(&self, name: &str) -> bool {
        self.text(name).is_some_and(is_yes)
    }

    /// A length of time that Pacemaker gives in milliseconds, such as `CRM_meta_timeout`.
    pub fn milliseconds(&self, name: &str) -> Option<Duration> {
        self.text(name)?.parse().ok().map(Duration::from_millis)
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_blank_values_count_as_not_given() {
        let environment: Environment = [("EMPTY", ""), ("BLANK", " "), ("LIST", " srv1 srv2 ")].into_iter().collect();
        assert_eq!(environment.get("EMPTY"), None);
        assert_eq!(environment.text("BLANK"), None);
        assert_eq!(environment.text("LIST"), Some("srv1 srv2"));
        assert_eq!(environment.text_of_any(&["NONE", "BLANK", "LIST"]), Some("srv1 srv2"));
    }

    #[test]
    fn times_are_milliseconds_and_nonsense_is_no_time() {
        let environment: Environment =
            [("T", "10000"), ("A", "abc"), ("N", "-1"), ("H", "99999999999999999999")].into_iter().collect();
        assert_eq!(environment.milliseconds("T"), Some(Duration::from_secs(10)));
        for name in ["A", "N", "H", "UNSET"] {
            assert_eq!(environment.milliseconds(name), None, "{name}");
        }
    }
}
