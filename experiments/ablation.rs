use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::diff::Diff;
use crate::library::{self, ABLATIONS};

/// A question with its arms: a file of `ablations/`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ablation {
    pub(crate) name: String,
    pub(crate) question: String,
    pub(crate) claim: Claim,
    pub(crate) quantity: Quantity,
    /// What counts as no difference, in the quantity's unit.
    pub(crate) delta: f64,
    /// What every arm is compared with.
    pub(crate) base: Arm,
    pub(crate) arms: Vec<Arm>,
}

/// What the paper says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claim {
    pub(crate) text: String,
    /// Section, figure or table.
    pub(crate) section: String,
    /// On which data.
    pub(crate) data: String,
}

/// What arms are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Quantity {
    /// Top-1 error of the final weights on the test split, in percent.
    TestError,
    /// Epochs until the error on training images, in evaluation mode, falls to
    /// `recipe.training_error.stop_at`.
    EpochsToTrainingError,
}

/// One setting: a change to the scale's config (the base) or to the base's (the others).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arm {
    pub(crate) name: String,
    pub(crate) about: String,
    /// The paper's figure: this arm's top-1 error less the base's, in percentage points.
    pub(crate) paper: Option<f64>,
    /// The paper's figure: this arm's epochs over the base's.
    pub(crate) paper_ratio: Option<f64>,
    /// The direction of a claim without a figure.
    pub(crate) expect: Option<Expectation>,
    /// What the arm changes besides what it is about: without saying so, it may not.
    #[serde(default)]
    pub(crate) changes: Vec<Change>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    after: BTreeMap<String, toml::Value>,
    #[serde(default)]
    set: BTreeMap<String, toml::Value>,
    #[serde(default)]
    times: BTreeMap<String, f64>,
    /// Further changes at some scales, by the scale's name.
    #[serde(default)]
    at: BTreeMap<String, Diff>,
}

/// The direction of a claim without a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Expectation {
    /// A larger value than the base's.
    Worse,
    /// A smaller value.
    Better,
}

/// What an arm may change besides what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Change {
    /// How many weights there are.
    Parameters,
    /// How large the feature maps are.
    MapSizes,
}

impl Ablation {
    pub(crate) fn load(name: &str) -> Result<Self> {
        let ablation: Self = library::load("ablation", ABLATIONS, name)?;
        let mut names: Vec<&str> = ablation.all().map(|arm| arm.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            bail!("ablation `{}`: two arms are called `{}`", ablation.name, pair[0]);
        }
        if ablation.arms.is_empty() {
            bail!("ablation `{}` has no `[[arms]]` to compare with its base", ablation.name);
        }
        Ok(ablation)
    }

    /// The base, then the other arms.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arm> {
        std::iter::once(&self.base).chain(&self.arms)
    }
}

impl Arm {
    /// The arm's changes at a scale, in the order in which they are made.
    pub(crate) fn diffs(&self, scale: &str) -> Vec<Diff> {
        let (remove, after) = (self.remove.clone(), self.after.clone());
        let own = Diff { remove, after, set: self.set.clone(), times: self.times.clone() };
        std::iter::once(own).chain(self.at.get(scale).cloned()).collect()
    }

    /// Whether the paper has the arm above the base (1), below it (−1), or says nothing (0).
    pub(crate) fn expected_sign(&self) -> i8 {
        let sign = |value: f64| if value > 0.0 { 1 } else { -1 };
        match (self.paper, self.paper_ratio, self.expect) {
            (Some(paper), _, _) => sign(paper),
            (_, Some(ratio), _) => sign(ratio - 1.0),
            (_, _, Some(Expectation::Worse)) => 1,
            (_, _, Some(Expectation::Better)) => -1,
            (None, None, None) => 0,
        }
    }
}
