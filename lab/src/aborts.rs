//! Which of the agent's changes of the CIB Pacemaker has noticed, and which action has made each, from the logs of all nodes. A change
//! in the midst of a transition makes Pacemaker stop it and compute another.

use std::collections::BTreeMap;
use std::fmt;

use crate::lab::RESOURCE;

/// `attrd_updater` may have ended before the attribute daemon logs what it was given.
const LATE: u64 = 20;

/// The agent logs a change before it makes it, at most so many milliseconds.
const SAID: u64 = 1000;

/// How a line of the agent itself begins.
const OWN: &str = "pgsqlms(";

/// A change of the CIB by the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The transition of that moment.
    pub transition: u32,
    /// Whether the transition was going on.
    pub is_amidst: bool,
    /// Whether it is what has stopped the transition. Pacemaker logs the first one of a transition as a notice.
    pub has_stopped: bool,
    /// The name of the attribute or property.
    pub what: String,
    /// What has made it; nothing where the logs do not say.
    pub writer: Option<Writer>,
}

/// An action of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// `promote`, `monitor`, `post-notify start`; `monitor or post-notify start` where only the time tells.
    pub action: String,
    /// Where it ran.
    pub node: String,
}

impl Writer {
    /// Whether it may change nothing in the CIB, so that a cluster can always be switched off.
    pub fn must_be_quiet(&self) -> bool {
        let is_notification = ["pre-notify ", "post-notify "].iter().any(|begin| self.action.starts_with(begin));
        let is_notification = is_notification && !self.action.ends_with(" start");
        is_notification || ["demote", "stop"].contains(&&*self.action)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.writer {
            Some(Writer { action, node }) => write!(f, "{} by {action} on {node}", self.what)?,
            None => write!(f, "{} by an unknown action", self.what)?,
        }
        write!(f, " in transition {}", self.transition)
    }
}

/// One line of a daemon.
struct Line<'a> {
    /// In milliseconds; only differences mean something.
    at: u64,
    node: &'a str,
    text: &'a str,
}

/// An attribute or property was changed.
struct Event {
    at: u64,
    /// The attribute's name and its node; nothing for a property.
    attribute: Option<(String, String)>,
    /// What is logged of it.
    told: String,
    writer: Writer,
}

/// An action that an executor has run.
struct Run {
    call: String,
    action: String,
    /// Known once it has ended.
    process: String,
    from: u64,
    to: u64,
}

/// What ran where, by node.
#[derive(Default)]
struct Actions(BTreeMap<String, Vec<Run>>);

/// All changes by the agent in these lines of `pacemaker.log`, of all nodes.
pub fn changes(lines: &[String]) -> Vec<Change> {
    let lines = sorted(lines);
    let actions = actions(&lines);
    let mut events: Vec<Event> = Vec::new();
    for event in (0..lines.len()).filter_map(|place| event(&lines, place, &actions)) {
        // Each node logs a change of an attribute; the writer's own is not always the first.
        let is_known = |known: &&Event| known.told == event.told && known.attribute == event.attribute;
        let mut recent = events.iter().rev().take_while(|known| known.at + SAID >= event.at);
        if event.attribute.is_none() || recent.find(is_known).is_none() {
            events.push(event);
        }
    }
    lines.iter().filter_map(|line| change(line, &events)).collect()
}

/// In the order of time. What the agent itself has logged there is from the time and node of the daemon's line before it.
fn sorted(lines: &[String]) -> Vec<Line<'_>> {
    let mut sorted: Vec<Line<'_>> = Vec::new();
    for text in lines {
        match (read(text), sorted.last()) {
            (Some(line), _) => sorted.push(line),
            (None, Some(Line { at, node, .. })) if text.starts_with(OWN) => sorted.push(Line { at: *at, node, text }),
            _ => {}
        }
    }
    sorted.sort_by_key(|line| line.at);
    sorted
}

/// `Nov 28 23:03:40.267 srv1 pacemaker-controld  [265] (function) TAB info: text`.
fn read(line: &str) -> Option<Line<'_>> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = line.split_whitespace();
    let (month, day, time, node) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let days =
        u64::try_from(MONTHS.find(month).filter(|_| month.len() == 3)? / 3).ok()? * 31 + day.parse::<u64>().ok()?;
    let (time, milliseconds) = time.split_once('.')?;
    let seconds = time.split(':').try_fold(0, |sum, part| Some(sum * 60 + part.parse::<u64>().ok()?))?;
    Some(Line { at: (days * 86_400 + seconds) * 1000 + milliseconds.parse::<u64>().ok()?, node, text: line })
}

/// What the executors have run. Monitors are missing: those are not logged.
fn actions(lines: &[Line<'_>]) -> Actions {
    let mut actions = Actions::default();
    // The coordinator's line may have the same time as the executor's of another node, and come later here.
    let notified = lines.iter().filter_map(|line| notification(line.text).map(|(host, kind)| (line.at, host, kind)));
    let notified: Vec<_> = notified.collect();
    let (begins, ends) = (format!("executing - rsc:{RESOURCE} action:"), format!(": {RESOURCE} "));
    for Line { at, node, text } in lines {
        let ran = actions.0.entry((*node).to_owned()).or_default();
        if text.contains("(main) \tnotice: Starting Pacemaker") {
            // What the power cut has ended.
            ran.iter_mut().for_each(|run| run.to = run.to.min(*at));
        } else if let Some((action, call)) = text.split_once(&begins).and_then(|(_, it)| it.split_once(" call_id:")) {
            let mut before = notified.iter().rev().filter(|(told, host, _)| host == node && told <= at);
            let action = before.next().filter(|_| action == "notify").map_or(action, |(.., kind)| kind).to_owned();
            ran.push(Run { call: call.trim().to_owned(), action, process: String::new(), from: *at, to: u64::MAX });
        } else if text.contains("(log_finished)")
            && let Some((_, rest)) = text.split_once(&ends)
            && let Some((call, rest)) = rest.split_once("(call ").and_then(|(_, it)| it.split_once(')'))
            && !rest.is_empty()
        {
            let (call, process) = call.split_once(", PID ").unwrap_or((call, ""));
            if let Some(run) = ran.iter_mut().rev().find(|run| run.call == call) {
                (run.to, run.process) = (run.to.min(*at), process.to_owned());
            }
        }
    }
    actions
}

/// `Initiating notify operation pgsqld:2_post_notify_start_0 on srv3 | action 59`: the node, and `post-notify start`.
fn notification(text: &str) -> Option<(&str, String)> {
    let (_, told) = text.split_once(&format!("Initiating notify operation {RESOURCE}"))?;
    let (operation, rest) = told.split_once("_0 ")?;
    let host = rest.split_once("on ")?.1.split_whitespace().next()?;
    let (moment, around) = operation.split_once("_notify_")?;
    Some((host, format!("{}-notify {around}", moment.rsplit('_').next()?)))
}

impl Actions {
    /// What ran then, in this process if it is known; a monitor if nothing else did.
    fn at(&self, node: &str, at: u64, late: u64, process: Option<&str>) -> &str {
        let ran = self.0.get(node).into_iter().flatten().rev();
        let mut ran = ran.filter(|run| run.from <= at && at <= run.to.saturating_add(late));
        ran.find(|run| process.is_none_or(|process| process == run.process)).map_or("monitor", |run| &run.action)
    }
}

/// What the daemons say of a change and of the node that it comes from.
fn event(lines: &[Line<'_>], place: usize, actions: &Actions) -> Option<Event> {
    let line = lines.get(place)?;
    let writer = |host: &str, words: &[&str], late| {
        // A notification may run while a monitor does, which says what it is about to do.
        let said = lines.get(..place).unwrap_or_default().iter().rev().take_while(|it| it.at + SAID >= line.at);
        let mut said = said.filter(|it| it.node == host && it.text.starts_with(OWN));
        let said = said.find(|it| words.iter().any(|words| it.text.contains(words)));
        let process = said.and_then(|it| it.text.split_once(")[")?.1.split_once("]: ")).map(|(process, _)| process);
        let action = actions.at(host, line.at, late, process);
        let is_unsure = process.is_none() && action.contains("-notify ");
        let action = if is_unsure { format!("monitor or {action}") } else { action.to_owned() };
        Writer { action, node: host.to_owned() }
    };
    if let Some((_, told)) = line.text.split_once("(update_attr_on_host) \tnotice: Setting ") {
        let (name, rest) = told.split_once('[')?;
        let (of, rest) = rest.split_once(']')?;
        let (change, host) = rest.rsplit_once(" | from ")?;
        let says = format!("promotion score of {of}: {} ", change.rsplit_once("-> ")?.1);
        let attribute = Some((name.to_owned(), of.to_owned()));
        let writer = writer(host.split_whitespace().next()?, &[&says, "becomes the candidate"], LATE);
        return Some(Event { at: line.at, attribute, told: told.to_owned(), writer });
    }
    let (_, told) = line.text.split_once("Forwarding cib_")?;
    let (_, origin) = told.split_once("for section crm_config to all (origin=")?;
    let (host, tool) = origin.split_once('/')?;
    let is_tool = ["crm_attribute/", "cibadmin/"].iter().any(|name| tool.starts_with(name));
    let says = ["record of promotions: ", "synchronous replication: ", " was stopped with "];
    if host != line.node || !is_tool {
        return None;
    }
    Some(Event { at: line.at, attribute: None, told: told.to_owned(), writer: writer(host, &says, 0) })
}

/// `Transition 5 aborted by status-1-master-pgsqld doing modify master-pgsqld=1001: ... complete=false`, or
/// `aborted by deletion of nvpair[@id='pgsqlms-pgsqlms-pgsqld-left-srv3']: ...`. The end of a long line is missing.
fn change(line: &Line<'_>, events: &[Event]) -> Option<Change> {
    let (level, told) = line.text.split_once("(abort_transition_graph) \t")?.1.split_once(": Transition ")?;
    let (transition, what) = told.split_once(" aborted by ")?;
    let id = what.split(&[' ', ']'][..]).find(|word| is_ours(word))?;
    let id = id.trim_start_matches("nvpair[@id=").trim_matches('\'');
    let attribute = id.strip_prefix("status-").and_then(|rest| rest.split_once('-'));
    let attribute = attribute.map(|(number, name)| (name.to_owned(), format!("srv{number}")));
    let mut before = events.iter().rev().filter(|event| event.at <= line.at);
    let writer = before.find(|event| event.attribute == attribute).map(|event| event.writer.clone());
    let has_stopped = level == "notice";
    Some(Change {
        transition: transition.parse().ok()?,
        is_amidst: has_stopped || what.contains("complete=false"),
        has_stopped,
        what: id.trim_start_matches("pgsqlms-pgsqlms-").to_owned(),
        writer,
    })
}

fn is_ours(word: &str) -> bool {
    let names = [&format!("master-{RESOURCE}"), "pgsqlms-", "lsn_location-"];
    names.iter().any(|name| word.contains(*name))
}

/// How many actions of this name the agent was asked for.
pub fn asked(lines: &[String], action: &str) -> usize {
    let words = format!("executing - rsc:{RESOURCE} action:{action} ");
    lines.iter().filter(|line| line.contains(&words)).count()
}

/// How long each start, stop, promotion and demotion of another resource has waited, in milliseconds, that Pacemaker began in the transition
/// after one that the agent had stopped: from the end of that one to the action.
pub fn waits(lines: &[String]) -> Vec<(String, u64)> {
    let lines = sorted(lines);
    // The transition that the agent has stopped, and when it was over.
    let (mut stopped, mut over, mut waits) = (None, None, Vec::new());
    for line in &lines {
        if let Some(change) = change(line, &[]).filter(|change| change.has_stopped) {
            stopped = Some(change.transition);
        } else if let Some((_, ended)) = line.text.split_once("(pcmk__execute_graph) \tnotice: Transition ") {
            let number = ended.split_whitespace().next().and_then(|number| number.parse().ok());
            over = stopped.filter(|stopped| Some(*stopped) == number).map(|_| line.at);
        } else if let (Some(over), Some((_, told))) = (over, line.text.split_once("\tnotice: Initiating "))
            && let Some(operation) = told.split_once(" operation ").and_then(|(_, it)| it.split_whitespace().next())
            && !operation.starts_with(RESOURCE)
            && ["_start_0", "_stop_0", "_promote_0", "_demote_0"].iter().any(|end| operation.ends_with(end))
        {
            waits.push((operation.to_owned(), line.at.saturating_sub(over)));
        }
    }
    waits
}

/// How often there is each, by writer and name: `promote: 3 x pgsqld-promotions, 2 of them stopped a transition`.
pub fn counted<'a>(changes: impl IntoIterator<Item = &'a Change>) -> String {
    let mut counts: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    for change in changes {
        let action = change.writer.as_ref().map_or("unknown", |writer| &writer.action);
        let (all, stopped) = counts.entry((action, &change.what)).or_default();
        *all += 1;
        *stopped += usize::from(change.has_stopped);
    }
    let count = |((action, what), (all, stopped)): (&(&str, &str), &(usize, usize))| match stopped {
        0 => format!("{action}: {all} x {what}"),
        stopped => format!("{action}: {all} x {what}, of which {stopped} stopped a transition"),
    };
    let counts: Vec<String> = counts.iter().map(count).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join("; ") }
}

#[cfg(test)]
mod tests;
