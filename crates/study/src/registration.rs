//! A registration: how a question is decided, fixed before the runs that count.
//!
//! Its runs have seeds of their own. Seeds on which a setting was chosen give no independent verdict.

use std::collections::BTreeMap;

use alexnet_config::{BuiltIn, check_name, load};
use alexnet_train::RunConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ablation::{Ablation, Arm, Quantity};
use crate::power::power;
use crate::statistics::LEVEL;
use crate::{Seeds, Study, StudyError};

/// How one ablation at one scale is decided: a file in `designs/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Its name.
    pub name: String,
    /// How rates, seeds and deltas were chosen.
    pub about: String,
    /// Whether something is still to be chosen. No run counts before it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draft: bool,
    /// The name of the scale.
    pub scale: String,
    /// The name of the ablation.
    pub ablation: String,
    /// The quantity by which arms are compared.
    pub quantity: Quantity,
    /// The number of seeds.
    pub seeds: usize,
    /// The first seed.
    pub first_seed: u32,
    /// Whether there are looks at 4, 8, 16, … seeds, of which the last has all.
    #[serde(default)]
    pub looks: bool,
    /// How a seed counts if one of its runs diverged.
    pub diverged: Diverged,
    /// The base's learning rate.
    pub base_rate: f64,
    /// The arms that are compared.
    pub arms: Vec<RegisteredArm>,
}

/// How a seed counts if one of its runs diverged: its loss or a gradient was not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Diverged {
    /// Its pair is left out, and the number of such pairs is shown.
    LeaveOutPair,
}

/// One arm of a registration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisteredArm {
    /// The arm's name in the ablation.
    pub name: String,
    /// Its learning rate, chosen on validation images.
    pub rate: f64,
    /// The largest difference that counts as none, in the quantity's unit.
    pub delta: f64,
    /// The standard deviation of paired differences in the pilot.
    pub pilot_sd: f64,
}

impl Registration {
    /// Reads one of `built_in` by its name, or a file by its path.
    ///
    /// # Errors
    /// If there is no such file, or its content is invalid.
    pub fn load(built_in: &[BuiltIn], name: &str) -> Result<Self, StudyError> {
        let registration: Self = load("design", built_in, name)?;
        check_name("design", &registration.name)?;
        let Self { seeds, arms, .. } = &registration;
        if *seeds < 2 {
            return Err(registration.invalid("`seeds` must be at least 2"));
        }
        if arms.is_empty() {
            return Err(registration.invalid("it has no `[[arms]]`"));
        }
        for (place, arm) in arms.iter().enumerate() {
            if arms[..place].iter().any(|before| before.name == arm.name) {
                return Err(registration.invalid(format!("two arms are called `{}`", arm.name)));
            }
            for (key, value) in [("delta", arm.delta), ("pilot_sd", arm.pilot_sd)] {
                if !(value > 0.0 && value.is_finite()) {
                    let name = &arm.name;
                    return Err(registration.invalid(format!("`{key}` of arm `{name}` must be above 0")));
                }
            }
        }
        Ok(registration)
    }

    /// Returns its seeds.
    pub fn seeds(&self) -> Seeds {
        let seeds = if self.looks { Seeds::until_decided(self.seeds) } else { Seeds::fixed(self.seeds) };
        seeds.starting_at(self.first_seed)
    }

    /// Returns the registered arms of those that an ablation is resolved to, the base first.
    ///
    /// # Errors
    /// If an arm is missing, or the quantity or a rate is another than the registered one.
    pub fn arms<'a>(
        &self,
        ablation: &Ablation,
        resolved: Vec<(&'a Arm, RunConfig)>,
    ) -> Result<Vec<(&'a Arm, RunConfig)>, StudyError> {
        if ablation.quantity != self.quantity {
            return Err(self.invalid(format!("ablation `{}` compares another quantity", self.ablation)));
        }
        let base = resolved[0].0.name.clone();
        let mut rates: BTreeMap<&str, f64> =
            self.arms.iter().map(|arm| (arm.name.as_str(), arm.rate)).collect();
        if rates.contains_key(base.as_str()) {
            return Err(self.invalid(format!("`{base}` is the base, and no arm")));
        }
        rates.insert(&base, self.base_rate);
        let mut found = Vec::new();
        for (arm, config) in resolved {
            let Some(rate) = rates.remove(arm.name.as_str()) else { continue };
            if config.recipe.learning_rate != rate {
                return Err(self.invalid(format!(
                    "arm `{}` is registered with a learning rate of {rate}, and has {}",
                    arm.name, config.recipe.learning_rate
                )));
            }
            found.push((arm, config));
        }
        let registered = |name: &String| found.iter().any(|(arm, _)| arm.name == *name);
        let apart = found.iter().find(|(arm, _)| arm.against.as_ref().is_some_and(|name| !registered(name)));
        if let Some((arm, _)) = apart {
            let against = arm.against.as_deref().unwrap_or_default();
            return Err(
                self.invalid(format!("arm `{}` is compared with `{against}`, which it lacks", arm.name))
            );
        }
        match rates.into_keys().next() {
            Some(missing) => {
                Err(self.invalid(format!("ablation `{}` has no arm `{missing}`", self.ablation)))
            }
            None => Ok(found),
        }
    }

    /// Gives the arms of a study their deltas.
    pub fn set_deltas(&self, study: &mut Study) {
        for arm in &mut study.arms {
            arm.delta = self.arms.iter().find(|other| other.name == arm.name).map(|arm| arm.delta);
        }
    }

    /// Returns the probability with which all seeds detect a true difference of twice an arm's delta at the level of
    /// the last look, if its pairs scatter as in the pilot.
    pub fn power(&self, arm: &RegisteredArm) -> f64 {
        let level = match self.looks {
            true => crate::design::Design::new(self.seeds, self.arms.len())
                .looks
                .last()
                .map_or(LEVEL, |look| look.level),
            false => LEVEL / self.arms.len() as f64,
        };
        power(2.0 * arm.delta, arm.pilot_sd, self.seeds, level)
    }

    fn invalid(&self, problem: impl Into<String>) -> StudyError {
        StudyError::Registration { name: self.name.clone(), problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        name = "r"
        about = ""
        scale = "mini"
        ablation = "lrn"
        quantity = "test-error"
        seeds = 16
        first_seed = 10000
        diverged = "leave-out-pair"
        base_rate = 0.004
        [[arms]]
        name = "off"
        rate = 0.004
        delta = 0.3
        pilot_sd = 0.4
    "#;

    fn loaded(from: &str, to: &str) -> Result<Registration, StudyError> {
        assert!(TEXT.contains(from));
        let text: &'static str = TEXT.replace(from, to).leak();
        Registration::load(&[BuiltIn { name: "r", toml: text }], "r")
    }

    /// The numbers of seeds and differences that designs quote.
    #[test]
    fn designs_say_what_their_seeds_detect() {
        let last = |seeds: usize, arms: usize| crate::design::Design::new(seeds, arms).looks;
        let lrn = last(64, 2)[3];
        assert!(lrn.seeds == 32 && power(0.5, 0.68, 32, lrn.level) > 0.8);
        let pooling = last(64, 1)[4].level;
        assert!(power(0.25, 0.6, 64, pooling) > 0.8);
        let within = |seeds: usize| crate::power::power_equivalence(0.0, 0.6, seeds, 0.045, pooling);
        assert!(within(1_800) < 0.8 && within(1_900) > 0.8, "{} {}", within(1_800), within(1_900));
    }

    #[test]
    fn what_cannot_decide_is_refused() {
        assert!(loaded("seeds = 16", "seeds = 16").is_ok());
        for (from, to, problem) in [
            ("seeds = 16", "seeds = 1", "at least 2"),
            ("delta = 0.3", "delta = 0.0", "`delta` of arm `off`"),
            ("pilot_sd = 0.4", "pilot_sd = nan", "`pilot_sd` of arm `off`"),
            ("about = \"\"", "", "about"),
        ] {
            let error = loaded(from, to).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn more_seeds_have_more_power_and_looks_cost_some() {
        let few = loaded("seeds = 16", "seeds = 4").unwrap();
        let many = loaded("seeds = 16", "seeds = 16").unwrap();
        let looks = loaded("seeds = 16", "seeds = 16\nlooks = true").unwrap();
        let of = |registration: &Registration| registration.power(&registration.arms[0]);
        assert!(of(&few) < of(&looks) && of(&looks) < of(&many), "{} {} {}", of(&few), of(&looks), of(&many));
    }
}
