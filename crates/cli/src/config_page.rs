//! Generates `docs/config.md` from the types that read the TOML files, with examples out of those that are built in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::args::ConfigKind;
use crate::config_schema::{Types, description};

/// A kind of file: its title, what it is, and a file with examples.
const KINDS: [(ConfigKind, &str, &str, &str); 6] = [
    (
        ConfigKind::Scale,
        "Scale",
        "A file of `experiments/scales`: network, data and recipe at one size.",
        include_str!("../../../experiments/scales/cifar10.toml"),
    ),
    (
        ConfigKind::Ablation,
        "Ablation",
        "A file of `experiments/ablations`: a question, its base and its arms. Base, source and arms take the keys of \
         [Arm](#arm).",
        include_str!("../../../experiments/ablations/depth.toml"),
    ),
    (
        ConfigKind::Network,
        "Network",
        "A file of `crates/model/presets`, or `network` in a resolved config. A file may also name another network as its `base` and change \
         it by `set`, `times`, `remove`, `after` and `before`, as an arm does.",
        include_str!("../../model/presets/alexnet-2012.toml"),
    ),
    (
        ConfigKind::DataSet,
        "Manifest",
        "A file of `datasets` (`config schema data-set`). Images of one's own need none.",
        include_str!("../../../datasets/fashion-mnist-held-out.toml"),
    ),
    (
        ConfigKind::Design,
        "Registration",
        "A file of `experiments/designs` (`config schema design`).",
        include_str!("../../../experiments/designs/fashion-lrn.toml"),
    ),
    (
        ConfigKind::Audit,
        "Audit",
        "A file of `experiments/audits`.",
        include_str!("../../../experiments/audits/paper.toml"),
    ),
];

/// The longest example that is shown.
const LONGEST: usize = 40;

/// Returns the page.
fn page() -> String {
    let mut page = "# Every key of every file\n\nWritten by `ALEXNET_BURN_WRITE=1 cargo test --workspace --lib -- config_page` from \
                    the types that read the files; a test\ncompares it. `experiments config show SCALE` prints a whole config \
                    with these texts, and `experiments config schema KIND` a JSON\nschema, with which an editor completes and \
                    checks a file (taplo: `#:schema FILE` in the first line). An unknown key is an error that\nnames its place. \
                    `--set recipe.batch_size=32` and the keys of arms are paths: layers by name, stages by kind\n\
                    (`network.conv.conv1.stages.lrn.alpha`).\n"
        .to_owned();
    let mut written = BTreeSet::new();
    for (kind, title, about, toml) in KINDS {
        let types = Types::of(kind);
        let example: Value = serde_json::to_value(toml::from_str::<toml::Table>(toml).unwrap()).unwrap();
        let mut examples = BTreeMap::new();
        collect(&types, title, types.root(), &example, &mut examples);
        page += &format!("\n## {title}\n\n{about}\n");
        let mut waiting = vec![(title.to_owned(), types.root())];
        while let Some((name, schema)) = waiting.pop() {
            if !written.insert(name.clone()) {
                continue;
            }
            if name != title {
                page += &format!("\n### {name}\n\n{}\n", cell(&description(schema)));
            }
            page += &match Types::keys(schema) {
                Some(_) => table(&types, &name, schema, &examples),
                None => values(&types, schema),
            };
            let mut found = referred(&types, schema);
            found.reverse();
            waiting.extend(found);
        }
    }
    // A resolved config has a key that no file has.
    let types = Types::of_run_config();
    let (name, initial) = types.inner(&Types::keys(types.root()).unwrap()["initial"]);
    let name = name.unwrap();
    page += &format!(
        "\n## {name}\n\nThe key `initial` of a resolved config (`config show`, run.json), which arms may set. {}\n",
        cell(&description(initial))
    );
    page += &table(&types, name, initial, &BTreeMap::new());
    page
}

/// Returns the table of a type's keys.
fn table(types: &Types, name: &str, schema: &Value, examples: &BTreeMap<(String, String), String>) -> String {
    let mut text = "\n| key | type | default | meaning | example |\n|---|---|---|---|---|\n".to_owned();
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (key, value) in Types::keys(schema).into_iter().flatten() {
        let default = match (&value["default"], required.contains(&key.as_str())) {
            (_, true) => "required".to_owned(),
            (Value::Null, _) => "may be left out".to_owned(),
            (Value::String(text), _) if text.is_empty() => "empty".to_owned(),
            (value @ Value::Object(_), _) => format!("`{}`", toml_text(value).replace("{  }", "{}")),
            (value, _) => format!("`{value}`"),
        };
        let example = examples.get(&(name.to_owned(), key.clone()));
        let example = example.map_or(String::new(), |example| format!("`{}`", cell(example)));
        text += &format!(
            "| `{key}` | {} | {default} | {} | {example} |\n",
            cell(&kind_of(types, value)),
            cell(&description(value)),
        );
    }
    text
}

/// Returns the list of a type's values: words, and tables with one key.
fn values(types: &Types, schema: &Value) -> String {
    let mut text = "\n| value | meaning |\n|---|---|\n".to_owned();
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        let meaning = cell(&description(one));
        let words = one["enum"].as_array().cloned().unwrap_or_else(|| vec![one["const"].clone()]);
        for word in words.iter().filter_map(Value::as_str) {
            text += &format!("| `\"{word}\"` | {meaning} |\n");
        }
        for (key, value) in Types::keys(one).into_iter().flatten() {
            let (name, inner) = types.inner(value);
            // A table that has no name of its own is described here.
            let inside = Types::keys(inner).filter(|_| name.is_none()).into_iter().flatten();
            let inside: Vec<String> = inside
                .map(|(key, value)| format!("`{key}`, {}: {}", kind_of(types, value), description(value)))
                .collect();
            let kind =
                if inside.is_empty() { format!(", {}", cell(&kind_of(types, value))) } else { String::new() };
            text += &format!(
                "| `{{ {key} = … }}`{kind} | {meaning}{}{} |\n",
                if inside.is_empty() { "" } else { " " },
                cell(&inside.join(" ")),
            );
        }
    }
    for word in schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        text += &format!("| `\"{word}\"` | |\n");
    }
    text
}

/// Returns a type in words.
fn kind_of(types: &Types, schema: &Value) -> String {
    let any = schema["anyOf"].as_array().filter(|any| any.iter().all(|one| one["type"] != "null"));
    if let Some(any) = any {
        return any.iter().map(|one| kind_of(types, one)).collect::<Vec<_>>().join(" or ");
    }
    let (name, inner) = types.inner(schema);
    let list = schema["type"] == "array";
    let one = match (name, plain(inner)) {
        (Some(name), _) => format!("[{name}](#{})", name.to_lowercase()),
        (None, "object") if Types::keys(inner).is_some() => "table".to_owned(),
        (None, "object") => "table of values by key".to_owned(),
        (None, plain) => plain.to_owned(),
    };
    if list { format!("list of {one}") } else { one }
}

/// Returns the kind of a plain value.
fn plain(schema: &Value) -> &str {
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").unwrap_or(&Value::Null),
        kind => kind,
    };
    match kinds.as_str() {
        Some("integer") => "whole number",
        Some("string") => "text",
        Some("boolean") => "true or false",
        Some(other) => other,
        None => "value",
    }
}

/// Returns the types that a type refers to, in order.
fn referred<'a>(types: &'a Types, schema: &'a Value) -> Vec<(String, &'a Value)> {
    let keys = Types::keys(schema).into_iter().flatten();
    let variants = schema["oneOf"].as_array().into_iter().flatten().filter_map(Types::keys).flatten();
    let all = keys.chain(variants).flat_map(|(_, value)| {
        let values = value["additionalProperties"].is_object().then_some(&value["additionalProperties"]);
        [Some(value), values].into_iter().flatten()
    });
    all.filter_map(|value| match types.inner(value) {
        (Some(name), found) => Some((name.to_owned(), found)),
        (None, _) => None,
    })
    .collect()
}

/// Collects the first example of each key of each type.
fn collect(
    types: &Types,
    name: &str,
    schema: &Value,
    value: &Value,
    found: &mut BTreeMap<(String, String), String>,
) {
    for (key, schema) in Types::keys(schema).into_iter().flatten() {
        let Some(value) = value.get(key) else { continue };
        let text = toml_text(value);
        if text.chars().count() <= LONGEST {
            found.entry((name.to_owned(), key.clone())).or_insert(text);
        }
        let (inner, schema) = types.inner(schema);
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            collect(types, inner.unwrap_or(name), schema, value, found);
        }
    }
    // A variant that is written as a table with one key.
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        for (key, schema) in Types::keys(one).into_iter().flatten() {
            if let (Some(value), (Some(inner), schema)) = (value.get(key), types.inner(schema)) {
                collect(types, inner, schema, value, found);
            }
        }
    }
}

/// Returns a value as TOML writes it inline.
fn toml_text(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let pairs = table.iter().map(|(key, value)| {
                let plain = key.chars().all(|letter| letter.is_alphanumeric() || "-_".contains(letter));
                let key = if plain { key.clone() } else { format!("\"{key}\"") };
                format!("{key} = {}", toml_text(value))
            });
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace("[`", "`").replace("`]", "`")
}

#[test]
fn the_document_has_every_key() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.md");
    let page = page();
    if std::env::var_os("ALEXNET_BURN_WRITE").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let line = committed.lines().zip(page.lines()).position(|(one, other)| one != other);
    assert!(committed == page, "docs/config.md differs at line {line:?}; ALEXNET_BURN_WRITE=1 writes it");
    for key in ["weight_std", "every_steps", "held_out", "pilot_sd", "frozen_from", "divide_by"] {
        assert!(page.contains(&format!("| `{key}` |")), "no {key}");
    }
    assert!(page.contains("`final_share`, number: "), "the keys of a variant without a name");
}
