//! The JSON schemas of the TOML files, from the types that read them.

use alexnet_data::Manifest;
use alexnet_model::Network;
use alexnet_study::{Ablation, Audit, Registration, Scale};
use alexnet_train::RunConfig;
use schemars::{Schema, schema_for};
use serde_json::{Map, Value};

use crate::args::ConfigKind;

/// Returns the schema of a kind of file.
pub(crate) fn schema(kind: ConfigKind) -> Schema {
    match kind {
        ConfigKind::Scale => schema_for!(Scale),
        ConfigKind::Ablation => schema_for!(Ablation),
        ConfigKind::Network => schema_for!(Network),
        ConfigKind::DataSet => schema_for!(Manifest),
        ConfigKind::Design => schema_for!(Registration),
        ConfigKind::Audit => schema_for!(Audit),
    }
}

/// A schema with the types that it refers to.
pub(crate) struct Types {
    root: Value,
}

impl Types {
    /// The types of a resolved config.
    pub(crate) fn of_run_config() -> Self {
        Self { root: schema_for!(RunConfig).to_value() }
    }

    /// The types of a kind of file.
    #[cfg(test)]
    pub(crate) fn of(kind: ConfigKind) -> Self {
        Self { root: schema(kind).to_value() }
    }

    /// Returns the outermost type.
    pub(crate) fn root(&self) -> &Value {
        &self.root
    }

    /// Follows references, options and lists to the type that describes keys or values. Returns its name, if it has one.
    pub(crate) fn inner<'a>(&'a self, mut schema: &'a Value) -> (Option<&'a str>, &'a Value) {
        let mut name = None;
        loop {
            let next = reference(schema)
                .map(|found| {
                    name = Some(found);
                    &self.root["$defs"][found]
                })
                .or_else(|| optional(schema))
                .or_else(|| (schema["type"] == "array").then_some(&schema["items"]));
            match next {
                Some(next) => schema = next,
                None => return (name, schema),
            }
        }
    }

    /// Returns the keys of a table with their schemas.
    pub(crate) fn keys(schema: &Value) -> Option<&Map<String, Value>> {
        schema["properties"].as_object()
    }

    /// Returns the type at a path of keys, if the path exists. Names of list elements are not part of it.
    pub(crate) fn at<'a>(&'a self, path: &[&str]) -> Option<&'a Value> {
        let mut schema = self.root();
        for part in path {
            let (_, inner) = self.inner(schema);
            schema = match Self::keys(inner) {
                Some(keys) => keys.get(*part)?,
                None => variant(inner, part)?,
            };
        }
        Some(self.inner(schema).1)
    }
}

/// Returns the name of the type that a schema refers to.
fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/$defs/")
}

/// Returns the type of an optional value.
fn optional(schema: &Value) -> Option<&Value> {
    let any = schema["anyOf"].as_array()?;
    let mut present = any.iter().filter(|one| one["type"] != "null");
    present.next().filter(|_| present.next().is_none())
}

/// Returns the value of a variant that is written as a table with one key.
fn variant<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema["oneOf"].as_array()?.iter().find_map(|one| Types::keys(one)?.get(name))
}

/// Returns a description as one line.
pub(crate) fn description(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
