//! `pgsqlms status`, read as a person does who has ten seconds: the first three lines, and the command in them.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::provision::on_all;
use lab::{Lab, Node, eventually, progress};

use crate::operator::{AGENT, wait_until_idle};
use crate::trial::{LIMIT, Trial};

/// How long an answer may take, and where all is well.
const WHOLE: Duration = Duration::from_secs(3);
const PROMPT: Duration = Duration::from_secs(1);

/// How long a command may take. Those of pcs wait for the cluster.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);

/// For so long a person tries again.
const RETRY: Duration = Duration::from_secs(20);

/// So many lines a person reads.
const READ: usize = 3;

/// As wide as a terminal may be.
const WIDTH: usize = 100;

/// Where a command begins.
const INDENT: &str = "          ";

/// What has to be done for a state, one after the other, at most.
const MOST: usize = 4;

/// What it printed.
pub struct Said {
    pub code: i32,
    pub lines: Vec<String>,
    pub took: Duration,
}

/// A state, by what the first lines must say of it.
pub struct State<'a> {
    /// The words.
    pub words: &'a str,
    /// The exit code.
    pub code: i32,
}

/// Where a package puts the command.
pub fn install(lab: &Lab) -> Result<()> {
    on_all(lab.nodes(), |node| node.run(&["ln", "-sfn", AGENT, "/usr/sbin/pgsqlms"]).map(drop))
}

/// Asks a node. It answers in time in every state, for every terminal.
pub fn status(node: &Node) -> Result<Said> {
    let began = Instant::now();
    let said = node.exec(&["pgsqlms", "status"])?;
    let took = began.elapsed();
    for line in said.stdout.lines() {
        ensure!(line.is_ascii() && line.len() <= WIDTH, "{}: {line:?}", line.len());
    }
    ensure!(took < WHOLE, "it took {:.1} s: {}", took.as_secs_f64(), said.stdout);
    Ok(Said { code: said.code, lines: said.stdout.lines().map(str::to_owned).collect(), took })
}

impl Said {
    /// All of it.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// Whether the first lines have these words.
    fn names(&self, words: &str) -> bool {
        self.lines.iter().take(READ).any(|line| line.contains(words))
    }

    /// The command that begins in the first lines, as it is copied to a shell, and the node on which it is to be run, if it says so.
    fn cure(&self) -> Result<(String, Option<String>)> {
        let begins = |line: &&String| line.starts_with(INDENT) && !line[INDENT.len()..].starts_with(' ');
        let first = self.lines.iter().take(READ).position(|line| begins(&line));
        let first = first.with_context(|| format!("the first {READ} lines have no command:\n{}", self.text()))?;
        let mut copied = String::new();
        for line in &self.lines[first..] {
            let (command, costs) = line.trim_start().split_once("  ").unwrap_or((line.trim(), ""));
            copied = format!("{copied} {command}").trim().to_owned();
            if !command.ends_with("&&") {
                let on = costs.trim().strip_prefix("on ").map(|rest| rest.split([':', ';']).next().unwrap_or_default());
                return Ok((copied, on.map(str::to_owned)));
            }
        }
        anyhow::bail!("a command without an end:\n{}", self.text())
    }
}

/// A healthy cluster is seen from this node: all of them, and promptly.
pub fn all_is_well(lab: &Lab, node: &Node) -> Result<()> {
    let said = eventually(LIMIT, &format!("status of {} to see all nodes", node.name()), || {
        let said = status(node)?;
        let text = said.text();
        ensure!(said.code == 0 && said.names("2 of 2 standbys stream"), "{}: {text}", said.code);
        for other in lab.nodes() {
            let row = said.lines.iter().find(|line| line.get(2..).is_some_and(|row| row.starts_with(other.name())));
            let row = row.with_context(|| format!("no row of {}: {text}", other.name()))?;
            ensure!(row.contains("0/") && !row.contains("NO WAL"), "{row}");
        }
        ensure!(!text.contains("not seen"), "{text}");
        ensure!(said.took < PROMPT, "it took {:.1} s", said.took.as_secs_f64());
        Ok(said)
    })?;
    progress::step(format!("seen from {} in {:.2} s", node.name(), said.took.as_secs_f64()));
    Ok(())
}

/// `asked` names the state and a command; the command is run, and what follows from it again, until all is well.
pub fn cured(trial: &Trial<'_>, asked: &Node, state: &State<'_>) -> Result<()> {
    let (words, code) = (state.words, state.code);
    let longest = Cell::new(Duration::ZERO);
    let ask = || {
        let said = status(asked)?;
        longest.set(longest.get().max(said.took));
        anyhow::Ok(said)
    };
    let mut said = eventually(LIMIT, &format!("status of {} to say `{words}`", asked.name()), || {
        let said: Said = ask()?;
        ensure!(said.names(words), "`{words}` is not in the first lines of:\n{}", said.text());
        ensure!(said.code == code, "the exit code is {}, not {code}:\n{}", said.code, said.text());
        said.cure()?;
        Ok(said)
    })?;
    for _ in 0..MOST {
        let (command, on) = said.cure()?;
        let on = on.map_or(Ok(asked), |name| {
            trial.lab.nodes().iter().find(|node| node.name() == name).with_context(|| format!("no node {name}"))
        })?;
        progress::step(format!("{}\n        on {}: {command}", said.lines[1], on.name()));
        // It may be refused while Pacemaker is at work, and says so.
        eventually(RETRY, &command, || on.exec_within(COMMAND_LIMIT, &["sh", "-c", &command])?.ok())?;
        wait_until_idle(asked)?;
        let before = kind(&said);
        said = eventually(LIMIT, &format!("`{}` to be over", said.lines[1]), || {
            let said: Said = ask()?;
            ensure!(kind(&said) != before, "{}", said.text());
            Ok(said)
        })?;
        if said.code == 0 {
            break;
        }
    }
    eventually(LIMIT, "all to be well", || {
        let said = ask()?;
        ensure!(said.code == 0, "{}", said.text());
        Ok(())
    })?;
    trial.lab.wait_for_primary(LIMIT, trial.lab.nodes().len() - 1)?;
    progress::step(format!("cured: {words} (status took {:.2} s at most)", longest.get().as_secs_f64()));
    Ok(())
}

/// The headline without what changes from one look to the next.
fn kind(said: &Said) -> String {
    let is_name = |word: &&str| !word.starts_with(|c: char| c.is_ascii_digit());
    said.lines.get(1).map(|line| line.split_whitespace().filter(is_name).collect()).unwrap_or_default()
}
