//! Resolves an ablation and a scale to the configs of its arms.

use alexnet_model::Trace;
use alexnet_train::RunConfig;

use crate::ablation::{Ablation, Arm, Change};
use crate::scale::{Scale, changed};
use crate::{ArmProblem, StudyError};
use alexnet_config::{ConfigError, Diff};

/// The value of [`Initial::weights`](alexnet_train::Initial) that refers to an ablation's source.
pub(crate) const SOURCE: &str = "source";

/// Returns the config of the source that other arms begin with, if the ablation has one.
///
/// # Errors
/// As [`resolve`].
pub fn source(
    ablation: &Ablation,
    scale: &Scale,
    command_line: &Diff,
) -> Result<Option<RunConfig>, StudyError> {
    let Some(arm) = &ablation.source else { return Ok(None) };
    let context = || format!("ablation `{}`, source, scale `{}`", ablation.name, scale.name);
    let scaled = scale.config(&Diff::default())?;
    let config =
        ablation.diffs(arm, scale.like()).iter().try_fold(scaled, |config, diff| changed(&config, diff));
    let config = config.map_err(|error| error.within(context()))?;
    config.network.trace().map_err(|source| StudyError::Network { context: context(), source })?;
    if config.initial.weights == SOURCE {
        return Err(StudyError::Arm { context: context(), problem: ArmProblem::BeginsWithItself });
    }
    Ok(Some(overridden(&config, command_line)?))
}

/// Returns each arm with its config, the base first.
///
/// # Errors
/// If a key does not exist, a layer does not fit, or an arm changes nothing or more than it declares.
pub fn resolve<'a>(
    ablation: &'a Ablation,
    scale: &Scale,
    command_line: &Diff,
) -> Result<Vec<(&'a Arm, RunConfig)>, StudyError> {
    let scaled = scale.config(&Diff::default())?;
    let context =
        |arm: &Arm| format!("ablation `{}`, arm `{}`, scale `{}`", ablation.name, arm.name, scale.name);
    let apply = |config: &RunConfig, arm: &Arm| {
        let diffs = ablation.diffs(arm, scale.like());
        let config = diffs.iter().try_fold(config.clone(), |config, diff| changed(&config, diff));
        config.map_err(|error| error.within(context(arm)))
    };
    let trace = |config: &RunConfig, arm: &Arm| {
        config.network.trace().map_err(|source| StudyError::Network { context: context(arm), source })
    };
    let invalid = |arm: &Arm, problem| Err(StudyError::Arm { context: context(arm), problem });
    let base = apply(&scaled, &ablation.base)?;
    let base_trace = trace(&base, &ablation.base)?;
    let mut arms = Vec::new();
    for arm in ablation.all() {
        let is_base = std::ptr::eq(arm, &ablation.base);
        let config = if is_base { base.clone() } else { apply(&base, arm)? };
        if arm.from_grid && config == base {
            continue;
        }
        if !is_base && config == base {
            return invalid(arm, ArmProblem::NoEffect);
        }
        if let Some(problem) = undeclared(arm, &trace(&config, arm)?, &base_trace) {
            return invalid(arm, problem);
        }
        arms.push((arm, overridden(&config, command_line)?));
    }
    if arms.len() < 2 {
        return Err(ablation.invalid("its grid has no combination but the base itself"));
    }
    for (arm, config) in &arms {
        if config.initial.weights == SOURCE && ablation.source.is_none() {
            return invalid(arm, ArmProblem::NoSource);
        }
    }
    for (arm, config) in arms.iter().skip(1) {
        if *config == arms[0].1 {
            return invalid(arm, ArmProblem::Overridden);
        }
        let reference = arms.iter().find(|(other, _)| Some(&other.name) == arm.against.as_ref());
        if reference.is_some_and(|(_, other)| other == config) {
            return invalid(arm, ArmProblem::EqualToReference);
        }
        trace(config, arm)?;
    }
    Ok(arms)
}

/// Returns a config with the changes of the command line, which override every arm's.
fn overridden(config: &RunConfig, command_line: &Diff) -> Result<RunConfig, ConfigError> {
    changed(config, command_line).map_err(|error| error.within("`--set`"))
}

/// Returns a side effect of an arm that it does not declare.
fn undeclared(arm: &Arm, trace: &Trace, base: &Trace) -> Option<ArmProblem> {
    if trace.parameters() != base.parameters() && !arm.changes.contains(&Change::Parameters) {
        return Some(ArmProblem::Parameters { arm: trace.parameters(), base: base.parameters() });
    }
    if arm.changes.contains(&Change::MapSizes) {
        return None;
    }
    let sizes = base.map_sizes();
    trace.map_sizes().into_iter().find_map(|(layer, arm)| {
        let &(_, base) = sizes.iter().find(|(name, _)| *name == layer)?;
        (base != arm).then_some(ArmProblem::MapSizes { layer, arm, base })
    })
}

#[cfg(test)]
mod tests;
