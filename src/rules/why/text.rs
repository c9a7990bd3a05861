//! The explanation, for a terminal: ASCII, and at most 100 columns.

use super::forecast::{Loss, NoWinner};
use super::{Answer, Cause, Facts, Forecast, Found};
use crate::node::NodeName;
use crate::rules::overview::{Cure, Level, not_seen, plain, wrapped};

/// Where what a command costs begins.
const COSTS: usize = 50;

/// The whole explanation.
pub fn report(facts: &Facts, answer: &Answer) -> String {
    let mut lines = vec![title(facts)];
    lines.extend(match &answer.found {
        Found::Forecast(forecast) => described(forecast),
        Found::Cause(cause) if facts.gone.is_some() => {
            explained("FAIL    whether a node is the primary cannot be seen from here", cause)
        }
        Found::Cause(cause) => explained("FAIL    no node is promoted", cause),
        Found::IsPrimary(node) => vec![format!("OK      {node} is the primary")],
        Found::Barred(node, Some(primary), cause) => {
            explained(&format!("WARN    {primary} is the primary, and {node} would not be promoted after it"), cause)
        }
        Found::Barred(node, None, cause) => explained(&format!("FAIL    {node} is not promoted"), cause),
        Found::NoSuchNode(node) => {
            let known: Vec<&str> = answer.nodes.iter().map(|(node, ..)| node.as_str()).collect();
            vec![format!("UNKNOWN {node} is not a node of this cluster: {}", known.join(", "))]
        }
        Found::Several(nodes) => {
            let nodes: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
            vec![format!("FAIL    {} are primaries: see pgsqlms status", nodes.join(" and "))]
        }
        Found::Unseen(why) if answer.level == Level::Critical => {
            wrapped("FAIL    ", &format!("no node is promoted, and why cannot be seen: {why}"), 8)
        }
        Found::Unseen(why) => wrapped("UNKNOWN ", why, 8),
    });
    if !answer.nodes.is_empty() {
        lines.push(String::new());
        lines.extend(table(&answer.nodes));
    }
    if !answer.unseen.is_empty() {
        lines.push(String::new());
        lines.extend(not_seen(&answer.unseen));
    }
    lines.iter().map(|line| plain(line.trim_end())).collect::<Vec<_>>().join("\n")
}

fn title(facts: &Facts) -> String {
    match &facts.file {
        Some(file) => format!("{}  as in {file}", facts.seen.resource),
        None => format!("{}  seen from {}", facts.seen.resource, facts.seen.me),
    }
}

fn explained(what: &str, cause: &Cause) -> Vec<String> {
    let mut lines = vec![format!("{what}, because (cause {} of 13)", cause.number)];
    lines.extend(wrapped("  ", &cause.text, 2));
    lines.extend(helps(&cause.cures));
    lines
}

fn helps(cures: &[Cure]) -> Vec<String> {
    if cures.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["What helps, best first".to_owned()];
    for (number, cure) in cures.iter().enumerate() {
        let head = format!("  {}  {:<width$}  ", number + 1, cure.command, width = COSTS - 7);
        lines.extend(wrapped(&head, &cure.costs, COSTS));
    }
    lines
}

fn described(forecast: &Forecast) -> Vec<String> {
    let mut lines = vec![format!("If {} (primary) died now", forecast.primary)];
    let mut add = |text: &str| lines.extend(wrapped("  ", text, 2));
    match &forecast.winner {
        Err(NoWinner::Unseen(why)) => add(&format!("The node that would be promoted cannot be seen: {why}.")),
        Err(NoWinner::Cause(cause)) => {
            add(&format!("NO NODE would be promoted (cause {} of 13): {}.", cause.number, cause.text));
            lines.extend(helps(&cause.cures));
            return lines;
        }
        Ok(winner) => {
            let then: String = forecast.next.iter().map(|node| format!(", then {node}")).collect();
            add(&format!("{winner} would be promoted{then}."));
        }
    }
    match &forecast.loss {
        Some(Loss::Nothing(why)) => add(&format!("No acknowledged commit is lost: {why}.")),
        Some(Loss::Bytes(bytes, why)) => add(&format!("{bytes} B of WAL would be lost now: {why}.")),
        Some(Loss::Unknown(why)) => add(&format!("What would be lost: {why}.")),
        None => {}
    }
    add(&format!("{}.", forecast.outage));
    forecast.remarks.iter().for_each(|remark| add(remark));
    for (node, why) in &forecast.fails_without {
        add(&format!("It would fail if {node} were down as well: {why}."));
    }
    lines
}

fn table(nodes: &[(NodeName, String, String)]) -> Vec<String> {
    let width = |column: fn(&(NodeName, String, String)) -> usize, least: usize| {
        nodes.iter().map(column).max().unwrap_or(0).max(least)
    };
    let (names, scores) = (width(|row| row.0.as_str().chars().count(), 4), width(|row| row.1.chars().count(), 5));
    let indent = 2 + names + 2 + scores + 2;
    let mut lines = vec![format!("  {:<names$}  {:>scores$}  BECAUSE", "NODE", "SCORE")];
    for (node, score, because) in nodes {
        lines.extend(wrapped(&format!("  {:<names$}  {score:>scores$}  ", node.as_str()), because, indent));
    }
    lines
}
