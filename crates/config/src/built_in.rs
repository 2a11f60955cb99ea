//! Files built into a program. They are selected by name, and other files by path.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{ConfigError, parse};

/// A TOML file built into a program.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// The name that selects the file.
    pub name: &'static str,
    /// The file's text.
    pub toml: &'static str,
}

/// Reads a built-in file by name, or another file by path. Messages call this kind of file `what`.
///
/// # Errors
/// If there is no such file, it cannot be read, or its content is invalid.
pub fn load<T: DeserializeOwned>(what: &str, built_in: &[BuiltIn], name: &str) -> Result<T, ConfigError> {
    if let Some(found) = built_in.iter().find(|file| file.name == name) {
        return parse(found.toml).map_err(|error| error.within(format!("{what} `{name}`")));
    }
    let path = Path::new(name);
    if path.extension().is_none() && path.components().count() <= 1 {
        let known = built_in.iter().map(|file| file.name.to_owned()).collect();
        return Err(ConfigError::Unknown { what: what.to_owned(), name: name.to_owned(), known });
    }
    let read = std::fs::read_to_string(path);
    let text =
        read.map_err(|source| ConfigError::Read { what: what.to_owned(), path: name.to_owned(), source })?;
    parse(&text).map_err(|error| error.within(name))
}

/// Checks that a name can be used for folders, jobs and links.
///
/// # Errors
/// If the name has characters other than letters, digits, `-`, `_` and `.`, or begins with a dot.
pub fn check_name(what: &str, name: &str) -> Result<(), ConfigError> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) {
        let problem =
            format!("the name of {what} `{name}` may contain only letters, digits, `-`, `_` and `.`");
        return Err(ConfigError::key("name", problem));
    }
    Ok(())
}
