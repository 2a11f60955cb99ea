//! The networks of `presets/*.toml`, by name. A file is complete, or a sibling: another network plus the
//! differences from it.

use std::collections::BTreeMap;

use alexnet_config::{BuiltIn, ConfigError, Diff, Value, from_value, load};
use serde::Deserialize;

use crate::Network;

/// The published networks and this project's own. The paper's is first.
#[derive(Debug)]
pub struct Preset;

macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        &[$(BuiltIn { name: $name, toml: include_str!(concat!("../presets/", $name, ".toml")) }),+]
    };
}

/// A network file that holds only the differences from another network.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sibling {
    /// The other network: a preset's name, or the path of a file.
    base: String,
    name: String,
    sources: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    after: BTreeMap<String, Value>,
    #[serde(default)]
    before: BTreeMap<String, Value>,
    #[serde(default)]
    set: BTreeMap<String, Value>,
    #[serde(default)]
    times: BTreeMap<String, f64>,
}

/// The longest allowed chain of siblings. A longer one is a cycle.
const DEPTH: usize = 8;

impl Preset {
    /// All presets.
    pub const ALL: &[BuiltIn] = built_in!(
        "alexnet-2012",
        "alexnet-2012-half",
        "alexnet-2012-as-run",
        "alexnet-2012-as-run-half",
        "alexnet-2012-146",
        "alexnet-2012-147",
        "alexnet-2012-148",
        "alexnet-2012-150",
        "alexnet-2012-166",
        "alexnet-2012-167",
        "caffe-alexnet",
        "caffenet",
        "one-weird-trick",
        "torchvision",
        "zfnet",
        "cifar10-80sec",
        "cifar10-19pct",
        "cifar10-18pct",
        "cifar10-conv-local-13pct",
        "cifar10-conv-local-11pct",
        "mini",
        "fashion",
        "cifar10",
        "linear"
    );

    /// Reads a preset by name, or a network file by path.
    ///
    /// ```
    /// let network = alexnet_model::Preset::load("alexnet-2012")?;
    /// assert_eq!(network.trace()?.parameters(), 60_965_224);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If there is no such preset or file, or its content is invalid.
    pub fn load(name: &str) -> Result<Network, ConfigError> {
        let context = |error: ConfigError| error.within(format!("network `{name}`"));
        from_value(value(name, DEPTH).map_err(context)?).map_err(context)
    }
}

fn value(name: &str, depth: usize) -> Result<Value, ConfigError> {
    let context = |error: ConfigError| error.within(format!("network `{name}`"));
    let value: Value = load("network", Preset::ALL, name)?;
    if value.get("base").is_none() {
        return Ok(value);
    }
    if depth == 0 {
        return Err(context(ConfigError::Change("its base leads back to itself".into())));
    }
    let Sibling { base, name: own, sources, remove, after, before, mut set, times } =
        from_value(value).map_err(context)?;
    let mut value = self::value(&base, depth - 1)?;
    set.insert("name".to_owned(), own.into());
    set.insert("sources".to_owned(), sources.into());
    Diff { remove, after, before, set, times }.apply(&mut value).map_err(context)?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alexnet_config::differences;

    #[test]
    fn every_preset_fits_together() {
        for preset in Preset::ALL {
            let network = Preset::load(preset.name).unwrap();
            assert_eq!(network.name, preset.name);
            network.trace().unwrap();
        }
    }

    #[test]
    fn a_sibling_is_its_base_but_for_what_it_says() {
        let networks = ["alexnet-2012-as-run", "alexnet-2012-167"].map(|name| Preset::load(name).unwrap());
        let found = differences(&networks[0], &networks[1]).unwrap();
        let keys: Vec<&str> = found.iter().map(|difference| difference.key.as_str()).collect();
        assert_eq!(keys.iter().filter(|key| !["name", "sources"].contains(key)).count(), 1, "{keys:?}");
        assert!(keys.contains(&"conv.conv2.stages"));
    }

    #[test]
    fn a_network_that_leads_back_to_itself_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        let text = format!("base = {:?}\nname = \"mine\"\nsources = []\n", path.display().to_string());
        std::fs::write(&path, text).unwrap();
        let error = Preset::load(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("leads back to itself"), "{error}");
        std::fs::write(&path, "base = \"mini\"\nname = \"mine\"\nsources = []\nsett = {}\n").unwrap();
        let error = Preset::load(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("sett"), "{error}");
    }
}
