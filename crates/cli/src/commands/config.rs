//! `experiments config`: a resolved config with the meaning of its keys, and JSON schemas.

use std::collections::BTreeSet;

use alexnet_study::{Scale, whole};
use anyhow::Result;

use crate::args::ConfigCommand;
use crate::config_schema::{Types, description, schema};
use crate::environment::changes;
use crate::output::{print, put};
use crate::program::program;

/// `experiments config`.
pub(crate) fn config(command: &ConfigCommand) -> Result<()> {
    match command {
        ConfigCommand::Schema { kind } => print(&serde_json::to_string_pretty(&schema(*kind))?),
        ConfigCommand::Show { scale, epochs, changes: changed } => {
            let scale = Scale::load(program().scales, scale)?.with_epochs(*epochs);
            let config = scale.config(&changes(changed)?)?;
            put(&explained(&toml::to_string_pretty(&whole(&config)?)?));
        }
    }
    Ok(())
}

/// Puts the description of each key above its first occurrence.
fn explained(toml: &str) -> String {
    let types = Types::of_run_config();
    let (mut text, mut table, mut seen) = (String::new(), Vec::new(), BTreeSet::new());
    for line in toml.lines() {
        let name = line.trim_start_matches('[').trim_end_matches(']');
        if line.starts_with('[') && !name.contains(['"', ',', ' ']) {
            table = name.split('.').collect();
        } else if let Some((key, _)) = line.split_once(" = ")
            && let Some(found) = types.at(&table).and_then(Types::keys).and_then(|keys| keys.get(key))
        {
            let meaning = description(found);
            if seen.insert((table.clone(), key)) && !meaning.is_empty() {
                text += &commented(&meaning);
            }
        }
        text += line;
        text.push('\n');
    }
    text
}

/// Returns a text as lines of comment of at most 100 columns.
fn commented(text: &str) -> String {
    let mut lines = vec!["#".to_owned()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < 100 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("# {word}")),
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_explained_once_and_the_config_stays_the_same() {
        let toml = "[network]\nname = \"a\"\n\n[[network.conv]]\nkernel = 3\nstages = [\n    \"activation\",\n]\n\n\
                    [[network.conv]]\nkernel = 5\n\n[recipe.training_error]\nstop_at = 0.5\n";
        let text = explained(toml);
        for line in [
            "# Side of a kernel in pixels.\nkernel = 3",
            "# The stages applied to the maps, in order.\nstages = [",
        ] {
            assert_eq!(text.matches(line).count(), 1, "{line} in {text}");
        }
        assert!(
            text.contains("\n\n[[network.conv]]\nkernel = 5") && text.contains("ends; 0 for never"),
            "{text}"
        );
        let back: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(back, toml::from_str(toml).unwrap());
        assert!(text.lines().all(|line| line.chars().count() <= 100));
    }
}
