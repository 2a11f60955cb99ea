//! Reads configs from TOML. An error names the key's path.

use serde::de::DeserializeOwned;

use crate::ConfigError;

/// Parses TOML.
///
/// # Errors
/// If the text is not TOML, or a key is unknown, missing or of the wrong type. The error has the key's path.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    let syntax = |error| ConfigError::Syntax(one_line(&error));
    // In a page, by way of values: one reader of every config's type in the module instead of two.
    #[cfg(target_family = "wasm")]
    return from_value(toml::Value::Table(toml::from_str(text).map_err(syntax)?));
    // Elsewhere from the text, so that an error also has the line.
    #[cfg(not(target_family = "wasm"))]
    serde_path_to_error::deserialize(toml::Deserializer::parse(text).map_err(syntax)?).map_err(at_key)
}

/// Turns a TOML value into a config.
///
/// # Errors
/// Same as [`parse`].
pub fn from_value<T: DeserializeOwned>(value: toml::Value) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(value).map_err(at_key)
}

fn at_key(error: serde_path_to_error::Error<toml::de::Error>) -> ConfigError {
    let path = error.path().to_string();
    let mut problem = one_line(error.inner());
    // A word where a choice has values of its own: `adam` for `{ adam = {} }`.
    if problem.contains("unit variant, expected newtype variant")
        || problem.contains("unit variant, expected struct variant")
    {
        let word = path.rsplit('.').next().unwrap_or_default();
        problem = format!("`{word}` has values of its own: write `{{ {word} = … }}` (docs/config.md)");
    }
    ConfigError::key(if path == "." { "" } else { &path }, problem)
}

fn one_line(error: &toml::de::Error) -> String {
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    // The first line of the full message holds the line and column.
    let whole = error.to_string();
    match whole.lines().next().and_then(|line| line.strip_prefix("TOML parse error at ")) {
        Some(place) => format!("{message} ({place})"),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        inner: Inner,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        rate: f64,
        #[serde(default)]
        choice: Option<Choice>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Choice {
        Plain(f64),
    }

    #[test]
    fn an_error_names_the_key() {
        let read = parse::<Outer>("inner = { rate = 0.5, choice = { plain = 2.0 } }").unwrap().inner;
        assert_eq!((read.rate, read.choice), (0.5, Some(Choice::Plain(2.0))));
        for (text, expected) in [
            ("inner = { rate = 'x' }", "at `inner.rate`: invalid type"),
            ("inner = { rate = 1.0, raet = 2.0 }", "at `inner.raet`: unknown field `raet`"),
            ("inner = { }", "missing field `rate`"),
            ("inner = {", "not TOML: "),
            (
                "inner = { rate = 1.0, choice = 'plain' }",
                "at `inner.choice.plain`: `plain` has values of its own: write `{ plain =",
            ),
        ] {
            let error = parse::<Outer>(text).unwrap_err().to_string();
            assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
        }
    }
}
