use std::collections::BTreeMap;

use alexnet_train::{DataConfig, Evaluation, Initial, Recipe, RunConfig};
use anyhow::{Context, Result};
use serde::Deserialize;
use toml::Value;

use crate::diff::Diff;
use crate::library::{self, SCALES};
use crate::network;

/// A size of study: network, data and recipe.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scale {
    pub(crate) name: String,
    /// What `list` says of it.
    pub(crate) about: String,
    /// A preset's name, or the path of a network's file.
    pub(crate) network: String,
    /// How many seeds an ablation uses.
    pub(crate) seeds: usize,
    /// Changes to the preset.
    #[serde(default)]
    set: BTreeMap<String, Value>,
    data: DataConfig,
    recipe: Recipe,
    evaluation: Evaluation,
}

impl Scale {
    pub(crate) fn load(name: &str) -> Result<Self> {
        let scale: Self = library::load("scale", SCALES, name)?;
        library::check_name("scale", &scale.name)?;
        Ok(scale)
    }

    /// The same with another number of epochs, which arms may still multiply.
    pub(crate) fn with_epochs(mut self, epochs: Option<usize>) -> Self {
        self.recipe.epochs = epochs.unwrap_or(self.recipe.epochs);
        self
    }

    /// The config that this scale and then `changes` give.
    pub(crate) fn config(&self, changes: &Diff) -> Result<RunConfig> {
        let config = RunConfig {
            network: network::load(&self.network)?,
            data: self.data.clone(),
            recipe: self.recipe.clone(),
            initial: Initial::default(),
            evaluation: self.evaluation,
        };
        let own = Diff { set: self.set.clone(), ..Diff::default() };
        let config = changed(&config, &own).with_context(|| format!("scale `{}`", self.name))?;
        changed(&config, changes)
    }
}

/// `config` with `changes`.
pub(crate) fn changed(config: &RunConfig, changes: &Diff) -> Result<RunConfig> {
    let mut value = Value::try_from(config).context("a config that TOML cannot hold")?;
    changes.apply(&mut value)?;
    let config: RunConfig = library::from_value(value)?;
    library::check_name("network", &config.network.name)?;
    Ok(config)
}
