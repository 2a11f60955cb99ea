//! An ablation: a question with its arms, a file of `ablations/`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use alexnet_config::Diff;
use alexnet_config::{BuiltIn, check_name, load};

/// A question with its arms: a file of `ablations/`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ablation {
    /// Its name.
    pub name: String,
    /// What it asks.
    pub question: String,
    /// The paper's claim.
    pub claim: Claim,
    /// What arms are compared by.
    pub quantity: Quantity,
    /// What counts as no difference, in the quantity's unit.
    pub delta: f64,
    /// What arms whose `initial.weights` are `source` begin with: trained before them, once a seed.
    pub source: Option<Arm>,
    /// What every arm is compared with.
    pub base: Arm,
    /// What is compared with the base.
    #[serde(default)]
    pub arms: Vec<Arm>,
    /// Further arms: every combination of some values.
    grid: Option<Grid>,
}

/// Arms by lists of values: one for each combination, but for the one that is the base itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grid {
    /// The values that each key is given.
    set: BTreeMap<String, Vec<toml::Value>>,
    #[serde(default)]
    changes: Vec<Change>,
}

/// What the paper says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The paper's words, or their content.
    pub text: String,
    /// Section, figure or table.
    pub section: String,
    /// On which data.
    pub data: String,
}

/// What arms are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::enum_variant_names)] // errors are what is measured
pub enum Quantity {
    /// Top-1 error of the final weights on the test split, in percent.
    TestError,
    /// Top-1 error of the final weights on training images, in evaluation mode, in percent.
    TrainingError,
    /// Epochs until the error on training images, in evaluation mode, falls to
    /// `recipe.training_error.stop_at`.
    EpochsToTrainingError,
}

/// One setting: a change to the scale's config (the base) or to the base's (the others).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// A sentence about it.
    pub about: String,
    /// The arm whose changes are made before its own.
    like: Option<String>,
    /// The arm to compare it with, if it is not the base.
    pub against: Option<String>,
    /// The paper's figure: this arm's top-1 error less the base's, in percentage points.
    pub paper: Option<f64>,
    /// The paper's figure: this arm's epochs over the base's.
    pub paper_ratio: Option<f64>,
    /// The direction of a claim without a figure.
    pub expect: Option<Expectation>,
    /// What the arm changes besides what it is about: without saying so, it may not.
    #[serde(default)]
    pub changes: Vec<Change>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    after: BTreeMap<String, toml::Value>,
    #[serde(default)]
    before: BTreeMap<String, toml::Value>,
    #[serde(default)]
    set: BTreeMap<String, toml::Value>,
    #[serde(default)]
    times: BTreeMap<String, f64>,
    /// Further changes at some scales, by the scale's name.
    #[serde(default)]
    at: BTreeMap<String, Diff>,
    /// Made from a grid, so that being equal to the base is no mistake.
    #[serde(skip)]
    pub from_grid: bool,
}

/// The direction of a claim without a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// A larger value than the base's.
    Worse,
    /// A smaller value.
    Better,
}

/// What an arm may change besides what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// How many weights there are.
    Parameters,
    /// How large the feature maps are.
    MapSizes,
}

impl Ablation {
    /// Reads one of `built_in` by its name, or a file by its path.
    ///
    /// # Errors
    /// If there is no such file, or its arms make no comparison.
    pub fn load(built_in: &[BuiltIn], name: &str) -> Result<Self> {
        let mut ablation: Self = load("ablation", built_in, name)?;
        if let Some(grid) = ablation.grid.take() {
            ablation.arms.extend(grid.arms().with_context(|| format!("ablation `{}`", ablation.name))?);
        }
        check_name("ablation", &ablation.name)?;
        let mut names: Vec<&str> = ablation.all().map(|arm| arm.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            bail!("ablation `{}`: two arms are called `{}`", ablation.name, pair[0]);
        }
        let unknown = |name: &&String| !ablation.all().any(|arm| arm.name == **name);
        if let Some(name) = ablation.all().filter_map(|arm| arm.against.as_ref()).find(unknown) {
            bail!("ablation `{}`: there is no arm `{name}` to compare with", ablation.name);
        }
        for (what, arm) in ablation.source.iter().map(|arm| ("source", arm)).chain([("base", &ablation.base)])
        {
            if arm.like.is_some() || arm.against.is_some() {
                bail!("ablation `{}`: its {what} is neither like an arm nor held against one", ablation.name);
            }
        }
        for (place, arm) in ablation.arms.iter().enumerate() {
            let Some(like) = &arm.like else { continue };
            if !ablation.arms[..place].iter().any(|before| before.name == *like) {
                bail!("ablation `{}`: no arm before `{}` is called `{like}`", ablation.name, arm.name);
            }
        }
        if ablation.arms.is_empty() {
            bail!("ablation `{}` has no `[[arms]]` and no `[grid]` to compare with its base", ablation.name);
        }
        Ok(ablation)
    }

    /// The base, then the other arms.
    pub fn all(&self) -> impl Iterator<Item = &Arm> {
        std::iter::once(&self.base).chain(&self.arms)
    }
}

impl Ablation {
    /// The same where nothing but a factor changes how many epochs are trained: what `--epochs` asks for.
    pub fn without_epochs(mut self) -> Self {
        for arm in self.source.iter_mut().chain([&mut self.base]).chain(&mut self.arms) {
            for set in std::iter::once(&mut arm.set).chain(arm.at.values_mut().map(|diff| &mut diff.set)) {
                set.remove("recipe.epochs");
            }
        }
        self
    }

    /// An arm's changes at a scale, in the order in which they are made: those of the arm it is like come first.
    pub fn diffs(&self, arm: &Arm, scale: &str) -> Vec<Diff> {
        let like = arm.like.as_ref().and_then(|name| self.arms.iter().find(|other| other.name == *name));
        let mut diffs = like.map_or(Vec::new(), |like| self.diffs(like, scale));
        diffs.extend(arm.own_diffs(scale));
        diffs
    }
}

impl Grid {
    fn arms(&self) -> Result<Vec<Arm>> {
        if let Some((key, _)) = self.set.iter().find(|(_, values)| values.is_empty()) {
            bail!("at `grid.set`: `{key}` has an empty list");
        }
        // A key is called by its last part, where that tells it from the others.
        let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
        let title = |key: &String| {
            let alike = self.set.keys().filter(|other| last(other) == last(key)).count();
            if alike == 1 { last(key) } else { key.clone() }
        };
        let mut combinations = vec![(Vec::new(), BTreeMap::new())];
        for (key, values) in &self.set {
            let longer = combinations.iter().flat_map(|(names, set)| {
                values.iter().map(move |value| {
                    let (mut names, mut set): (Vec<String>, BTreeMap<String, toml::Value>) =
                        (names.clone(), set.clone());
                    names.push(format!("{} {}", title(key), value.to_string().replace('"', "")));
                    set.insert(key.clone(), value.clone());
                    (names, set)
                })
            });
            combinations = longer.collect();
        }
        let arm = |(names, set): (Vec<String>, BTreeMap<String, toml::Value>)| Arm {
            name: names.join(", "),
            about: "of the grid".to_owned(),
            like: None,
            against: None,
            paper: None,
            paper_ratio: None,
            expect: None,
            changes: self.changes.clone(),
            remove: Vec::new(),
            after: BTreeMap::new(),
            before: BTreeMap::new(),
            set,
            times: BTreeMap::new(),
            at: BTreeMap::new(),
            from_grid: true,
        };
        Ok(combinations.into_iter().map(arm).collect())
    }
}

impl Arm {
    fn own_diffs(&self, scale: &str) -> Vec<Diff> {
        let (remove, after, before) = (self.remove.clone(), self.after.clone(), self.before.clone());
        let own = Diff { remove, after, before, set: self.set.clone(), times: self.times.clone() };
        std::iter::once(own).chain(self.at.get(scale).cloned()).collect()
    }

    /// Whether the paper has the arm above the base (1), below it (−1), or says nothing (0).
    pub fn expected_sign(&self) -> i8 {
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
