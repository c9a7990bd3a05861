//! The pages, each under the name of its file.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use pgsqlms::metadata::{ACTIONS, LONG, SHORT};
use pgsqlms::operator;
use pgsqlms::parameters::{PARAMETERS, Unset};

/// The program, and what its pages belong to.
const NAME: &str = "pgsqlms";

/// The page of the agent, where distributions put those of resource agents.
const AGENT: &str = "ocf_rust_pgsqlms";

/// What a person reads besides, after the pages of the other commands.
const ELSEWHERE: [&str; 4] = ["ocf_rust_pgsqlms(7)", "crm_mon(8)", "crm_resource(8)", "pcs(8)"];

const OVERVIEW: &str = "pgsqlms is the resource agent ocf:rust:pgsqlms, with which Pacemaker runs PostgreSQL. Its commands for a \
    person look at the cluster, or change it when --yes is given. They find the resource by themselves where there is one.";

/// First looks, by what is seen.
const FIRST_LOOKS: [(&str, &str); 5] = [
    ("Is all well?", "pgsqlms status"),
    ("No node is promoted.", "pgsqlms why"),
    ("A node has diverged.", "pgsqlms rejoin, then pgsqlms rejoin --yes, on that node"),
    ("A node lacks WAL, or its data is damaged.", "pgsqlms rebuild, then pgsqlms rebuild --yes, on that node"),
    ("The last primary is lost for good.", "pgsqlms promote-anyway shows what would be lost"),
];

/// All of them.
pub(crate) fn all() -> Result<BTreeMap<String, Vec<u8>>> {
    let commands = operator::Command::all();
    let mut pages = BTreeMap::new();
    for command in &commands {
        let name = format!("{NAME}-{}", command.get_name());
        pages.insert(format!("man8/{name}.8"), of_command(command, &name, &commands)?);
    }
    pages.insert("man8/pgsqlms.8".to_owned(), overview(&commands)?);
    pages.insert("man7/ocf_rust_pgsqlms.7".to_owned(), of_agent(&commands)?);
    for (shell, name) in [(Shell::Bash, "pgsqlms.bash"), (Shell::Zsh, "_pgsqlms"), (Shell::Fish, "pgsqlms.fish")] {
        let mut program = Command::new(NAME).subcommands(commands.iter().map(whole));
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut program, NAME, &mut text);
        pages.insert(format!("completions/{name}"), text);
    }
    Ok(pages)
}

/// A command as it stands below `pgsqlms`. One that reads its arguments by itself says otherwise.
fn whole(command: &Command) -> Command {
    command.clone().no_binary_name(false)
}

fn of_command(command: &Command, name: &str, all: &[Command]) -> Result<Vec<u8>> {
    let shown = whole(command).bin_name(format!("pgsqlms {}", command.get_name()));
    let man = Man::new(shown.name(name.to_owned())).section("8").title(name.to_uppercase()).source(NAME).manual(NAME);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    page.extend(see_also(all, name).to_roff().into_bytes());
    Ok(page)
}

fn overview(commands: &[Command]) -> Result<Vec<u8>> {
    let mut page = Roff::new();
    section(&mut page, "SYNOPSIS");
    page.text([bold(NAME), roman(" "), italic("COMMAND"), roman(" ["), italic("OPTIONS"), roman("]")]);
    section(&mut page, "DESCRIPTION");
    page.text([roman(OVERVIEW)]);
    section(&mut page, "COMMANDS");
    for command in commands {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        term(&mut page, [bold(command.get_name())], &about);
    }
    section(&mut page, "FIRST LOOKS");
    for (seen, look) in FIRST_LOOKS {
        term(&mut page, [roman(seen)], look);
    }
    finished(NAME, "8", "Commands for PostgreSQL that Pacemaker runs", [page, see_also(commands, NAME)])
}

fn of_agent(commands: &[Command]) -> Result<Vec<u8>> {
    let mut page = Roff::new();
    section(&mut page, "SYNOPSIS");
    page.text([
        bold("pcs resource create"),
        roman(" "),
        italic("NAME"),
        roman(" ocf:rust:pgsqlms ["),
        italic("PARAMETER"),
        roman("="),
        italic("VALUE"),
        roman(" ...]"),
    ]);
    section(&mut page, "DESCRIPTION");
    for paragraph in LONG.trim().split("\n\n") {
        page.control("PP", []);
        page.text([roman(paragraph)]);
    }
    section(&mut page, "PARAMETERS");
    for parameter in &PARAMETERS {
        let unset = match parameter.unset {
            Unset::Default("") => "If unset: nothing.".to_owned(),
            Unset::Default(value) => format!("If unset: {value}."),
            Unset::Found(how) => format!("If unset: {how}."),
        };
        let change =
            if parameter.reloadable { "A change takes effect at once." } else { "A change restarts PostgreSQL." };
        term(&mut page, [bold(parameter.name)], &format!("{} {unset} {change}", parameter.long));
    }
    section(&mut page, "ACTIONS");
    for action in &ACTIONS {
        let repeated = action.repeated.map_or_else(String::new, |repeated| {
            format!(", every {} in the role {}", repeated.interval, repeated.role)
        });
        term(&mut page, [bold(action.name)], &format!("Timeout of at least {}{repeated}.", action.timeout));
    }
    finished(AGENT, "7", SHORT, [page, see_also(commands, AGENT)])
}

/// A page that describes no command: its head, and these parts.
fn finished<const N: usize>(
    name: &'static str,
    number: &str,
    about: &'static str,
    parts: [Roff; N],
) -> Result<Vec<u8>> {
    let head = Man::new(Command::new(name).about(about));
    let head = head.section(number).title(name.to_uppercase()).source(NAME).manual(NAME);
    let mut text = Vec::new();
    head.render_title(&mut text)?;
    head.render_name_section(&mut text)?;
    parts.iter().for_each(|part| text.extend(part.to_roff().into_bytes()));
    Ok(text)
}

fn section(page: &mut Roff, name: &str) {
    page.control("SH", [name]);
}

fn term<const N: usize>(page: &mut Roff, word: [Inline; N], meaning: &str) {
    page.control("TP", []);
    page.text(word);
    page.text([roman(meaning)]);
}

/// The other pages.
fn see_also(commands: &[Command], but: &str) -> Roff {
    let own = std::iter::once(format!("{NAME}(8)"))
        .chain(commands.iter().map(|command| format!("{NAME}-{}(8)", command.get_name())))
        .chain(ELSEWHERE.map(str::to_owned));
    let others: Vec<String> = own.filter(|page| page.split('(').next() != Some(but)).collect();
    let mut page = Roff::new();
    section(&mut page, "SEE ALSO");
    page.text([roman(others.join(", "))]);
    page
}
