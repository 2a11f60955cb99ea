//! A scale: the size of a study, defined by a file in `scales/`.

use std::collections::BTreeMap;

use alexnet_model::Preset;
use alexnet_train::{DataConfig, Evaluation, Initial, Recipe, RunConfig};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Value;

use alexnet_config::{BuiltIn, ConfigError, Diff, check_name, from_value, load};

/// The size of a study: network, data and recipe.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Its name.
    pub name: String,
    /// The description that `list` prints.
    pub about: String,
    /// A preset's name, or the path of a network's file.
    pub network: String,
    /// The number of seeds of an ablation.
    pub seeds: usize,
    /// The scale whose changes arms take over, `[arms.at.SCALE]`, if it is not this one.
    #[serde(skip)]
    pub(crate) like: Option<String>,
    /// Changes to the preset.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub(crate) set: BTreeMap<String, Value>,
    /// The images and their augmentation.
    pub(crate) data: DataConfig,
    /// The training.
    pub(crate) recipe: Recipe,
    /// The test.
    pub(crate) evaluation: Evaluation,
}

impl Scale {
    /// Reads one of `built_in` by its name, or a file by its path.
    ///
    /// # Errors
    /// If there is no such file, or its content does not fit.
    pub fn load(built_in: &[BuiltIn], name: &str) -> Result<Self, ConfigError> {
        let scale: Self = load("scale", built_in, name)?;
        check_name("scale", &scale.name)?;
        Ok(scale)
    }

    /// Returns the scale with another number of epochs, which arms can still multiply.
    pub fn with_epochs(mut self, epochs: Option<usize>) -> Self {
        self.recipe.epochs = epochs.unwrap_or(self.recipe.epochs);
        self
    }

    /// Returns the name of the scale whose changes arms take over.
    pub(crate) fn like(&self) -> &str {
        self.like.as_deref().unwrap_or(&self.name)
    }

    /// Returns the name of the data set, or the path of its manifest.
    pub fn data_set(&self) -> &str {
        &self.data.set
    }

    /// Returns the config of this scale, changed by `changes`.
    ///
    /// # Errors
    /// If there is no such network, or a change cannot be made.
    pub fn config(&self, changes: &Diff) -> Result<RunConfig, ConfigError> {
        let config = RunConfig {
            network: Preset::load(&self.network)?,
            data: self.data.clone(),
            recipe: self.recipe.clone(),
            initial: Initial::default(),
            evaluation: self.evaluation,
        };
        let own = Diff { set: self.set.clone(), ..Diff::default() };
        let config =
            changed(&config, &own).map_err(|error| error.within(format!("scale `{}`", self.name)))?;
        changed(&config, changes)
    }
}

/// Adds the keys that are left out at their defaults, so that changes find them.
fn complete(config: &mut Value) {
    let add = |table: Option<&mut Value>, key: &str, value: Value| {
        if let Some(Value::Table(table)) = table {
            table.entry(key).or_insert(value);
        }
    };
    add(config.get_mut("data"), "size", Value::Integer(0));
    let augmentation = config.get_mut("data").and_then(|data| data.get_mut("augmentation"));
    add(augmentation, "steps", Value::Array(Vec::new()));
    add(config.get_mut("recipe"), "early_stopping", Value::Integer(0));
    for key in ["clip_gradients", "average_weights", "label_smoothing"] {
        add(config.get_mut("recipe"), key, Value::Float(0.0));
    }
    let text = |text: &str| Value::String(text.to_owned());
    add(config.get_mut("recipe"), "optimizer", text("paper"));
    add(config.get_mut("recipe"), "mixing", text("none"));
    add(config.get_mut("recipe"), "precision", text("device"));
    add(config.get_mut("network"), "initial_weights", text("gaussian"));
    let training_error = config.get_mut("recipe").and_then(|recipe| recipe.get_mut("training_error"));
    add(training_error, "every_steps", Value::Integer(0));
    for kind in ["conv", "fc"] {
        let layers = config.get_mut("network").and_then(|network| network.get_mut(kind));
        for layer in layers.and_then(Value::as_array_mut).into_iter().flatten() {
            add(Some(&mut *layer), "activation", text("network"));
            if kind == "conv" {
                add(Some(&mut *layer), "groups", Value::Integer(1));
                add(Some(&mut *layer), "shared", Value::Boolean(true));
                add(Some(layer), "residual", Value::Boolean(false));
            }
        }
    }
}

/// Returns a config as TOML with the keys that are left out at their defaults.
///
/// # Errors
/// If TOML cannot hold a value.
pub fn whole(config: &RunConfig) -> Result<Value, ConfigError> {
    let mut value = Value::try_from(config)
        .map_err(|error| ConfigError::Change(format!("a config that TOML cannot hold: {error}")))?;
    complete(&mut value);
    Ok(value)
}

/// Returns `config` with `changes` applied.
pub(crate) fn changed(config: &RunConfig, changes: &Diff) -> Result<RunConfig, ConfigError> {
    let mut value = whole(config)?;
    changes.apply(&mut value)?;
    let config: RunConfig = from_value(value)?;
    check_name("network", &config.network.name)?;
    Ok(config)
}
