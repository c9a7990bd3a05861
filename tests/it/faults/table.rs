//! Reading `table` and `elsewhere`.

use std::collections::BTreeSet;

use crate::run::repository;

/// One fault, on an instance of its own.
#[derive(Debug)]
pub(super) struct Case {
    /// Its label in the catalogue of faults, and its description.
    pub(super) title: String,
    /// The state of the instance before the fault.
    pub(super) role: String,
    /// The file system of its data directory.
    pub(super) place: String,
    /// Nothing but fencing helps.
    pub(super) fenced: bool,
    /// Its faults and calls of the agent, in order.
    pub(super) steps: Vec<Step>,
}

/// A step of a case.
#[derive(Debug)]
pub(super) enum Step {
    /// A fault, or its end.
    Inject(String),
    /// A call of the agent.
    Act(Act),
}

/// A call of the agent, and its expected result.
#[derive(Debug)]
pub(super) struct Act {
    pub(super) text: String,
    pub(super) action: String,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) meta: Vec<(String, String)>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) redirections: String,
    pub(super) codes: Vec<i32>,
    /// A part of its reason.
    pub(super) says: String,
    pub(super) after: After,
}

/// The processes of the instance that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Anything,
    /// No process.
    Gone,
    /// Processes.
    Runs,
    /// The postmaster that was there before.
    Same,
    /// Another postmaster.
    New,
}

impl Act {
    fn read(text: &str) -> Self {
        let cells: Vec<&str> = text.split(" | ").map(str::trim).collect();
        let [call, codes, says, after] = cells[..] else { panic!("four cells: {text}") };
        let mut words = call.split_whitespace();
        let mut act = Self {
            text: call.to_owned(),
            action: words.next().unwrap_or_default().to_owned(),
            parameters: Vec::new(),
            meta: Vec::new(),
            environment: Vec::new(),
            redirections: String::new(),
            codes: codes.split(" or ").map(|code| code.parse().unwrap()).collect(),
            says: says.trim_matches('-').to_owned(),
            after: match after {
                "-" => After::Anything,
                "gone" => After::Gone,
                "runs" => After::Runs,
                "same" => After::Same,
                "new" => After::New,
                other => panic!("{other}: {text}"),
            },
        };
        for word in words {
            let pair = word.split_once('=').map(|(name, value)| (name.to_owned(), value.replace('~', " ")));
            match (word.chars().next(), pair) {
                (Some('@'), Some((name, value))) => act.meta.push((name[1..].to_owned(), value)),
                (Some('$'), Some((name, value))) => act.environment.push((name[1..].to_owned(), value)),
                (_, Some(pair)) if !word.contains('>') => act.parameters.push(pair),
                _ => act.redirections.extend([" ", word]),
            }
        }
        act
    }

    /// The last value given for one of Pacemaker's own variables.
    pub(super) fn meta(&self, name: &str) -> Option<&str> {
        self.meta.iter().rfind(|(its, _)| its == name).map(|(_, value)| value.as_str())
    }
}

/// The lines of a file beside this one, without comments and empty lines.
fn lines(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository("tests/it/faults").join(file)).unwrap();
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// All cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in lines("table") {
        let Some(step) = line.strip_prefix("    ") else {
            let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
            let [label, role, fenced, what] = cells[..] else { panic!("four cells: {line}") };
            let (role, place) = role.split_once(" on ").unwrap_or((role, ""));
            cases.push(Case {
                title: format!("{label} {what}"),
                role: role.to_owned(),
                place: place.to_owned(),
                fenced: fenced == "fenced",
                steps: Vec::new(),
            });
            continue;
        };
        let step = match step.strip_prefix("! ") {
            Some(words) => Step::Inject(words.to_owned()),
            None => Step::Act(Act::read(step)),
        };
        cases.last_mut().unwrap().steps.push(step);
    }
    cases
}

/// The faults of one node that the catalogue knows: letters and their numbers.
const CATALOGUE: [(char, &[u32]); 6] = [
    ('A', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12]),
    ('B', &[1, 2, 3, 4, 5, 6, 8, 9]),
    ('C', &[1, 9, 10, 11, 12, 13, 14, 16, 17]),
    ('F', &[1, 2, 4, 5, 6, 7, 8, 9, 11, 12]),
    ('G', &[11, 12, 13, 19, 21, 22, 24, 27, 28]),
    ('H', &[1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 13, 14, 15, 16, 18, 19, 20, 21]),
];

#[test]
fn every_fault_of_one_node_is_here_or_it_is_said_where() {
    let label = |line: &str| line.split([' ', ':']).next().unwrap_or_default().to_owned();
    let here: BTreeSet<String> = cases().iter().map(|case| label(&case.title)).collect();
    let elsewhere: BTreeSet<String> = lines("elsewhere").iter().map(|line| label(line)).collect();
    let both: Vec<&String> = here.intersection(&elsewhere).collect();
    assert!(both.is_empty(), "here and elsewhere: {both:?}");
    for (letter, numbers) in CATALOGUE {
        for number in numbers {
            let label = format!("{letter}{number}");
            assert!(here.contains(&label) || elsewhere.contains(&label), "{label} is nowhere");
        }
    }
}
