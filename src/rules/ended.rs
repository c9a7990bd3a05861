//! Whether the end of a server is reported to Pacemaker at once, or found by the next monitor.
//!
//! A report adds a failure to the resource. So only an end that was not wanted is reported: each doubt is left to the monitor.

use std::fmt;

/// How the postmaster has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A shutdown that has been asked for, by the agent or by a person.
    Clean,
    /// Anything else, in words.
    Unclean(String),
}

impl End {
    /// From systemd's `EXIT_CODE` and `EXIT_STATUS` (systemd.exec(5)); nothing where it says nothing.
    pub fn read(code: Option<&str>, status: Option<&str>) -> Option<Self> {
        match (code?, status?) {
            ("exited", "0") => Some(End::Clean),
            ("exited", status) => Some(End::Unclean(format!("it ended with exit code {status}"))),
            ("killed" | "dumped", signal) => Some(End::Unclean(format!("signal {signal} has ended it"))),
            _ => None,
        }
    }
}

/// The node's own knowledge when a server has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Here {
    /// The agent has left it running, and does not end it.
    pub is_to_run: bool,
    /// The machine is shut down.
    pub machine_stops: bool,
    /// Pacemaker runs here.
    pub has_pacemaker: bool,
}

/// The instance on this node, as Pacemaker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// It starts and stops it: no maintenance mode.
    pub is_managed: bool,
    /// It takes it for running.
    pub is_started: bool,
    /// The action on it that goes on.
    pub pending: Option<String>,
}

/// Why the monitor finds out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Silence {
    /// A clean shutdown.
    Clean,
    /// The agent ends or starts it.
    NotToRun,
    /// The machine is shut down.
    MachineStops,
    /// Pacemaker does not run.
    NoPacemaker,
    /// Pacemaker leaves it alone.
    NotManaged,
    /// Pacemaker does not take it for running.
    NotStarted,
    /// Pacemaker is doing something with it.
    Pending(String),
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Silence::Clean => f.write_str("it was shut down cleanly"),
            Silence::NotToRun => f.write_str("the agent is starting or ending it"),
            Silence::MachineStops => f.write_str("the machine is shut down"),
            Silence::NoPacemaker => f.write_str("Pacemaker does not run"),
            Silence::NotManaged => f.write_str("Pacemaker does not manage it now"),
            Silence::NotStarted => f.write_str("Pacemaker does not take it for running"),
            Silence::Pending(what) => write!(f, "Pacemaker has an action on it under way: {what}"),
        }
    }
}

/// The reason not to report an end, as far as the node knows.
pub fn silent_here(end: &End, here: Here) -> Option<Silence> {
    let Here { is_to_run, machine_stops, has_pacemaker } = here;
    match end {
        End::Clean => Some(Silence::Clean),
        End::Unclean(_) if !is_to_run => Some(Silence::NotToRun),
        End::Unclean(_) if machine_stops => Some(Silence::MachineStops),
        End::Unclean(_) if !has_pacemaker => Some(Silence::NoPacemaker),
        End::Unclean(_) => None,
    }
}

/// The reason not to report it, as far as Pacemaker knows.
pub fn silent_in_cluster(seen: &Seen) -> Option<Silence> {
    match seen {
        Seen { is_managed: false, .. } => Some(Silence::NotManaged),
        Seen { is_started: false, .. } => Some(Silence::NotStarted),
        // The result of an action that goes on says what has become of it. A monitor is no such action.
        Seen { pending: Some(what), .. } if what != "Monitoring" => Some(Silence::Pending(what.clone())),
        Seen { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn read((code, status): (&str, &str)) -> String {
        match End::read(Some(code).filter(|it| !it.is_empty()), Some(status).filter(|it| !it.is_empty())) {
            Some(End::Clean) => "clean".to_owned(),
            Some(End::Unclean(how)) => how,
            None => String::new(),
        }
    }

    table! { read;
        a_clean_shutdown: ("exited", "0") => "clean";
        // After an immediate shutdown, and where it cannot recover.
        an_exit_code: ("exited", "1") => "it ended with exit code 1";
        a_signal: ("killed", "KILL") => "signal KILL has ended it";
        a_core_dump: ("dumped", "SEGV") => "signal SEGV has ended it";
        nothing_said: ("", "") => "";
        half_said: ("killed", "") => "";
        something_new: ("vanished", "0") => "";
    }

    /// `+` what is so: to run, machine stops, Pacemaker.
    fn here((end, so): (&str, &str)) -> Option<Silence> {
        let end = if end == "clean" { End::Clean } else { End::Unclean(end.to_owned()) };
        let here = Here {
            is_to_run: so.contains("run"),
            machine_stops: so.contains("off"),
            has_pacemaker: so.contains("pacemaker"),
        };
        silent_here(&end, here)
    }

    table! { here;
        killed: ("killed", "run pacemaker") => None;
        shut_down_by_a_person: ("clean", "run pacemaker") => Some(Silence::Clean);
        shut_down_by_the_agent: ("clean", "pacemaker") => Some(Silence::Clean);
        ended_by_the_agent: ("killed", "pacemaker") => Some(Silence::NotToRun);
        ended_in_a_start: ("exit 1", "pacemaker") => Some(Silence::NotToRun);
        while_the_machine_is_shut_down: ("killed", "run off pacemaker") => Some(Silence::MachineStops);
        without_pacemaker: ("killed", "run") => Some(Silence::NoPacemaker);
    }

    fn seen((so, pending): (&str, &str)) -> Option<Silence> {
        let pending = Some(pending.to_owned()).filter(|it| !it.is_empty());
        silent_in_cluster(&Seen { is_managed: so.contains("managed"), is_started: so.contains("started"), pending })
    }

    table! { seen;
        seen_running: ("managed started", "") => None;
        seen_in_a_monitor: ("managed started", "Monitoring") => None;
        in_maintenance: ("started", "") => Some(Silence::NotManaged);
        seen_stopped: ("managed", "") => Some(Silence::NotStarted);
        seen_in_a_promotion: ("managed started", "Promoting") => Some(Silence::Pending("Promoting".to_owned()));
        seen_in_a_stop: ("managed started", "Stopping") => Some(Silence::Pending("Stopping".to_owned()));
    }
}
