//! Changes to a config by dotted key. An arm consists of such changes.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Value;

use crate::ConfigError;

/// A small change to a config. Keys are dotted paths. In a list, a path component is the `name` of a layer or
/// the kind of a stage: `network.conv.conv1.stages.lrn.alpha`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Diff {
    /// Elements to remove from the list that holds them.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Elements to insert into a list, each right after the element that its key names.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub after: BTreeMap<String, Value>,
    /// Elements to insert into a list, each right before the element that its key names.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub before: BTreeMap<String, Value>,
    /// New values by key.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub set: BTreeMap<String, Value>,
    /// Factors that multiply the values, by key.
    #[serde(default)]
    pub times: BTreeMap<String, f64>,
}

impl Diff {
    /// Applies the changes to `config`.
    ///
    /// # Errors
    /// If a path does not exist.
    pub fn apply(&self, config: &mut Value) -> Result<(), ConfigError> {
        for path in &self.remove {
            let (list, at) = element(config, path)?;
            list.remove(at);
        }
        for (path, value) in &self.after {
            let (list, at) = element(config, path)?;
            list.insert(at + 1, value.clone());
        }
        for (path, value) in &self.before {
            let (list, at) = element(config, path)?;
            list.insert(at, value.clone());
        }
        for (path, value) in &self.set {
            *find(config, path)? = value.clone();
        }
        for (path, &factor) in &self.times {
            multiply(find(config, path)?, factor).map_err(|error| error.within(format!("`{path}`")))?;
        }
        Ok(())
    }

    /// Adds one `--set key=value`. A value that is not TOML is read as a string.
    pub fn parse_set(&mut self, text: &str) -> Result<(), ConfigError> {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            changed_not(format!("`{text}` is no key=value, e.g. recipe.learning_rate=0.02"))
        })?;
        let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"))
            .ok()
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| Value::String(value.trim().to_owned()));
        self.set.insert(key.trim().to_owned(), parsed);
        Ok(())
    }
}

fn changed_not(problem: String) -> ConfigError {
    ConfigError::Change(problem)
}

/// Converts a config to a TOML value.
///
/// # Errors
/// If TOML cannot represent it.
pub(crate) fn to_value(config: &impl Serialize) -> Result<Value, ConfigError> {
    Value::try_from(config).map_err(|error| changed_not(format!("a config that TOML cannot hold: {error}")))
}

/// Returns what `part` of `value` names: an entry of a table or an element of a list.
fn step<'a>(value: &'a mut Value, part: &str) -> Option<&'a mut Value> {
    match value {
        Value::Table(table) => table.get_mut(part),
        Value::Array(list) => {
            let at = position(list, part)?;
            let element = &mut list[at];
            // A stage is written `{ lrn = { … } }`; the path continues inside it.
            let stage = element.as_table().is_some_and(|table| !table.contains_key("name"));
            if stage { element.get_mut(part) } else { Some(element) }
        }
        _ => None,
    }
}

fn position(list: &[Value], part: &str) -> Option<usize> {
    list.iter().position(|element| match element {
        Value::String(text) => text == part,
        Value::Table(table) => match table.get("name") {
            Some(name) => name.as_str() == Some(part),
            None => table.contains_key(part),
        },
        _ => false,
    })
}

fn names(value: &Value) -> String {
    let names: Vec<&str> = match value {
        Value::Table(table) => table.keys().map(String::as_str).collect(),
        Value::Array(list) => list
            .iter()
            .filter_map(|element| match element {
                Value::String(text) => Some(text.as_str()),
                Value::Table(table) => match table.get("name") {
                    Some(name) => name.as_str(),
                    None => table.keys().next().map(String::as_str),
                },
                _ => None,
            })
            .collect(),
        _ => return "a plain value, with nothing inside".to_owned(),
    };
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.join(", "),
    }
}

fn find<'a>(config: &'a mut Value, path: &str) -> Result<&'a mut Value, ConfigError> {
    let mut at = config;
    let mut walked = String::new();
    for part in path.split('.') {
        // Look it up twice, since the borrow checker cannot see that a failure returns.
        if step(at, part).is_none() {
            let place = if walked.is_empty() { "the config".to_owned() } else { format!("`{walked}`") };
            return Err(changed_not(format!(
                "unknown key `{path}`: {place} has no `{part}`; it has {}",
                names(at)
            )));
        }
        walked = if walked.is_empty() { part.to_owned() } else { format!("{walked}.{part}") };
        at = step(at, part).ok_or_else(|| changed_not(format!("unknown key `{path}`")))?;
    }
    Ok(at)
}

/// Returns the list that holds the last component of a path, and the index of that element in it.
fn element<'a>(config: &'a mut Value, path: &str) -> Result<(&'a mut Vec<Value>, usize), ConfigError> {
    let (parent, last) =
        path.rsplit_once('.').ok_or_else(|| changed_not(format!("`{path}` is not in a list")))?;
    let Value::Array(list) = find(config, parent)? else {
        return Err(changed_not(format!("`{path}` is no element of a list: `{parent}` is not one")));
    };
    match position(list, last) {
        Some(at) => Ok((list, at)),
        None => Err(changed_not(format!(
            "unknown key `{path}`: `{parent}` has no `{last}`; it has {}",
            names(&Value::Array(list.clone()))
        ))),
    }
}

fn multiply(value: &mut Value, factor: f64) -> Result<(), ConfigError> {
    *value = match value {
        Value::Float(number) => Value::Float(*number * factor),
        Value::Integer(number) => {
            let product = *number as f64 * factor;
            if product.fract() != 0.0 {
                return Err(changed_not(format!("{number} times {factor} is not a whole number")));
            }
            Value::Integer(product as i64)
        }
        _ => return Err(changed_not("is not a number and cannot be multiplied".to_owned())),
    };
    Ok(())
}

/// Returns the differences between two configs, by key.
pub fn differences(one: &impl Serialize, other: &impl Serialize) -> Result<Vec<Difference>, ConfigError> {
    let (one, other) = (plain_values(one)?, plain_values(other)?);
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let different: Vec<&String> = names.into_iter().filter(|key| one.get(*key) != other.get(*key)).collect();
    let mut found = Vec::new();
    for &key in &different {
        // If only one config has a stage, the values inside the stage are not listed.
        let stages = key.find(".stages.").map(|at| key[..at + ".stages".len()].to_owned());
        let alone = one.contains_key(key) != other.contains_key(key);
        if alone && stages.is_some_and(|stages| different.contains(&&stages)) {
            continue;
        }
        found.push(Difference { key: key.clone(), values: [one.get(key).cloned(), other.get(key).cloned()] });
    }
    Ok(found)
}

/// Returns the plain values of a config by dotted key.
pub fn plain_values(config: &impl Serialize) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut found = BTreeMap::new();
    flatten("", &to_value(config)?, &mut found);
    Ok(found)
}

/// A key whose value differs between two configs, with both values.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// The dotted key.
    pub key: String,
    values: [Option<String>; 2],
}

impl Difference {
    /// A difference in a key that both configs have.
    pub fn new(key: &str, one: impl ToString, other: impl ToString) -> Self {
        Self { key: key.to_owned(), values: [Some(one.to_string()), Some(other.to_string())] }
    }

    /// The difference as one human-readable line.
    pub fn text(&self) -> String {
        let [one, other] = self.values.each_ref().map(|value| value.as_deref().unwrap_or("-"));
        format!("{:<44} {one}  →  {other}", self.key)
    }
}

/// Collects plain values by dotted key: layers by name, and a layer's stages by kind (`lrn`, `lrn#2`). Both
/// are also kept as a list, since their order matters.
fn flatten(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    let inside = |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
    match value {
        Value::Table(table) => table.iter().for_each(|(key, value)| flatten(&inside(key), value, found)),
        Value::Array(list) if list.iter().any(|element| element.get("name").is_some()) => {
            let name =
                |element: &Value| element.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            found.insert(path.to_owned(), list.iter().map(name).collect::<Vec<_>>().join(", "));
            list.iter().for_each(|element| flatten(&inside(&name(element)), element, found));
        }
        Value::Array(list) if path.ends_with("stages") => {
            let stages = list.iter().filter_map(|stage| match stage {
                Value::Table(table) => {
                    table.iter().next().map(|(kind, inside)| (kind.as_str(), Some(inside)))
                }
                other => other.as_str().map(|kind| (kind, None)),
            });
            let stages: Vec<(&str, Option<&Value>)> = stages.collect();
            let kinds: Vec<&str> = stages.iter().map(|(kind, _)| *kind).collect();
            found.insert(path.to_owned(), kinds.join(", "));
            for (at, (kind, inner)) in stages.iter().enumerate() {
                let Some(inner) = inner else { continue };
                match kinds[..at].iter().filter(|before| *before == kind).count() {
                    0 => flatten(&inside(kind), inner, found),
                    before => flatten(&inside(&format!("{kind}#{}", before + 1)), inner, found),
                }
            }
        }
        _ => {
            found.insert(path.to_owned(), value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Value {
        let text = r#"
            rate = 0.5
            [[conv]]
            name = "conv1"
            filters = 16
            stages = ["activation", { lrn = { k = 2.0 } }, { dropout = 0.5 }]
        "#;
        Value::Table(toml::from_str(text).unwrap())
    }

    fn applied(text: &str) -> Result<Value, ConfigError> {
        let diff: Diff = toml::from_str(text).unwrap();
        let mut config = config();
        diff.apply(&mut config).map(|()| config)
    }

    #[test]
    fn paths_reach_into_tables_and_lists() {
        let changed = applied(
            r#"
            remove = ["conv.conv1.stages.activation"]
            set = { "rate" = 1.0, "conv.conv1.stages.lrn.k" = 1.0, "conv.conv1.stages.dropout" = 0.2 }
            times = { "conv.conv1.filters" = 0.5 }
            "#,
        );
        let changed = changed.unwrap();
        assert_eq!(changed["rate"].as_float(), Some(1.0));
        assert_eq!(changed["conv"][0]["filters"].as_integer(), Some(8));
        assert_eq!(changed["conv"][0]["stages"][0]["lrn"]["k"].as_float(), Some(1.0));
        assert_eq!(changed["conv"][0]["stages"][1]["dropout"].as_float(), Some(0.2));
        let longer = applied(r#"after = { "conv.conv1.stages.lrn" = "activation" }"#).unwrap();
        assert_eq!(longer["conv"][0]["stages"][2].as_str(), Some("activation"));
    }

    #[test]
    fn a_wrong_path_says_what_is_there() {
        for (text, expected) in [
            (r#"set = { "raet" = 1 }"#, "`raet`; it has conv, rate"),
            (r#"set = { "conv.conv2.filters" = 1 }"#, "`conv2`; it has conv1"),
            (r#"remove = ["conv.conv1.stages.max-pool"]"#, "it has activation, lrn, dropout"),
            (r#"remove = ["conv.conv1.filters"]"#, "is not one"),
            (r#"after = { "conv.conv2" = {} }"#, "`conv2`; it has conv1"),
            (r#"times = { "conv.conv1.filters" = 0.3 }"#, "not a whole number"),
        ] {
            let error = applied(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_order_of_layers_and_the_second_stage_of_a_kind_are_differences() {
        let differences = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|text| toml::from_str::<toml::Table>(text).unwrap());
            let found = super::differences(&one, &other).unwrap();
            found.into_iter().map(|difference| difference.key).collect::<Vec<_>>()
        };
        let stages =
            |k: u8| format!("[[conv]]\nname = 'a'\nstages = [{{lrn = {{k = 2}}}}, {{lrn = {{k = {k}}}}}]");
        assert_eq!(differences(&stages(2), &stages(9)), ["conv.a.stages.lrn#2.k"]);
        let layers = |one: &str, other: &str| format!("conv = [{{name = '{one}'}}, {{name = '{other}'}}]");
        assert_eq!(differences(&layers("a", "b"), &layers("b", "a")), ["conv"]);
    }

    #[test]
    fn set_takes_toml_or_bare_words() {
        let mut diff = Diff::default();
        for text in ["a=1", "b = 0.5", "c=tanh", "d=[1, 2]"] {
            diff.parse_set(text).unwrap();
        }
        let values: Vec<String> = diff.set.values().map(Value::to_string).collect();
        assert_eq!(values, ["1", "0.5", "\"tanh\"", "[1, 2]"]);
        assert!(diff.parse_set("a").is_err());
    }
}
