//! Generates `docs/commands.md` from the definitions of the arguments.

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory};

use crate::args::Cli;

/// Returns the help of an option or argument on one line: all its paragraphs, and the default last.
fn help(arg: &Arg) -> String {
    let text = |help: Option<&StyledStr>| help.map(ToString::to_string).unwrap_or_default();
    let (first, all) = (text(arg.get_help()), text(arg.get_long_help()));
    // The first paragraph names a default that is found when the command runs.
    let (first, default) = match first.split_once(" [default: ") {
        Some((first, default)) => (first, format!(" [default: {default}")),
        None => (first.as_str(), String::new()),
    };
    let more = all.split_once("\n\n").map_or(String::new(), |(_, more)| format!(". {more}"));
    let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = match arg.get_action().takes_values() && !values.is_empty() {
        true => format!(" [default: {}]", values.join(" ")),
        false => default,
    };
    format!("{first}{more}{default}").replace("\n\n", " ").replace('|', "\\|")
}

/// Returns the row of an option or argument.
fn row(arg: &Arg) -> String {
    let value = || {
        let names = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string);
        names.collect::<Vec<_>>().join(" ")
    };
    let name = match (arg.get_long(), arg.get_short()) {
        (Some(long), _) if arg.get_action().takes_values() => format!("--{long} {}", value()),
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) => format!("-{short} {}", value()),
        (None, None) => value(),
    };
    format!("| `{name}` | {} |\n", help(arg))
}

fn section(command: &Command, path: &str, page: &mut String) {
    let path = format!("{path} {}", command.get_name()).trim().to_owned();
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let args: Vec<&Arg> = command.get_arguments().filter(|arg| !arg.is_hide_set()).collect();
    if !args.is_empty() || !command.has_subcommands() {
        page.push_str(&format!("\n## `{path}`\n\n{}\n", about.trim()));
    }
    if !args.is_empty() {
        page.push_str("\n| | |\n|---|---|\n");
        // Positional arguments come first, as they are typed.
        let (named, plain): (Vec<&Arg>, Vec<&Arg>) =
            args.into_iter().partition(|arg| arg.get_long().is_some() || arg.get_short().is_some());
        plain.into_iter().chain(named).for_each(|arg| page.push_str(&row(arg)));
    }
    command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set())
        .for_each(|inner| section(inner, &path, page));
}

/// Returns the page.
pub(crate) fn page() -> String {
    let mut page = "# Commands\n\nWritten by `ALEXNET_BURN_WRITE=1 cargo test --workspace --lib -- commands_page` from the \
                    definitions of the\narguments; a test compares it.\n"
        .to_owned();
    section(&Cli::command(), "", &mut page);
    page
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_document_has_every_command_and_option() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md");
        let page = super::page();
        if std::env::var_os("ALEXNET_BURN_WRITE").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        let line = committed.lines().zip(page.lines()).position(|(one, other)| one != other);
        assert!(
            committed == page,
            "docs/commands.md differs at line {line:?}; ALEXNET_BURN_WRITE=1 writes it"
        );
    }
}
