//! The resource is deleted and created again, and then the data of all nodes is replaced by another database, both as the
//! pages about these jobs say: their commands are run on a node.

use anyhow::{Context, Result, ensure};
use lab::lab::RESOURCE;
use lab::{Lab, Node, progress, provision};

use crate::operator::{AGENT, report_divergence, wait_until_idle};
use crate::replication::{forget_failures, no_node_is_promoted};
use crate::trial::{Ending, LIMIT, Trial};

/// The pages that say so.
const PAGES: [&str; 3] = [
    include_str!("../../../docs/operate/delete-resource.md"),
    include_str!("../../../docs/operate/replace-data.md"),
    include_str!("../../../docs/first-cluster/pcs.md"),
];

pub fn play(lab: &Lab) -> Result<()> {
    let (trial, node) = (Trial::begin(lab)?, &lab.nodes()[0]);
    trial.fault("delete the resource and create it again", || {
        follow("deleted", node, |_| {
            let left = node.run(&["cibadmin", "--query"])?;
            let left = left.lines().find(|line| line.contains(&format!("pgsqlms-{RESOURCE}-promotions")));
            ensure!(left.is_none(), "it is still there: {left:?}");
            commands("pcs").filter(|command| is_about_the_resource(command)).try_for_each(|command| run(node, &command))
        })
    })?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    report_divergence(lab)?;
    trial.end(&Ending::default())?;

    follow("replaced", node, |step| match step {
        step if step.contains("Replace the data") => {
            lab.nodes().iter().try_for_each(|node| node.run(&["rm", "-rf", &node.pgdata()]).map(drop))?;
            provision::postgres(lab.layout(), lab.nodes())
        }
        step => no_node_is_promoted(lab, &[step.split_once(": ").context("no reason is named")?.1]),
    })?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    forget_failures(lab)?;
    wait_until_idle(node)?;
    Trial::begin(lab)?.end(&Ending::default())
}

/// The lines between the marks of this name, without the fence; continued lines are joined.
fn commands(name: &str) -> impl Iterator<Item = String> {
    let (begin, end) = (format!("<!-- {name} -->\n```sh\n"), format!("\n```\n<!-- /{name} -->"));
    let inside = |page: &&'static str| Some(page.split_once(&begin)?.1.split_once(&end)?.0);
    let section = PAGES.iter().find_map(inside).unwrap_or_default();
    section.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Runs a page's commands on a node; each comment is a step of its own.
fn follow(name: &str, node: &Node, step: impl Fn(&str) -> Result<()>) -> Result<()> {
    ensure!(commands(name).count() > 0, "no page has commands between the marks {name}");
    commands(name).try_for_each(|command| match command.strip_prefix('#') {
        Some(comment) => step(comment),
        None => run(node, &command),
    })
}

/// The shell of the person who reads them finds the agent by its name.
fn run(node: &Node, command: &str) -> Result<()> {
    progress::step(command);
    let Some(rest) = command.strip_prefix("pgsqlms ") else {
        return node.exec_within(LIMIT, &["sh", "-ec", command])?.ok().map(drop);
    };
    let argv: Vec<&str> = [AGENT].into_iter().chain(rest.split(' ')).collect();
    let output = node.exec_within(LIMIT, &argv)?.ok()?;
    progress::step(output.trim());
    ensure!(
        output.contains(if rest.contains("--yes") { "That is forgotten." } else { "Nothing has been done." }),
        "{output}"
    );
    Ok(())
}

/// Whether it is one of those that create the resource and its constraints.
fn is_about_the_resource(command: &str) -> bool {
    command.contains(RESOURCE) || command.starts_with("pcs cluster ")
}
