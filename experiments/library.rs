//! The TOML files that are built into the binary, and reading TOML.

use std::path::{Path, PathBuf};

use alexnet_data::Manifest;
use anyhow::{Context, Result, anyhow, bail};
use serde::de::DeserializeOwned;

/// A file built into the binary.
pub(crate) struct BuiltIn {
    pub(crate) name: &'static str,
    pub(crate) toml: &'static str,
}

macro_rules! built_in {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(BuiltIn { name: $name, toml: include_str!(concat!($folder, "/", $name, ".toml")) }),+]
    };
}

pub(crate) const ABLATIONS: &[BuiltIn] = built_in!("ablations":
    "lrn", "activation", "pooling", "towers", "dropout", "augmentation", "depth", "views", "fine-print", "normalization",
    "weight-decay", "biases", "transfer");

pub(crate) const SCALES: &[BuiltIn] = built_in!("scales":
    "mini", "cifar10", "cifar10-80sec", "cifar10-19pct", "cifar10-18pct", "cifar10-conv-local-13pct",
    "cifar10-conv-local-11pct", "tiny-imagenet", "imagenet");

pub(crate) const DATA_SETS: &[BuiltIn] = built_in!("../datasets":
    "fashion-mnist-mini", "fashion-mnist", "cifar10", "cifar100", "tiny-imagenet-200", "imagenet");

/// The built-in networks.
pub(crate) fn presets() -> Vec<BuiltIn> {
    alexnet_model::presets::ALL
        .iter()
        .map(|preset| BuiltIn { name: preset.name, toml: preset.toml })
        .collect()
}

/// The text of a built-in file, or of the file at a path; with what to call it in a message.
fn text(what: &str, built_in: &[BuiltIn], name: &str) -> Result<(String, String)> {
    if let Some(found) = built_in.iter().find(|file| file.name == name) {
        return Ok((found.toml.to_owned(), format!("{what} `{name}`")));
    }
    let path = Path::new(name);
    if path.extension().is_some() || path.components().count() > 1 {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {what} {name}"))?;
        return Ok((text, name.to_owned()));
    }
    let names: Vec<&str> = built_in.iter().map(|file| file.name).collect();
    bail!("there is no {what} `{name}`; choose one of {}, or give the path of a TOML file", names.join(", "))
}

/// Reads a built-in file by name, or one's own by path.
pub(crate) fn load<T: DeserializeOwned>(what: &str, built_in: &[BuiltIn], name: &str) -> Result<T> {
    let (text, origin) = text(what, built_in, name)?;
    parse(&text).with_context(|| origin)
}

/// A name that folders, job names and links can hold.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) {
        bail!("at `name`: {what} `{name}` may have letters, digits, `-`, `_` and `.` alone in its name");
    }
    Ok(())
}

/// Parses TOML; an error names the key's path.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    let deserializer =
        toml::Deserializer::parse(text).map_err(|error| anyhow!("not TOML: {}", one_line(&error)))?;
    serde_path_to_error::deserialize(deserializer).map_err(at_key)
}

/// Turns a TOML value into a config; an error names the key's path.
pub(crate) fn from_value<T: DeserializeOwned>(value: toml::Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(at_key)
}

fn at_key(error: serde_path_to_error::Error<toml::de::Error>) -> anyhow::Error {
    let path = error.path().to_string();
    let message = one_line(error.inner());
    if path == "." { anyhow!("{message}") } else { anyhow!("at `{path}`: {message}") }
}

fn one_line(error: &toml::de::Error) -> String {
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    // Where it is, the first line of the whole message says.
    let whole = error.to_string();
    match whole.lines().next().and_then(|line| line.strip_prefix("TOML parse error at ")) {
        Some(place) => format!("{message} ({place})"),
        None => message,
    }
}

/// A data set's manifest.
pub(crate) fn manifest(name: &str) -> Result<Manifest> {
    let manifest: Manifest = load("data set", DATA_SETS, name)?;
    check_name("data set", &manifest.name)?;
    Ok(manifest)
}

/// Where data sets are looked for: the repository's `datasets`, then where `data fetch` puts them.
pub(crate) fn data_folders() -> Vec<PathBuf> {
    // The binary may have been moved away from the repository, or be run from elsewhere.
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets"), PathBuf::from("datasets")];
    if let Ok(program) = std::env::current_exe() {
        folders.extend(program.ancestors().skip(1).map(|folder| folder.join("datasets")));
    }
    folders.push(fetched());
    folders
}

/// Where `data fetch` puts data sets.
pub(crate) fn fetched() -> PathBuf {
    if let Some(folder) = std::env::var_os("ALEXNET_BURN_DATA") {
        return folder.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("alexnet-burn")
}

/// The folder or archive of a data set, if it is here.
pub(crate) fn find_data(manifest: &Manifest) -> Option<PathBuf> {
    let folders = data_folders().into_iter().map(|folder| folder.join(&manifest.name));
    let mut folders = folders.filter(|folder| folder.is_dir());
    let folder = folders.find(|folder| {
        let complete = |file: &alexnet_data::RemoteFile| folder.join(&file.name).is_file();
        manifest.files.iter().all(complete)
    })?;
    // One archive is the data set; several files are a folder of them.
    match manifest.files.as_slice() {
        [archive] => Some(folder.join(&archive.name)),
        _ => Some(folder),
    }
}
