//! An ablation: a question with its arms, defined by a file in `ablations/`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::StudyError;
use alexnet_config::{BuiltIn, ConfigError, Diff, check_name, load};

/// A question with its arms, defined by a file in `ablations/`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ablation {
    /// Its name.
    pub name: String,
    /// The question.
    pub question: String,
    /// The claim of a paper. Absent: the question is one's own, and no paper is named.
    #[serde(default)]
    pub claim: Option<Claim>,
    /// The quantity by which arms are compared.
    pub quantity: Quantity,
    /// The largest difference that counts as none, in the quantity's unit: a positive number.
    pub delta: f64,
    /// Another ablation, by its name or path: the base has the changes of its base first, and arms may be like its arms.
    of: Option<String>,
    #[serde(skip)]
    other: Option<Box<Ablation>>,
    /// The run that arms with `source` as `initial.weights` begin with. It is trained before them, once per
    /// seed.
    pub source: Option<Arm>,
    /// The arm that the others are compared with.
    pub base: Arm,
    /// The arms that are compared with the base.
    #[serde(default)]
    pub arms: Vec<Arm>,
    /// More arms: every combination of some values.
    grid: Option<Grid>,
}

/// Arms defined by lists of values: one per combination, except the base's own.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Grid {
    /// The arms to whose changes each combination is added, the base among them or not. If empty, it is the base alone.
    #[serde(default)]
    like: Vec<String>,
    /// The values of each key: `{ "recipe.momentum" = [0.9, 0.5], "network.activation" = ["relu", "tanh"] }` gives an arm for
    /// each combination that differs from the base.
    #[schemars(with = "BTreeMap<String, Vec<serde_json::Value>>")]
    set: BTreeMap<String, Vec<toml::Value>>,
    /// The declared side effects of the arms, as for an arm.
    #[serde(default)]
    changes: Vec<Change>,
}

/// A claim of the paper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The paper's words, or a summary of them.
    pub text: String,
    /// The section, figure or table.
    pub section: String,
    /// The data of the claim.
    pub data: String,
}

/// The quantity by which arms are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::enum_variant_names)] // errors are what is measured
pub enum Quantity {
    /// The top-1 error of the final weights on the test split, in percent.
    TestError,
    /// The top-1 error of the final weights on the validation split, in percent. Rates are chosen by it.
    ValidationError,
    /// The top-1 error of the final weights on training images, in evaluation mode, in percent.
    TrainingError,
    /// The number of epochs until the error on training images, in evaluation mode, falls to
    /// `recipe.training_error.stop_at`.
    EpochsToTrainingError,
    /// The natural logarithm of the number of steps until that error. With paired seeds, a difference is the logarithm
    /// of a ratio.
    LogStepsToTrainingError,
}

/// One setting: the base changes the scale's config, other arms change the base's config.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// A description of one sentence.
    pub about: String,
    /// The arm above whose changes are applied before its own: `like = "off"`. A list tries several arms together, in its order.
    #[serde(default, deserialize_with = "one_or_more")]
    #[schemars(with = "OneOrMore")]
    pub(crate) like: Vec<String>,
    /// The arm whose changes are left out of those of `like`: `like = "all", without = "gelu"`.
    pub(crate) without: Option<String>,
    /// The arm that it is compared with, if not the base: `against = "off"`. The two must differ.
    pub against: Option<String>,
    /// The paper's figure: this arm's top-1 error minus the base's, in percentage points; not 0.
    pub paper: Option<f64>,
    /// The paper's figure: this arm's epochs divided by the base's; not 1.
    pub paper_ratio: Option<f64>,
    /// The direction of a claim without a number.
    pub expect: Option<Expectation>,
    /// The declared side effects of the arm: `changes = ["parameters"]`. Undeclared ones are errors.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// Layers and stages that are left out: `["network.conv.conv1.stages.lrn"]`.
    #[serde(default)]
    remove: Vec<String>,
    /// Layers and stages that are inserted right after the one that the key names: `{ "network.conv.conv1.stages.activation" =
    /// { dropout = 0.1 } }`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    after: BTreeMap<String, toml::Value>,
    /// The same, right before: `{ "network.conv.conv1.stages.max-pool" = { dropout = 0.1 } }`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    before: BTreeMap<String, toml::Value>,
    /// New values: `{ "recipe.learning_rate" = 0.02 }`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    set: BTreeMap<String, toml::Value>,
    /// Factors: `{ "network.conv.conv1.filters" = 0.5 }`.
    #[serde(default)]
    times: BTreeMap<String, f64>,
    /// Additional changes at some scales, by the scale's name; for images without a scale, by the network's.
    #[serde(default)]
    at: BTreeMap<String, Diff>,
    /// Whether the arm comes from a grid. Such an arm may be equal to the base.
    #[serde(skip)]
    pub from_grid: bool,
}

/// A name or several.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(untagged, expecting = "the name of an arm, or a list of names")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(name) => vec![name],
        OneOrMore::More(names) => names,
    })
}

/// The direction of a claim without a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// The arm has a larger value than the base.
    Worse,
    /// The arm has a smaller value than the base.
    Better,
}

/// A side effect that an arm may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The number of weights changes.
    Parameters,
    /// The size of the feature maps changes.
    MapSizes,
}

impl Ablation {
    /// Reads one of `built_in` by its name, or a file by its path.
    ///
    /// # Errors
    /// If there is no such file, or its arms cannot be compared.
    pub fn load(built_in: &[BuiltIn], name: &str) -> Result<Self, StudyError> {
        let mut ablation = Self::read(built_in, name)?;
        if let Some(of) = &ablation.of {
            let other = Self::read(built_in, of)?;
            if other.of.is_some() {
                return Err(ablation.invalid(format!("`of`: `{of}` is itself of another ablation")));
            }
            other.check()?;
            ablation.other = Some(Box::new(other));
        }
        ablation.check()?;
        Ok(ablation)
    }

    /// Reads the text of a file that stands alone.
    ///
    /// # Errors
    /// If its content is invalid or is of another ablation, or its arms cannot be compared.
    pub fn parse(toml: &str) -> Result<Self, StudyError> {
        let ablation = alexnet_config::parse::<Self>(toml)?.with_grid()?;
        if ablation.of.is_some() {
            return Err(ablation.invalid("`of`: another ablation is read from files only"));
        }
        ablation.check()?;
        Ok(ablation)
    }

    /// Reads a file alone.
    fn read(built_in: &[BuiltIn], name: &str) -> Result<Self, StudyError> {
        load::<Self>("ablation", built_in, name)?.with_grid()
    }

    /// Returns the ablation with the arms of its grid.
    fn with_grid(mut self) -> Result<Self, StudyError> {
        if let Some(grid) = self.grid.take() {
            let arms = grid
                .arms(&self.base.name)
                .map_err(|error| error.within(format!("ablation `{}`", self.name)))?;
            self.arms.extend(arms);
        }
        Ok(self)
    }

    /// Checks names, and that arms refer to arms that exist.
    fn check(&self) -> Result<(), StudyError> {
        check_name("ablation", &self.name)?;
        let mut names: Vec<&str> = self.all().chain(self.others()).map(|arm| arm.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(self.invalid(format!("two arms are called `{}`", pair[0])));
        }
        let unknown = |name: &&String| !self.all().any(|arm| arm.name == **name);
        if let Some(name) = self.all().filter_map(|arm| arm.against.as_ref()).find(unknown) {
            return Err(self.invalid(format!("there is no arm `{name}` to compare with")));
        }
        for (what, arm) in self.source.iter().map(|arm| ("source", arm)).chain([("base", &self.base)]) {
            if !arm.like.is_empty() || arm.without.is_some() || arm.against.is_some() {
                let problem = format!("its {what} must not set `like`, `without` or `against`");
                return Err(self.invalid(problem));
            }
        }
        for place in 0..self.arms.len() {
            self.check_likeness(place)?;
        }
        if self.arms.is_empty() {
            return Err(StudyError::NoArms { ablation: self.name.clone() });
        }
        self.check_numbers()
    }

    /// Checks that the numbers can be compared with.
    fn check_numbers(&self) -> Result<(), StudyError> {
        if !(self.delta.is_finite() && self.delta > 0.0) {
            return Err(self.invalid(format!("`delta` is {} and must be a positive number", self.delta)));
        }
        for arm in self.all() {
            if arm.paper.is_some_and(|paper| !paper.is_finite() || paper == 0.0) {
                let problem = format!("at `arms.{}.paper`: it must be a number other than 0", arm.name);
                return Err(self.invalid(problem));
            }
            if arm.paper_ratio.is_some_and(|ratio| !ratio.is_finite() || ratio <= 0.0 || ratio == 1.0) {
                let problem =
                    format!("at `arms.{}.paper_ratio`: it must be a positive number other than 1", arm.name);
                return Err(self.invalid(problem));
            }
        }
        Ok(())
    }

    /// Checks that an arm is like arms before it, and without one of theirs.
    fn check_likeness(&self, place: usize) -> Result<(), StudyError> {
        let arm = &self.arms[place];
        let listed = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let before: Vec<&str> =
            self.others().chain(&self.arms[..place]).map(|other| other.name.as_str()).collect();
        if let Some(like) = arm.like.iter().find(|like| !before.contains(&like.as_str())) {
            let problem = format!(
                "at `arms.{}.like`: no arm before it is called `{like}`: {}",
                arm.name,
                listed(before)
            );
            return Err(self.invalid(problem));
        }
        let likes = self.likes(arm);
        if let Some(without) = arm.without.as_deref().filter(|without| !likes.contains(without)) {
            let problem =
                format!("at `arms.{}.without`: it is not like `{without}`: {}", arm.name, listed(likes));
            return Err(self.invalid(problem));
        }
        Ok(())
    }

    /// Returns the base, then the other arms.
    pub fn all(&self) -> impl Iterator<Item = &Arm> {
        std::iter::once(&self.base).chain(&self.arms)
    }

    pub(crate) fn invalid(&self, problem: impl Into<String>) -> StudyError {
        StudyError::Ablation { name: self.name.clone(), problem: problem.into() }
    }
}

impl Ablation {
    /// Returns the ablation with all fixed epoch counts removed, as `--epochs` requires. Factors remain.
    pub fn without_epochs(mut self) -> Self {
        self.other = self.other.map(|other| Box::new(other.without_epochs()));
        for arm in self.source.iter_mut().chain([&mut self.base]).chain(&mut self.arms) {
            for set in std::iter::once(&mut arm.set).chain(arm.at.values_mut().map(|diff| &mut diff.set)) {
                set.remove("recipe.epochs");
            }
        }
        self
    }

    /// Returns an arm's changes at a scale, in the order of application. The changes of the arms it is like
    /// come first.
    pub(crate) fn diffs(&self, arm: &Arm, scale: &str) -> Vec<Diff> {
        match &self.other {
            Some(other) if std::ptr::eq(arm, &self.base) => {
                [other.diffs(&other.base, scale), arm.own_diffs(scale)].concat()
            }
            _ => self.diffs_without(arm, scale, &[]),
        }
    }

    fn diffs_without(&self, arm: &Arm, scale: &str, left_out: &[&str]) -> Vec<Diff> {
        let left_out: Vec<&str> = left_out.iter().copied().chain(arm.without.as_deref()).collect();
        let like = arm.like.iter().filter(|name| !left_out.contains(&name.as_str()));
        let like = like.filter_map(|name| self.arm(name));
        let mut diffs: Vec<Diff> = like.flat_map(|like| self.diffs_without(like, scale, &left_out)).collect();
        diffs.extend(arm.own_diffs(scale));
        diffs
    }

    /// Returns the names of the arms that an arm is like, and of those that they are like.
    fn likes<'a>(&'a self, arm: &'a Arm) -> Vec<&'a str> {
        let of = |name: &'a String| {
            let further = self.arm(name).map_or(Vec::new(), |like| self.likes(like));
            std::iter::once(name.as_str()).chain(further)
        };
        arm.like.iter().flat_map(of).collect()
    }

    /// Returns the arm that others are like by this name.
    fn arm(&self, name: &str) -> Option<&Arm> {
        self.arms.iter().chain(self.others()).find(|other| other.name == name)
    }

    fn others(&self) -> impl Iterator<Item = &Arm> {
        self.other.iter().flat_map(|other| &other.arms)
    }
}

impl Grid {
    fn arms(&self, base: &str) -> Result<Vec<Arm>, ConfigError> {
        if let Some((key, _)) = self.set.iter().find(|(_, values)| values.is_empty()) {
            let problem = format!("`{key}` has an empty list");
            return Err(ConfigError::Key { path: "grid.set".to_owned(), problem });
        }
        // A key is abbreviated to its last part if that is unique.
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
        let arm = |like: Option<&String>, (names, set): &(Vec<String>, BTreeMap<String, toml::Value>)| Arm {
            name: like.into_iter().chain(names).map(String::as_str).collect::<Vec<_>>().join(", "),
            about: "of the grid".to_owned(),
            like: like.into_iter().filter(|like| *like != base).cloned().collect(),
            without: None,
            against: None,
            paper: None,
            paper_ratio: None,
            expect: None,
            changes: self.changes.clone(),
            remove: Vec::new(),
            after: BTreeMap::new(),
            before: BTreeMap::new(),
            set: set.clone(),
            times: BTreeMap::new(),
            at: BTreeMap::new(),
            from_grid: true,
        };
        let likes: Vec<Option<&String>> = match self.like.as_slice() {
            [] => vec![None],
            likes => likes.iter().map(Some).collect(),
        };
        let of = |like| combinations.iter().map(move |combination| arm(like, combination));
        Ok(likes.into_iter().flat_map(of).collect())
    }
}

impl Arm {
    fn own_diffs(&self, scale: &str) -> Vec<Diff> {
        let (remove, after, before) = (self.remove.clone(), self.after.clone(), self.before.clone());
        let own = Diff { remove, after, before, set: self.set.clone(), times: self.times.clone() };
        std::iter::once(own).chain(self.at.get(scale).cloned()).collect()
    }

    /// Returns the sign of the paper's claim: the arm above the base (1), below it (−1), or no claim (0).
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
